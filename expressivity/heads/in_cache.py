"""Heads with α and Δ of their own on a CPU: piece by piece, in buffers.

Some images, or a strip of one, stay in the cache while all heads smooth them. See
:mod:`expressivity.heads.recomputed` for what is computed, and
:mod:`expressivity.heads.backward` for the backward pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import images_of
from expressivity.heads.projections import add_projected, width_after
from expressivity.heads.weight_rows import with_rows_in_one_piece


def output(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Tensor | None,
    after: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Return b + Σ_h M_h (X A_h) B_h, as :func:`recomputed.attend` describes it.

    It lies in memory as ``x`` does: channels after the tokens of an image, or before.
    """
    buffers = Buffers(x.dtype)
    first = with_rows_in_one_piece(buffers, "A", before)
    last = with_rows_in_one_piece(buffers, "B", after)
    outputs = width_after(last, width_after(first, x.shape[-1]))
    result = _images_like(x, [along.rows for along in matrices], outputs)
    images = result
    if len(matrices) == 1:
        x, images = x[:, :, None], result[:, :, None]
    for some in images_of(x, matrices, first, buffers):
        for strip, block in some.pieces():
            target = strip.of_queries(images, block)
            total = buffers("total", *target.shape)
            total.zero_() if bias is None else total.copy_(bias.expand_as(total))
            rows = total.view(-1, outputs)
            add_projected(rows, strip.smoothed(block), last, buffers)
            target.copy_(total)
    return result


def _images_like(x: Tensor, size: Sequence[int], channels: int) -> Tensor:
    """Return memory for images, in the order of the dimensions that others have."""
    order = list(range(x.dim()))
    if x.movedim(-1, 1).is_contiguous() and not x.is_contiguous():
        order.insert(1, order.pop())
    # Forward mode wants a tensor that is no view of another.
    shape = (len(x), *size, channels)
    return torch.empty_permuted(shape, order, dtype=x.dtype, device=x.device)
