"""Where the matrices of all heads lie in memory.

Products are fast where rows of inputs are in one piece. A convolution's weight has them
if it is channels last; torch's own order has the heads inside. Copies have the order of
channels last: with one head after the other they would take up to twice as long.
"""

import torch

from expressivity.heads.buffers import Buffers
from expressivity.heads.projections import Matrices


def with_rows_in_one_piece(
    buffers: Buffers, name: str, matrices: Matrices | None
) -> Matrices | None:
    """Return matrices with rows of inputs in one piece: others are copied.

    Args:
        buffers: Memory for a copy.
        name: Of the buffer.
        matrices: (heads, groups, inputs, outputs), or none.
    """
    if matrices is None or _are_rows_in_one_piece(matrices):
        return matrices
    return _copy_like(buffers, name, matrices).copy_(matrices)


def empty_derivative(
    buffers: Buffers, name: str, matrices: Matrices, images: int
) -> Matrices:
    """Return memory for the derivative of matrices of all heads.

    It is not initialised, as the first piece overwrites it, but zero if there is none.

    Args:
        buffers: Memory that pieces add to faster, if there is such.
        name: Of the buffer.
        matrices: (heads, groups, inputs, outputs).
        images: How many there are.
    """
    if _are_rows_in_one_piece(matrices):
        total = torch.empty_like(matrices)
    else:
        total = _copy_like(buffers, name, matrices)
    return total if images else total.zero_()


def whole_derivative(total: Matrices, matrices: Matrices) -> Matrices:
    """Return what pieces have added up, in memory that nothing else uses."""
    if _are_rows_in_one_piece(matrices):
        return total
    return torch.empty_like(matrices).copy_(total)


def _are_rows_in_one_piece(matrices: Matrices) -> bool:
    """Whether products of the matrices of all heads are fast."""
    rows = matrices.mT
    if matrices.shape[1] > 1:  # with groups, every head has to be in one piece
        return rows.is_contiguous()
    return rows.stride(-1) == 1 and rows.stride(-2) >= rows.shape[-1]


def _copy_like(buffers: Buffers, name: str, matrices: Matrices) -> Matrices:
    """Return memory for a copy with rows in one piece: (outputs, heads, inputs)."""
    heads, groups, inputs, outputs = matrices.shape
    if groups > 1:
        return buffers(name, *matrices.mT.shape).mT
    return buffers(name, outputs, heads, inputs).permute(1, 2, 0)[:, None]
