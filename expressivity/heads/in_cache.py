"""Heads with α and Δ of their own on a CPU: piece by piece, in buffers.

Some images, or a strip of one, stay in the cache while some heads smooth them. See
:mod:`expressivity.heads.recomputed` for what is computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import (
    Piece,
    add_pairs,
    add_projected,
    blocks_of,
    pieces_of,
    project,
    rows_of,
    width_after,
)


def output(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Tensor | None,
    after: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Return b + Σ_h M_h (X A_h) B_h, as :func:`recomputed.attend` describes it."""
    outputs = width_after(after, width_after(before, x.shape[-1]))
    result = x.new_empty(len(x), *(along.rows for along in matrices), outputs)
    for piece in pieces_of(x, matrices, before):
        target, place = piece.of_queries(result), piece.place
        is_view = target.is_contiguous()
        total = rows_of(target) if is_view else piece.buffer("total", *target.shape)
        total = rows_of(total)
        if place.begins:
            total.zero_() if bias is None else total.copy_(bias.expand_as(total))
        smoothed = piece.smooth()
        if after is None:
            total.add_(smoothed.sum(0))
        else:
            add_projected(total, smoothed, after[place.heads])
        if place.ends and not is_view:
            target.copy_(total.view(target.shape))
    return result


def derivatives(
    gradient: Tensor,
    needed: Sequence[bool],
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Tensor | None,
    after: Tensor | None,
) -> list[Tensor | None]:
    """Return the derivatives with respect to x, A, B, b and all blocks.

    Args:
        gradient: The derivative of a scalar with respect to the output.
        needed: Which of them are needed; the others are ``None``.
        x: Tokens.
        matrices: The matrices of all heads, one entry an axis.
        before: A.
        after: B.
    """
    blocks = [block for along in matrices for block in along.blocks]
    sources = [x, before, after, None, *blocks]
    results = [
        None if source is None or not wanted else torch.empty_like(source)
        for source, wanted in zip(sources, needed, strict=True)
    ]
    for index, total in enumerate(results):  # the first piece writes those of A and B
        if total is not None and (index not in (1, 2) or not len(x)):
            total.zero_()
    gradient = gradient.contiguous()
    for piece in pieces_of(x, matrices, before):
        heads = piece.place.heads
        own_before, own_after, along_before, along_after = (
            None if tensor is None else tensor[heads]
            for tensor in (before, after, *results[1:3])
        )
        along_blocks = blocks_of(piece, matrices, results[4:])
        part = rows_of(piece.of_queries(gradient))
        of_tokens = results[0] is not None or along_before is not None
        of_blocks = any(total is not None for axis in along_blocks for total in axis)
        if of_blocks or along_after is not None:
            smoothed = piece.smooth()
            if along_after is not None:
                empty = piece.place.is_first
                add_pairs(along_after, smoothed, part[None], empty=empty)
        if of_blocks or of_tokens:
            error = _derive_blocks(piece, part, own_after, along_blocks)
            if of_tokens:
                _derive_tokens(piece, error, own_before, results[0], along_before)
    if needed[3]:
        results[3] = gradient.flatten(0, -2).sum(0)
    return results


def _derive_blocks(
    piece: Piece,
    gradient: Tensor,
    after: Tensor | None,
    totals: Sequence[Sequence[Tensor | None]],
) -> Tensor:
    """Add the derivatives of the blocks, and return those above the first axis.

    Args:
        piece: The piece.
        gradient: The derivative with respect to its outputs, (queries, outputs).
        after: B of its heads.
        totals: The derivatives of the blocks of each axis so far, of its heads;
            ``None`` for those that are not needed.

    Returns:
        (heads, lead, rows, trail) of the first axis.
    """
    heads = piece.shape[0]
    error = gradient.expand(heads, -1, -1)
    if after is not None:
        width = after.shape[1] * after.shape[2]
        error = piece.buffer("error", heads, len(gradient), width)
        project(gradient, after.mT, error)
    for axis, along in zip(reversed(piece.axes), reversed(totals), strict=True):
        error = error.view(axis.above.shape)
        axis.add_outer(error, along)
        if axis is not piece.axes[0]:
            error = axis.pulled(error)
    return error


def _derive_tokens(
    piece: Piece,
    error: Tensor,
    before: Tensor | None,
    along_x: Tensor | None,
    along_before: Tensor | None,
) -> None:
    """Add the derivatives with respect to x and A, given those above the first axis."""
    first = piece.axes[0]
    if before is None:
        if along_x is not None:
            total = piece.of_tokens(along_x)
            with _in_one_piece(piece, total) as whole:
                first.add_pulled(error, whole.view(first.below.shape[1:]))
        return
    pulled = first.pulled(error).view(len(error), -1, before.shape[1] * before.shape[3])
    if along_before is not None:
        tokens = rows_of(piece.of_tokens(piece.x))[None]
        add_pairs(along_before, tokens, pulled, empty=piece.place.is_first)
    if along_x is not None:
        with _in_one_piece(piece, piece.of_tokens(along_x)) as whole:
            add_projected(rows_of(whole), pulled, before.mT)


@contextmanager
def _in_one_piece(piece: Piece, total: Tensor) -> Iterator[Tensor]:
    """Yield memory in one piece, and add what is added to it there."""
    if total.is_contiguous():
        yield total
        return
    whole = piece.buffer("whole", *total.shape).zero_()
    yield whole
    total.add_(whole)
