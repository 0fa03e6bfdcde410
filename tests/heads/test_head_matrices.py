"""Matrices of all heads along one axis."""

import pytest
import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices


def dense(matrices: HeadMatrices) -> Tensor:
    """Return the entries of all heads."""
    return torch.stack([
        matrices.of_head(head).dense() for head in range(matrices.heads)
    ])


def banded(columns: int, starts: tuple[int, ...], width: int) -> HeadMatrices:
    """Return random matrices of two heads, three rows a window."""
    torch.manual_seed(0)
    blocks = tuple(torch.randn(2, 3, width) for _ in starts)
    return HeadMatrices(blocks, starts, columns)


@pytest.mark.parametrize(
    ("columns", "starts", "width"),
    [
        pytest.param(4, (0,), 4, id="whole"),
        pytest.param(9, (0, 2, 5), 4, id="overlapping windows"),
        pytest.param(9, (0, 3, 6), 3, id="windows side by side"),
        pytest.param(12, (1, 9), 2, id="columns of zeros"),
        pytest.param(7, (3,), 2, id="one window of some columns"),
    ],
)
def test_transposing(columns: int, starts: tuple[int, ...], width: int) -> None:
    matrices = banded(columns, starts, width)
    transposed = matrices.transposed()
    assert torch.equal(dense(transposed), dense(matrices).mT)
    assert len(transposed.blocks) <= max(len(starts), 1)


def test_transposed_windows_have_no_outer_zeros() -> None:
    matrices = banded(60, tuple(range(0, 57, 3)), 3)
    transposed = matrices.transposed()
    assert len(transposed.blocks) > 10
    assert max(block.shape[2] for block in transposed.blocks) <= 6
