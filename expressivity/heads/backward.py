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
from expressivity.heads.contraction import (
    add_outer,
    as_matrices,
    contract,
    contract_all,
    outer,
    products,
)
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import Piece, pieces_of
from expressivity.heads.projections import (
    Projection,
    add_pairs,
    add_projected,
    project,
    project_for_each,
    width_after,
)
from expressivity.heads.weight_rows import (
    each_matrix,
    empty_derivative,
    whole_derivative,
    with_rows_in_one_piece,
)


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
    buffers = Buffers(x.dtype)
    first = with_rows_in_one_piece(buffers, "A", before)
    last = with_rows_in_one_piece(buffers, "B", after)
    totals = _Totals.of(buffers, needed, x, before, after, matrices)
    along_x = totals.x
    if len(matrices) == 1:
        x, gradient = x[:, :, None], gradient[:, :, None]
        along_x = None if along_x is None else along_x[:, :, None]
    for piece in pieces_of(x, matrices, first, buffers):
        if along_x is not None and piece.is_first and not piece.is_alone:
            along_x.zero_()
        own = piece.of_queries(gradient)
        if totals.after is not None:
            _derive_after(piece, own, totals.after)
        if totals.need_errors_below(len(matrices)):
            errors = _derive_last(piece, own, last, totals)
            if errors is not None:
                errors = _derive_others(piece, errors, totals)
                _derive_tokens(piece, errors, first, totals.before, along_x)
    projections = [
        None if source is None or total is None else whole_derivative(total, source)
        for source, total in ((before, totals.before), (after, totals.after))
    ]
    along_bias = gradient.flatten(0, -2).sum(0) if needed[3] else None
    blocks = [total for along in totals.blocks for total in along]
    return [totals.x, *projections, along_bias, *blocks]


@dataclass(frozen=True)
class _Totals:
    """The derivatives so far; ``None`` for those that are not needed.

    Attributes:
        x: That of the tokens. Pieces write it before they read it, as the next two.
        before: That of A.
        after: That of B.
        blocks: Those of the blocks of each axis.
    """

    x: Tensor | None
    before: Projection | None
    after: Projection | None
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
        def empty(
            name: str, source: Tensor | None, *, wanted: bool
        ) -> Projection | None:
            if source is None or not wanted:
                return None
            total = empty_derivative(buffers, f"along {name}", source)
            if not len(x):
                total.matrices.zero_()
            return total

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


def _derive_after(piece: Piece, gradient: Tensor, total: Projection) -> None:
    """Add the derivative of B, given the errors (*queries, images, outputs)."""
    errors = piece.in_one_piece("gradient", gradient)
    rows = errors.view(-1, errors.shape[-1])
    for own, tokens in zip(total.each, piece.smoothed(), strict=True):
        add_pairs(own, tokens, rows, empty=piece.is_first)


