"""The backward pass of heads with α and Δ of their own on a CPU, in buffers.

The smoothed tokens are computed again, piece by piece as in the forward pass, and the
errors of all tokens, which are derivatives with respect to them, axis by axis from the
last to the first. See :mod:`expressivity.heads.recomputed` for the formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import torch
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.contraction import contract, contract_all, outer, products
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import (
    Piece,
    each_head,
    pieces_of,
    with_an_axis,
    with_rows_in_one_piece,
)
from expressivity.heads.projections import add_pairs, add_projected, project


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
    if len(matrices) == 1:
        wanted, more = [*needed[:4], False, *needed[4:]], with_an_axis(matrices)
        along_x, *rest = derivatives(
            gradient[:, None], wanted, x[:, None], more, before, after
        )
        return [None if along_x is None else along_x[:, 0], *rest[:3], *rest[4:]]
    buffers, sources = Buffers(x), (before, after)
    before = with_rows_in_one_piece(buffers, "A", before)
    after = with_rows_in_one_piece(buffers, "B", after)
    totals = _Totals.of(buffers, needed, x, before, after, matrices)
    for piece in pieces_of(x, matrices, before, buffers):
        if totals.x is not None and piece.is_first and not piece.is_alone:
            totals.x.zero_()
        own = piece.of_queries(gradient)
        if totals.after is not None:
            _derive_after(piece, own, totals.after)
        if totals.need_errors_below(len(matrices)):
            errors = _derive_last(piece, own, after, totals)
            if errors is not None:
                errors = _derive_others(piece, errors, totals)
                _derive_tokens(piece, errors, before, totals)
    projections = [
        None
        if source is None or total is None
        else torch.empty_like(source).copy_(total)
        for source, total in zip(sources, (totals.before, totals.after), strict=True)
    ]
    along_bias = gradient.flatten(0, -2).sum(0) if needed[3] else None
    blocks = [total for along in totals.blocks for total in along]
    return [totals.x, *projections, along_bias, *blocks]


@dataclass(frozen=True)
class _Totals:
    """The derivatives so far; ``None`` for those that are not needed.

    Attributes:
        x: That of the tokens. Pieces write it before they read it, as the next two.
        before: That of A, in a buffer.
        after: That of B, in a buffer.
        blocks: Those of the blocks of each axis.
    """

    x: Tensor | None
    before: Tensor | None
    after: Tensor | None
    blocks: tuple[tuple[Tensor | None, ...], ...]

    @classmethod
    def of(
        cls,
        buffers: Buffers,
        needed: Sequence[bool],
        x: Tensor,
        before: Tensor | None,
        after: Tensor | None,
        matrices: Sequence[HeadMatrices],
    ) -> Self:
        def empty(name: str, own: Tensor | None, *, wanted: bool) -> Tensor | None:
            if own is None or not wanted:
                return None
            total = buffers(f"along {name}", *own.mT.shape).mT
            return total if len(x) else total.zero_()

        rest = iter(needed[4:])
        blocks = tuple(
            tuple(
                torch.zeros_like(block) if wanted else None
                for block, wanted in zip(
                    along.blocks, islice(rest, len(along.blocks)), strict=True
                )
            )
            for along in matrices
        )
        return cls(
            torch.empty_like(x) if needed[0] else None,
            empty("A", before, wanted=needed[1]),
            empty("B", after, wanted=needed[2]),
            blocks,
        )

    def need_errors_below(self, axis: int) -> bool:
        """Whether a total needs the errors of the tokens before some axis."""
        lower = [block for along in self.blocks[:axis] for block in along]
        return any(total is not None for total in (self.x, self.before, *lower))


def _derive_after(piece: Piece, gradient: Tensor, total: Tensor) -> None:
    """Add the derivative of B, given the errors (*queries, images, outputs)."""
    errors = piece.in_one_piece("gradient", gradient)
    for own, tokens in zip(total, piece.smoothed(), strict=True):
        add_pairs(own, tokens, errors, empty=piece.is_first)


def _derive_last(
    piece: Piece, gradient: Tensor, after: Tensor | None, totals: _Totals
) -> Tensor | None:
    """Add the derivative of the block along the last axis.

    Args:
        piece: The piece.
        gradient: The errors of its outputs, (*queries, images, outputs).
        after: B.
        totals: Where derivatives are added.

    Returns:
        The errors of the tokens before the product along the last axis, (heads,
        *others, columns, images · width); ``None`` if nothing needs them.
    """
    axis, last, heads = len(totals.blocks) - 1, piece.last, piece.heads
    turned = piece.in_one_piece("turned gradient", gradient.movedim(-3, 0))
    error, result = turned.flatten(-2), None
    if after is not None:
        width = turned.shape[-2] * after.shape[1] * after.shape[2]
        error = piece.buffer("error", *turned.shape[:-2], width)
    total, below = totals.blocks[axis][last.index], piece.below(axis)
    pulls: Sequence[tuple[Tensor, ...] | None] = [None] * heads
    if totals.need_errors_below(axis):
        result = piece.errors(axis, *error.shape[1:])
        targets = result.flatten(1, -3)
        back = products(last.matrices.mT, error[None])
        pulls = [(*pair, out) for pair, out in zip(back, targets, strict=True)]
    every = zip(
        each_head(after, heads),
        each_head(total, heads),
        below.flatten(2).expand(heads, -1, -1),
        pulls,
        strict=True,
    )
    for matrix, own, tokens, pull in every:
        if matrix is not None:
            project(turned, matrix.mT, error)
        if own is not None:
            own.addmm_(error.flatten(1), tokens.mT)
        if pull is not None:
            torch.bmm(*pull[:2], out=pull[2])
    return result


def _derive_others(piece: Piece, errors: Tensor, totals: _Totals) -> Tensor:
    """Add the derivatives of the blocks along the other axes.

    Args:
        piece: The piece.
        errors: What :func:`_derive_last` returns.
        totals: Where derivatives are added.

    Returns:
        The errors of the tokens after the product along the first axis, (heads, rows,
        *others, images · width).
    """
    for axis in reversed(range(len(piece.strip.blocks))):
        # This axis comes first, the one whose product came after it second.
        errors = errors.movedim((-3, -2), (1, 2))
        below = piece.below(axis)
        for block in piece.strip.blocks[axis]:
            total = totals.blocks[axis][block.index]
            if total is not None:
                # Of the first axis, the strip has one block and its window alone.
                rows = errors[:, block.rows] if axis else errors
                columns = below[:, block.columns] if axis else below
                total[:, block.part].add_(outer(rows, columns))
        if axis == 0 or not totals.need_errors_below(axis):
            break
        result = piece.errors(axis, *errors.shape[2:]).zero_()
        for block in piece.strip.blocks[axis]:
            target = result[..., block.columns, :]
            part = piece.buffer("part", *target.shape)
            contract(block.matrices.mT, errors[:, block.rows], part)
            target.add_(part)
        errors = result
    return errors


def _derive_tokens(
    piece: Piece, errors: Tensor, before: Tensor | None, totals: _Totals
) -> None:
    """Add the derivatives of tokens and A.

    Args:
        piece: The piece.
        errors: What :func:`_derive_others` returns.
        before: A.
        totals: Where derivatives are added.
    """
    if totals.x is None and totals.before is None:
        return
    matrices = piece.strip.blocks[0][0].matrices.mT
    tokens = piece.of_tokens(piece.strip.x)
    along_x = piece.buffer("along x", *tokens.shape)
    if before is None:
        contract_all(matrices, errors, along_x.flatten(-2))
    else:
        pulled = piece.errors(0, *errors.shape[2:])
        contract(matrices, errors, pulled)
        if totals.before is not None:
            flat = piece.in_one_piece("turned x", tokens)
            for own, error in zip(totals.before, pulled, strict=True):
                add_pairs(own, flat, error, empty=piece.is_first)
        along_x.zero_()
        for matrix, error in zip(before.mT, pulled, strict=True):
            add_projected(along_x, error, matrix)
    if totals.x is not None:
        target = piece.of_tokens(totals.x)
        target.copy_(along_x) if piece.is_alone else target.add_(along_x)
