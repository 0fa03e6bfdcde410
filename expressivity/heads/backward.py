"""The backward pass of heads with α and Δ of their own on a CPU, in buffers.

The smoothed tokens are computed again, piece by piece as in the forward pass, and the
errors of all tokens, which are derivatives with respect to them, axis by axis from the
last to the first. See :mod:`expressivity.heads.recomputed` for the formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.contraction import (
    Tokens,
    add_outer,
    contract,
    contract_all,
    stacked,
)
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.pieces import Block, Images, Strip, images_of, turned
from expressivity.heads.projections import (
    Matrices,
    add_pairs,
    add_projected,
    project,
    width_after,
)
from expressivity.heads.weight_rows import (
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
    along_bias = gradient.sum(tuple(range(gradient.dim() - 1))) if needed[3] else None
    if totals.need_errors():
        along_x = totals.x
        if len(matrices) == 1:
            x, gradient = x[:, :, None], gradient[:, :, None]
            along_x = None if along_x is None else along_x[:, :, None]
        is_first = True
        for images in images_of(x, matrices, first, buffers):
            _derive_images(images, gradient, last, totals, along_x, empty=is_first)
            is_first = False
    projections = [
        None if source is None or total is None else whole_derivative(total, source)
        for source, total in ((before, totals.before), (after, totals.after))
    ]
    blocks = [total for along in totals.blocks for total in along]
    return [totals.x, *projections, along_bias, *blocks]


@dataclass(frozen=True)
class _Totals:
    """The derivatives so far; ``None`` for those that are not needed.

    Attributes:
        x: That of the tokens.
        before: That of A. Pieces write it before they read it, as the next one.
        after: That of B.
        blocks: Those of the blocks of each axis.
    """

    x: Tensor | None
    before: Matrices | None
    after: Matrices | None
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
        def empty(name: str, source: Tensor | None, *, wanted: bool) -> Matrices | None:
            if source is None or not wanted:
                return None
            return empty_derivative(buffers, f"along {name}", source, len(x))

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

    def need_errors(self) -> bool:
        """Whether any total needs more than the sum of the gradient."""
        return self.after is not None or self.need_errors_below(len(self.blocks))

    def need_errors_below(self, axis: int) -> bool:
        """Whether a total needs the errors of the tokens before some axis."""
        return self._lowest < axis

    @cached_property
    def _lowest(self) -> int:
        """The first axis with a total, −1 if there is one of x or A."""
        if self.x is not None or self.before is not None:
            return -1
        wanted = [any(t is not None for t in along) for along in self.blocks]
        return [*wanted, True].index(True)


def _derive_images(
    images: Images,
    gradient: Tensor,
    after: Matrices | None,
    totals: _Totals,
    along_x: Tensor | None,
    *,
    empty: bool,
) -> None:
    """Add all derivatives that come from some images.

    Args:
        images: The images.
        gradient: The errors of all outputs, (batch, *queries, outputs).
        after: B.
        totals: Where derivatives are added.
        along_x: That of the tokens, with two axes at least.
        empty: Whether nothing is in the derivatives of A and B yet.
    """
    buffers, own_x = images.layer.buffers, None
    if along_x is not None:
        own_x = buffers("along x", *images.x.shape)
        if not images.blocks[0].is_whole:
            own_x.zero_()
    for strip in images.strips():
        errors = _derive_last(strip, gradient, after, totals, empty=empty)
        if errors is not None:
            errors = _derive_middle(strip, errors, totals)
            total = totals.blocks[0][strip.first.index]
            if total is not None:
                part = total[:, strip.first.part]
                add_outer(part, errors, strip.window.tokens, buffers)
            _derive_tokens(strip, errors, totals.before, own_x, empty=empty)
        empty = False
    if along_x is not None and own_x is not None:
        turned(along_x[images.those]).copy_(own_x)


def _derive_last(
    strip: Strip,
    gradient: Tensor,
    after: Matrices | None,
    totals: _Totals,
    *,
    empty: bool,
) -> Tokens | None:
    """Add the derivatives of B and of the blocks along the last axis.

    Args:
        strip: The strip.
        gradient: The errors of all outputs, (batch, *queries, outputs).
        after: B.
        totals: Where derivatives are added.
        empty: Whether nothing is in the derivative of B yet.

    Returns:
        The errors of the tokens before the product along it: (heads, last, …) with the
        axis of the product before in the place of theirs; ``None`` if nothing needs
        them.
    """
    layer, axis = strip.layer, len(totals.blocks) - 1
    buffers, result = layer.buffers, None
    for block in layer.last:
        own = buffers.in_one_piece("gradient", strip.of_queries(gradient, block))
        if totals.after is not None:
            flat = own.view(1, -1, own.shape[-1])
            add_pairs(totals.after, strip.smoothed(block), flat, buffers, empty=empty)
            empty = False
        if not totals.need_errors_below(axis + 1):
            continue
        errors = _before_projection(own, after, buffers)
        if block is None:
            return errors
        trail = errors.flatten(2)[:, None]
        total = totals.blocks[axis][block.index]
        if total is not None:
            below = strip.before_last[:, :, block.columns]
            add_outer(total, trail, below, buffers)
        if totals.need_errors_below(axis):
            if result is None:
                result = _memory_before_last(strip, errors, is_whole=block.is_whole)
            _pull(block, trail, result.flatten(2)[:, None], buffers)
    return result


def _before_projection(
    gradient: Float[Tensor, "*queries images outputs"],
    after: Matrices | None,
    buffers: Buffers,
) -> Float[Tensor, "_ *queries _"]:
    """Return the errors of all tokens after smoothing, those of all images as one."""
    *queries, images, outputs = gradient.shape
    if after is None:
        return gradient.flatten(-2)[None]
    back = after.mT
    width = width_after(back, outputs)
    # Nothing needs the smoothed tokens any more.
    errors = buffers("smoothed", len(back), gradient.numel() // outputs, width)
    project(gradient.view(1, -1, outputs), back, errors)
    return errors.view(len(back), *queries, images * width)


def _memory_before_last(strip: Strip, errors: Tensor, *, is_whole: bool) -> Tokens:
    """Return memory for what :func:`_derive_last` returns, zero unless it is whole."""
    layer, heads = strip.layer, len(strip.first.matrices)
    *middle, rows, trail = errors.shape[2:]
    tokens = layer.x.shape[-2]
    if middle:
        memory = layer.buffers("errors", heads, tokens, *middle, rows * trail)
    else:
        memory = stacked(layer.buffers, "errors", heads, tokens, rows, trail)
    return memory if is_whole else memory.zero_()


def _derive_middle(strip: Strip, errors: Tensor, totals: _Totals) -> Tensor:
    """Add the derivatives of the blocks along the second axis of three.

    Args:
        strip: The strip.
        errors: What :func:`_derive_last` returns.
        totals: Where derivatives are added.

    Returns:
        The errors of the tokens after the product along the first axis, which is
        theirs.
    """
    layer = strip.layer
    if not layer.middle:
        return errors
    below = strip.before_middle
    heads, last, _, trail = errors.shape
    rows, count = strip.first.matrices.shape[1], below.shape[2]
    shape = (heads, last * count, rows, trail // rows)
    result = stacked(layer.buffers, "errors before middle", *shape).zero_()
    inner = result.unflatten(1, (last, count)).flatten(3)
    for block in layer.middle:
        total, own = totals.blocks[1][block.index], errors[:, :, block.rows]
        if total is not None:
            add_outer(total, own, below[:, :, block.columns], layer.buffers)
        _pull(block, own, inner, layer.buffers)
    return result


def _pull(block: Block, errors: Tokens, result: Tokens, buffers: Buffers) -> None:
    """Add the errors of the tokens before the product along an axis.

    Args:
        block: A block of the axis.
        errors: Those of the tokens after it.
        result: Where they are added, to zeros if the block is not the whole axis.
        buffers: Memory for results.
    """
    if block.is_whole:
        contract(block.matrices.mT, errors, result, buffers)
        return
    target = result[:, :, block.columns]
    part = buffers("part", *target.shape)
    contract(block.matrices.mT, errors, part, buffers)
    target.add_(part)


def _derive_tokens(
    strip: Strip,
    errors: Tokens,
    along_before: Matrices | None,
    along_x: Tensor | None,
    *,
    empty: bool,
) -> None:
    """Add the derivatives of tokens and A.

    Args:
        strip: The strip.
        errors: Those of the tokens after the product along the first axis.
        along_before: The derivative of A.
        along_x: That of the tokens of all images, (last, *middle, first, images,
            channels). The first strip overwrites it if it has all of it.
        empty: Whether nothing is in the derivative of A yet.
    """
    window, matrices = strip.window, strip.first.matrices.mT
    before, buffers = strip.layer.before, strip.layer.buffers
    heads, count, _ = matrices.shape
    lead, trail = errors.shape[1], errors.shape[3]
    is_new = strip.first.is_whole and strip.first.part.start == 0
    total = None if along_x is None else window.of(along_x)
    if before is None:
        if total is not None:
            (own,) = total
            part = own if is_new else buffers("part", lead, count, trail)
            contract_all(matrices, errors, part, buffers)
            if not is_new:
                own.add_(part)
        return
    if total is None and along_before is None:
        return
    pulled = buffers("pulled", heads, lead, count, trail)
    contract(matrices, errors, pulled, buffers)
    each = pulled.view(heads, len(window.x), -1)
    if along_before is not None:
        add_pairs(along_before, window.x[None], each, buffers, empty=empty)
    if total is not None:
        part = buffers("part", *total.shape).zero_()
        rows = part.view(window.x.shape)
        add_projected(rows, each, before.mT, buffers)
        total.copy_(part) if is_new else total.add_(part)