def _derive_last(
    piece: Piece, gradient: Tensor, after: Projection | None, totals: _Totals
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
    *queries, images, outputs = gradient.shape
    back = None if after is None else after.transposed
    width = width_after(back, outputs)
    if piece.last is None:  # no product
        result = piece.buffer("before last", piece.heads, *queries, images * width)
        straight = piece.in_one_piece("gradient", gradient)
        project_for_each(straight, None if back is None else back.matrices, result)
        return result
    matrices, axis = piece.last.matrices, len(totals.blocks) - 1
    total, errors = totals.blocks[axis][piece.last.index], None
    # Of two axes, the last one first makes the sum over pairs one product.
    is_turned = len(totals.blocks) == 2
    given = gradient.movedim(-3, 0) if is_turned else gradient
    given = piece.in_one_piece("turned gradient", given)
    error = given.flatten(-2)
    if after is not None:
        error = piece.buffer("error", *given.shape[:-2], images * width)
    turned = error if is_turned else error.movedim(-2, 0)
    pulls: Sequence[tuple[Tensor, ...] | None] = [None] * piece.heads
    if totals.need_errors_below(axis):
        shape = (*turned.shape[1:-1], matrices.shape[2], images * width)
        errors = piece.buffer("before last", piece.heads, *shape)
        pairs = products(matrices.mT, turned[None])
        targets = errors.flatten(1, -3)
        pulls = [(*pair, out) for pair, out in zip(pairs, targets, strict=True)]
    every = zip(
        each_matrix(back, piece.heads),
        [None] * piece.heads if total is None else total.unbind(),
        piece.below_last.expand(piece.heads, *piece.below_last.shape[1:]).unbind(),
        pulls,
        strict=True,
    )
    rows = as_matrices(turned)
    flat, flat_error = given.view(-1, outputs), error.view(-1, width)
    for matrix, own, tokens, pull in every:
        if matrix is not None:
            project(flat, matrix, flat_error)
        if own is not None:
            add_outer(own, rows, as_matrices(tokens))
        if pull is not None:
            torch.bmm(*pull[:2], out=pull[2])
    return errors


def _derive_others(piece: Piece, errors: Tensor, totals: _Totals) -> Tensor:
    """Add the derivatives of the blocks along the other axes.

    Args:
        piece: The piece.
        errors: What :func:`_derive_last` returns.
        totals: Where derivatives are added.

    Returns:
        The errors of the tokens after the product along the first axis, (heads, rows,
        second, width).
    """
    errors, first = errors.flatten(3), piece.strip.first
    if piece.strip.middle:
        errors = _derive_middle(piece, errors.transpose(1, 2), totals)
    total = totals.blocks[0][first.index]
    if total is not None:
        total[:, first.part].add_(outer(errors, piece.below(0)))
    return errors


def _derive_middle(piece: Piece, errors: Tensor, totals: _Totals) -> Tensor:
    """Add the derivatives of the blocks along the second axis of three.

    Args:
        piece: The piece.
        errors: (heads, second, first, width).
        totals: Where derivatives are added.

    Returns:
        The errors of the tokens before the product along it, (heads, first, second,
        width).
    """
    below = piece.below(1)
    heads, _, other, width = errors.shape
    result = piece.buffer("before middle", heads, other, below.shape[1], width).zero_()
    for block in piece.strip.middle:
        total, own = totals.blocks[1][block.index], errors[:, block.rows]
        if total is not None:
            total.add_(outer(own, below[:, block.columns]))
        target = result[:, :, block.columns]
        part = piece.buffer("part", *target.shape)
        contract(block.matrices.mT, own, part)
        target.add_(part)
    return result


def _derive_tokens(
    piece: Piece,
    errors: Tensor,
    before: Projection | None,
    along_before: Projection | None,
    along_x: Tensor | None,
) -> None:
    """Add the derivatives of tokens and A.

    Args:
        piece: The piece.
        errors: What :func:`_derive_others` returns.
        before: A.
        along_before: Its derivative.
        along_x: That of the tokens.
    """
    if along_x is None and along_before is None:
        return
    matrices, tokens = piece.strip.first.matrices.mT, piece.of_tokens(piece.strip.x)
    own_x, channels = piece.buffer("along x", *tokens.shape), tokens.shape[-1]
    together = 1 if piece.strip.is_narrow else 2
    errors = errors.flatten(1 + together)
    if before is None:
        contract_all(matrices, errors, own_x.flatten(together))
    else:
        width = errors.shape[-1]
        shape = (*own_x.shape[:2], width) if together == 2 else (len(own_x), width)
        pulled = piece.buffer("before first", piece.heads, *shape)
        contract(matrices, errors, pulled)
        own_width = width_after(before, channels)
        each = pulled.view(piece.heads, -1, own_width).unbind()
        if along_before is not None:
            flat = piece.in_one_piece("turned x", tokens).view(-1, channels)
            for own, error in zip(along_before.each, each, strict=True):
                add_pairs(own, flat, error, empty=piece.is_first)
        rows = own_x.zero_().view(-1, channels)
        for matrix, error in zip(before.transposed.each, each, strict=True):
            add_projected(rows, error, matrix)
    if along_x is not None:
        target = piece.of_tokens(along_x)
        target.copy_(own_x) if piece.is_alone else target.add_(own_x)
