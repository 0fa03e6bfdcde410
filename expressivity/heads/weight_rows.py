"""Where the matrices of all heads lie in memory.

Products are fast where rows of inputs are in one piece. A convolution's weight has them
if it is channels last; torch's own order has the heads inside. Copies have the order of
channels last: with one head after the other they would take up to twice as long.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.projections import Matrix, Projection


def with_rows_in_one_piece(
    buffers: Buffers, name: str, matrices: Tensor | None
) -> Projection | None:
    """Return a projection whose matrices have rows of inputs in one piece.

    It is a view of matrices that have them, and a copy of others.

    Args:
        buffers: Memory for a copy.
        name: Of the buffer.
        matrices: (heads, groups, inputs, outputs), or none.
    """
    if matrices is None or _are_rows_in_one_piece(matrices):
        return None if matrices is None else Projection.of(matrices)
    return Projection.of(_copy_like(buffers, name, matrices).copy_(matrices))


def empty_derivative(buffers: Buffers, name: str, matrices: Tensor) -> Projection:
    """Return uninitialised memory for the derivative of matrices of all heads.

    Args:
        buffers: Memory that pieces add to faster, if there is such.
        name: Of the buffer.
        matrices: (heads, groups, inputs, outputs).
    """
    if _are_rows_in_one_piece(matrices):
        return Projection.of(torch.empty_like(matrices))
    return Projection.of(_copy_like(buffers, name, matrices))


def whole_derivative(total: Projection, matrices: Tensor) -> Tensor:
    """Return what pieces have added up, in memory that nothing else uses."""
    if _are_rows_in_one_piece(matrices):
        return total.matrices
    return torch.empty_like(matrices).copy_(total.matrices)


def _are_rows_in_one_piece(matrices: Tensor) -> bool:
    """Whether products of the matrices of all heads are fast."""
    rows = matrices.mT
    if matrices.shape[1] > 1:  # with groups, every head has to be in one piece
        return rows.is_contiguous()
    return rows.stride(-1) == 1 and rows.stride(-2) >= rows.shape[-1]


def _copy_like(buffers: Buffers, name: str, matrices: Tensor) -> Tensor:
    """Return memory for a copy with rows in one piece: (outputs, heads, inputs)."""
    heads, groups, inputs, outputs = matrices.shape
    if groups > 1:
        return buffers(name, *matrices.mT.shape).mT
    return buffers(name, outputs, heads, inputs).permute(1, 2, 0)[:, None]


def each_matrix(
    projection: Projection | None, heads: int
) -> Sequence[Matrix] | Sequence[None]:
    """Return the matrix of each head, or as many times none."""
    return [None] * heads if projection is None else projection.each
