"""The smoothing operator against its formula."""

from collections.abc import Callable
from functools import reduce
from math import exp, fsum

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from expressivity.heads.smoothing import (
    Axis,
    Band,
    smoothing_matrices,
    smoothing_matrix,
)

Form = Callable[[Tensor], Tensor]


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


def _in_inference_mode(form: Form, alpha: Tensor) -> None:
    with torch.inference_mode():
        form(alpha)


def _in_fake_mode(form: Form, alpha: Tensor) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        form(alpha)


MODES: dict[str, Callable[[Form, Tensor], object]] = {
    "inference mode": _in_inference_mode,
    "fake tensors": _in_fake_mode,
    "vmap": lambda form, alpha: torch.vmap(form)(alpha.expand(2, -1)),
    "jvp": lambda form, alpha: torch.func.jvp(form, (alpha,), (alpha,)),
    "functionalize": lambda form, alpha: torch.func.functionalize(form)(alpha),
    "make_fx": lambda form, alpha: make_fx(form)(alpha),
    "meta": lambda form, alpha: form(alpha.to("meta")),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@pytest.mark.parametrize("mode", MODES)
def test_what_one_mode_leaves_behind_serves_all_others(mode: str) -> None:
    # A length of its own, so that nothing is kept of it yet.
    tokens = 20 + list(MODES).index(mode)
    axis = Axis(tokens=tokens, zeros_before=0, canvas=tokens)

    def form(alpha: Tensor) -> Tensor:
        centers = torch.zeros_like(alpha)
        matrices = smoothing_matrices(axis, range(tokens), centers, alpha)
        return matrices.blocks[0]

    alpha = torch.tensor([0.5, 2.0], dtype=torch.float64)
    MODES[mode](form, alpha)
    gap = torch.arange(tokens)[:, None] - torch.arange(tokens)
    expected = (-alpha[:, None, None] * gap.square()).softmax(-1)
    alpha.requires_grad_()
    torch.testing.assert_close(form(alpha).detach(), expected, rtol=0, atol=1e-15)
    assert torch.autograd.gradcheck(form, alpha)


@pytest.mark.parametrize("targets", [1, 10, 32, 33, 69])
def test_tracers_get_the_same_rows_of_a_band(targets: int) -> None:
    axis = Axis(tokens=69, zeros_before=0, canvas=69)
    band = Band(lowest=0.0, highest=0.0, radius=2, span=32)

    def form(alpha: Tensor) -> Tensor:
        centers = torch.zeros_like(alpha)
        matrices = smoothing_matrices(axis, range(targets), centers, alpha, band)
        return torch.stack([matrices.of_head(head).dense() for head in range(2)])

    alpha = torch.tensor([4.0, 5.0], dtype=torch.float64)
    expected = form(alpha)
    assert expected.shape == (2, targets, 69)
    found = make_fx(form)(alpha)(alpha)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
