"""Heads with α and Δ of their own on a CPU: head by head, in buffers.

Some images, or a strip of one, stay in the cache of a core while all heads smooth them.
See :mod:`expressivity.heads.recomputed` for what is computed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import Piece, pieces_of, projected_by, width_after
from expressivity.heads.projections import paired


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
        total = piece.of_queries(result)
        is_view = total.is_contiguous()
        total = piece.rows_of(total) if is_view else piece.buffer("total", outputs)
        total.zero_() if bias is None else total.copy_(bias.expand_as(total))
        for head in range(matrices[0].heads):
            smoothed = piece.smooth(head)
            if after is None:
                total.add_(smoothed)
            elif after.shape[1] == 1:
                total.addmm_(smoothed, after[head, 0])
            else:
                total.add_(projected_by(smoothed, after[head]))
        if not is_view:
            target = piece.of_queries(result)
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
        torch.zeros_like(source) if wanted and source is not None else None
        for source, wanted in zip(sources, needed, strict=True)
    ]
    gradient = gradient.contiguous()
    along_x, along_before, along_after, _, *along_blocks = results
    by_head = [None if block is None else block.unbind() for block in along_blocks]
    totals = _Totals(along_x, along_before, along_after, by_head)
    for piece in pieces_of(x, matrices, before):
        part = piece.rows_of(piece.of_queries(gradient))
        for head in range(matrices[0].heads):
            _derive(piece, head, part, before, after, totals)
    if needed[3]:
        results[3] = gradient.flatten(0, -2).sum(0)
    return results


class _Totals:
    """Derivatives as far as they have been added up; ``None`` for those not needed.

    Attributes:
        x: Of the tokens.
        before: Of A.
        after: Of B.
        blocks: Of the blocks of all axes, head by head.
        of_tokens: Whether those of the projected tokens are needed.
        of_blocks: Whether those of some block are needed.
    """

    def __init__(
        self,
        x: Tensor | None,
        before: Tensor | None,
        after: Tensor | None,
        blocks: list[tuple[Tensor, ...] | None],
    ) -> None:
        self.x, self.before, self.after, self.blocks = x, before, after, blocks
        self.of_tokens = x is not None or before is not None
        self.of_blocks = any(block is not None for block in blocks)


def _derive(
    piece: Piece,
    head: int,
    gradient: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    totals: _Totals,
) -> None:
    """Add the derivatives of one head, given those with respect to its outputs."""
    if totals.of_blocks or totals.after is not None:
        smoothed = piece.smooth(head)
        if totals.after is not None:
            _add_pairs(totals.after[head], smoothed, gradient)
    if not (totals.of_blocks or totals.of_tokens):
        return
    error = gradient
    if after is not None:
        error = piece.buffer("error", after.shape[1] * after.shape[2])
        if after.shape[1] == 1:
            torch.mm(gradient, after[head, 0].mT, out=error)
        else:
            error.copy_(projected_by(gradient, after[head].mT))
    for axis in reversed(piece.axes):
        error = error.reshape(axis.above.shape)
        if totals.of_blocks:
            axis.add_outer(head, error, totals.blocks)
        if axis is not piece.axes[0]:
            error = axis.pulled(head, error)
    if totals.of_tokens:
        _derive_tokens(piece, head, error, before, totals)


def _derive_tokens(
    piece: Piece, head: int, error: Tensor, before: Tensor | None, totals: _Totals
) -> None:
    """Add the derivatives with respect to x and A, given those above the first axis."""
    first, target = piece.axes[0], None
    if totals.x is not None:
        target = piece.of_tokens(totals.x)
    if before is None:
        if target is None:
            return
        if target.is_contiguous():
            first.add_pulled(head, error, target.view_as(first.below))
        else:
            target.add_(first.pulled(head, error).view(target.shape))
        return
    error = first.pulled(head, error).view(-1, first.width)
    if totals.before is not None:
        tokens = piece.of_tokens(piece.x).reshape(len(error), -1)
        _add_pairs(totals.before[head], tokens, error)
    if target is not None:
        target.add_(projected_by(error, before[head].mT).view(target.shape))


def _add_pairs(total: Tensor, inputs: Tensor, outputs: Tensor) -> None:
    """Add Σ inputs outputsᵀ to the derivative of a head's projection."""
    if total.shape[0] == 1:
        total[0].addmm_(inputs.mT, outputs)
    else:
        total.add_(paired(inputs[None], outputs[None], total.shape[0])[0])
