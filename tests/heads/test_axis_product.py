"""Products along axes against Kronecker products that are written out."""

from functools import reduce
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from expressivity.heads import axis_product
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from tests.heads.test_banded import random, written_out

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


def banded(rows: int, columns: int) -> BandedMatrix:
    """Return a matrix in two blocks, or in one if it has one row."""
    if rows == 1 or columns == 1:
        return BandedMatrix.full(random(rows, columns))
    upper, width = rows // 2, columns - 1
    blocks = random(upper, width), random(rows - upper, width)
    return BandedMatrix(blocks, (0, 1), columns)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("rows", list(permutations((2, 6, 4))), ids=str)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_is_the_kronecker_product(
    axes: int,
    rows: tuple[int, ...],
    joint: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(axis_product, "JOINT_ENTRIES", 1e9 if joint else 0)
    rows, size = rows[:axes], (4, 3, 5)[:axes]
    matrices = [banded(r, s) for r, s in zip(rows, size, strict=True)]
    product = AxisProduct.of(matrices)
    assert len(product.factors) == (1 if joint else axes)
    canvas = random(2, 3, *size)
    whole = reduce(torch.kron, map(written_out, matrices))
    expected = (canvas.flatten(2) @ whole.T).unflatten(2, rows)
    torch.testing.assert_close(product(canvas), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(9, 9), (40, 30), (1, 700), (6, 5, 7)], ids=str)
def test_of_either_size_is_the_kronecker_product(size: tuple[int, ...]) -> None:
    matrices = [banded(max(1, s // 2), s) for s in size]
    canvas = random(1, 2, *size)
    whole = reduce(torch.kron, map(written_out, matrices))
    expected = canvas.flatten(2) @ whole.T
    found = AxisProduct.of(matrices)(canvas)
    assert found.shape[2:] == tuple(matrix.rows for matrix in matrices)
    torch.testing.assert_close(found.flatten(2), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("joint", [True, False])
def test_derivatives_go_through_every_matrix(
    joint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(axis_product, "JOINT_ENTRIES", 1e9 if joint else 0)

    def function(canvas: Tensor, *blocks: Tensor) -> Tensor:
        matrices = [BandedMatrix(blocks[i : i + 2], (0, 1), 3) for i in (0, 2)]
        return AxisProduct.of(matrices)(canvas)

    values = (random(1, 2, 3, 3), *(random(1 + i % 2, 2) for i in range(4)))
    inputs = tuple(value.requires_grad_() for value in values)
    assert gradcheck(function, inputs, check_forward_ad=True)
    assert gradgradcheck(function, inputs)


def test_moves_to_another_dtype() -> None:
    product = AxisProduct.of([banded(4, 4), banded(3, 5)])
    canvas = random(1, 2, 4, 5).float()
    moved = product.to(torch.device("cpu"), torch.float32)
    assert {m.blocks[0].dtype for *_, m in moved.factors} == {torch.float32}
    torch.testing.assert_close(moved(canvas), product(canvas), rtol=0, atol=1e-4)
