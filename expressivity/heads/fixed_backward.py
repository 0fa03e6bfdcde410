"""The backward pass of heads whose α and Δ are fixed, on a CPU, in buffers.

Projections may come before the smoothing or after it, with the same output. For fixed
matrices the errors before smoothing, S_h = M_hᵀ G, then give all derivatives,
Σ_h S_h B_hᵀ and Xᵀ S_h: no smoothed tokens are computed again.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import images_of
from expressivity.heads.projections import Matrices, add_pairs, add_projected
from expressivity.heads.weight_rows import (
    empty_derivative,
    whole_derivative,
    with_rows_in_one_piece,
)


def smooths_less(needed: Sequence[bool], before: Tensor | None, after: Tensor) -> bool:
    """Return whether :func:`derivatives` returns all derivatives, and is faster.

    Args:
        needed: Which derivatives are needed: those of x, A, B, b and all blocks.
        before: A.
        after: B.
    """
    if before is not None or any(needed[4:]):
        return False
    inputs, outputs = after.shape[2:]
    smoothings = int(needed[0]) + int(needed[2])  # of errors, and of tokens
    return bool(outputs <= smoothings * inputs)


def derivatives(
    gradient: Tensor,
    needed: Sequence[bool],
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    after: Tensor,
) -> list[Tensor | None]:
    """Return the derivatives with respect to x, A, B, b and all blocks.

    Args:
        gradient: The derivative of a scalar with respect to the output.
        needed: Which of them are needed; the others are ``None``.
        x: Tokens.
        matrices: The matrices of all heads, one entry an axis.
        after: B. There is no A.
    """
    buffers, inputs = Buffers(x.dtype), x.shape[-1]
    along_x = torch.empty_like(x) if needed[0] else None
    total = empty_derivative(buffers, "along B", after, len(x)) if needed[2] else None
    along_bias = gradient.sum(tuple(range(gradient.dim() - 1))) if needed[3] else None
    back = cast("Matrices", with_rows_in_one_piece(buffers, "B", after)).mT
    target = along_x
    if len(matrices) == 1:
        x, gradient = x[:, :, None], gradient[:, :, None]
        target = None if target is None else target[:, :, None]
    transposed, empty = [along.transposed() for along in matrices], True
    for images in images_of(gradient, transposed, None, buffers):
        for strip, block in images.pieces():
            errors = strip.smoothed(block)
            if total is not None:
                own = buffers.in_one_piece("tokens", strip.of_queries(x, block))
                rows = own.view(1, -1, inputs)
                add_pairs(total, rows, errors, buffers, empty=empty)
                empty = False
            if target is not None:
                part = strip.of_queries(target, block)
                own = buffers("along x", *part.shape).zero_()
                add_projected(own.view(-1, inputs), errors, back, buffers)
                part.copy_(own)
    along_after = None if total is None else whole_derivative(total, after)
    blocks = [None for along in matrices for _ in along.blocks]
    return [along_x, None, along_after, along_bias, *blocks]
