"""The smoothing operator against its formula."""

from functools import reduce
from math import exp, fsum

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from expressivity.heads.smoothing import Axis, smoothing_matrix


def smoothing_row(target: int, keys: int, alpha: torch.Tensor) -> torch.Tensor:
    axis = Axis(keys, zeros_before=0, canvas=keys)
    center = torch.zeros_like(alpha)
    matrix = smoothing_matrix(axis, range(target, target + 1), center, alpha)
    return matrix.dense()[0]


def along_axes(matrices: list[torch.Tensor]) -> AxisProduct:
    return AxisProduct.of(list(map(BandedMatrix.full, matrices)))


@given(st.integers(-6, 12), st.integers(1, 7), st.floats(0, 60))
def test_a_row_is_a_normalised_gaussian(target: int, keys: int, alpha: float) -> None:
    strength = torch.tensor(alpha, dtype=torch.float64)
    row = smoothing_row(target, keys, strength)
    nearest = min((k - target) ** 2 for k in range(keys))
    weights = [exp(-alpha * ((k - target) ** 2 - nearest)) for k in range(keys)]
    expected = torch.tensor(weights, dtype=torch.float64) / fsum(weights)
    torch.testing.assert_close(row, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("target", [-9, -1, 0, 4, 5, 30])
def test_a_hard_row_is_the_nearest_pixel(target: int) -> None:
    row = smoothing_row(target, 5, torch.tensor(1000.0))
    nearest = torch.tensor(target).clamp(0, 4)
    assert torch.equal(row, torch.nn.functional.one_hot(nearest, 5).float())


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_axis_by_axis_is_the_kronecker_product(axes: int) -> None:
    size, rows = (4, 3, 5)[:axes], (2, 6, 3)[:axes]
    canvas = torch.randn(2, 3, *size, dtype=torch.float64)
    matrices = [
        torch.randn(r, s, dtype=torch.float64) for r, s in zip(rows, size, strict=True)
    ]
    whole = reduce(torch.kron, matrices)
    expected = (canvas.flatten(2) @ whole.T).unflatten(2, rows)
    torch.testing.assert_close(along_axes(matrices)(canvas), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_only_at_the_end(
    dtype: torch.dtype, autocast: bool
) -> None:
    canvas = torch.rand(2, 3, 40, 30).to(dtype)  # positive: nothing cancels
    matrices = [torch.rand(40, 40) / 40, torch.rand(30, 30) / 30]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = along_axes(matrices)(canvas)
    expected = along_axes(matrices)(canvas.double())
    assert found.dtype == dtype
    # Half an ulp of the result, and some ulps of float32.
    rounding = torch.finfo(dtype).eps / 2 + 100 * torch.finfo(torch.float32).eps
    error = (found.double() - expected).abs()
    assert (error <= rounding * expected).all()
