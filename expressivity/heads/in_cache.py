"""Heads with α and Δ of their own on a CPU: head by head, in buffers.

Some images, or a strip of one, stay in the cache of a core while all heads smooth them.
See :mod:`expressivity.heads.recomputed` for what is computed.
"""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import paired, projected

# Numbers of an intermediate result that stay in the cache: 1 MiB in float32.
_IN_CACHE = 2**18


def output(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Tensor | None,
    after: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Return b + Σ_h M_h (X A_h) B_h, as :func:`recomputed.attend` describes it."""
    outputs = _width(after, _width(before, x.shape[-1]))
    result = x.new_empty(len(x), *(along.rows for along in matrices), outputs)
    for piece in _pieces(x, matrices, before):
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
                total.add_(_projected(smoothed, after[head]))
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
    for piece in _pieces(x, matrices, before):
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
    piece: "_Piece",
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
            error.copy_(_projected(gradient, after[head].mT))
    for axis in reversed(piece.axes):
        error = error.reshape(axis.above.shape)
        if totals.of_blocks:
            axis.add_outer(head, error, totals.blocks)
        if axis is not piece.axes[0]:
            error = axis.pulled(head, error)
    if totals.of_tokens:
        _derive_tokens(piece, head, error, before, totals)


def _derive_tokens(
    piece: "_Piece", head: int, error: Tensor, before: Tensor | None, totals: _Totals
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
        target.add_(_projected(error, before[head].mT).view(target.shape))


class _Buffers:
    """Memory for intermediate results, by name; pieces use it one after the other."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._flat: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return an uninitialised tensor, which lies where the last of its name did."""
        size = prod(shape)
        flat = self._flat.get(name)
        if flat is None or flat.numel() < size:
            flat = self._flat[name] = self._like.new_empty(size)
        return flat[:size].view(shape)


class _Axis:
    """The smoothing along one axis of a piece.

    Attributes:
        below: The tokens before it, (everything before the axis, axis, after).
        above: The tokens after it, likewise.
        width: Numbers of a token.
    """

    def __init__(
        self,
        blocks: Sequence[Tensor],
        starts: Sequence[int],
        first: int,
        below: Tensor,
        buffers: _Buffers,
        name: int,
        width: int,
    ) -> None:
        heights = [block.shape[1] for block in blocks]
        lead, columns, trail = below.shape
        self.below, self.width, self._first = below, width, first
        self.above = buffers(f"above {name}", lead, sum(heights), trail)
        self._error = buffers(f"error {name}", lead, columns, trail)
        self._is_full = len(blocks) == 1 and blocks[0].shape[2] == columns
        # Long products are added up one by one, many short ones together.
        self._is_long = lead == 1 or trail > sum(heights) * columns
        self._buffers, self._each = buffers, [block.unbind() for block in blocks]
        bottom = 0
        self._parts = []
        for height, start, block in zip(heights, starts, blocks, strict=True):
            rows = slice(bottom, bottom + height)
            self._parts.append((rows, slice(start, start + block.shape[2])))
            bottom += height

    def smooth(self, head: int) -> None:
        """Write what a head makes of the tokens below to those above."""
        if self._is_full:
            matrix = self._each[0][head].expand(len(self.below), -1, -1)
            torch.bmm(matrix, self.below, out=self.above)
            return
        for (rows, columns), each in zip(self._parts, self._each, strict=True):
            for below, above in zip(self.below, self.above, strict=True):
                torch.mm(each[head], below[columns], out=above[rows])

    def pulled(self, head: int, error: Tensor) -> Tensor:
        """Return errors above times the transposed matrix of a head, in a buffer."""
        if self._is_full:
            matrix = self._each[0][head].mT.expand(len(error), -1, -1)
            return torch.bmm(matrix, error, out=self._error)
        self._error.zero_()
        self.add_pulled(head, error, self._error)
        return self._error

    def add_pulled(self, head: int, error: Tensor, total: Tensor) -> None:
        """Add errors above times the transposed matrix of a head."""
        if self._is_full:
            matrix = self._each[0][head].mT.expand(len(error), -1, -1)
            total.baddbmm_(matrix, error)
            return
        for (rows, columns), each in zip(self._parts, self._each, strict=True):
            matrix = each[head].mT
            for above, below in zip(error, total, strict=True):
                below[columns].addmm_(matrix, above[rows])

    def add_outer(
        self,
        head: int,
        error: Tensor,
        blocks: Sequence[tuple[Tensor, ...] | None],
    ) -> None:
        """Add Σ error · tokens below to the derivatives of a head's blocks."""
        for index, (rows, columns) in enumerate(self._parts):
            of_heads = blocks[self._first + index]
            if of_heads is None:
                continue
            total = of_heads[head]
            left, right = error[:, rows], self.below[:, columns].mT
            if self._is_long:
                for above, below in zip(left, right, strict=True):
                    total.addmm_(above, below)
            else:
                shape = (left.shape[0], left.shape[1], right.shape[2])
                products = torch.bmm(left, right, out=self._buffers("pairs", *shape))
                total.add_(products.sum(0))


class _Piece:
    """Some images, and the queries whose keys along the last axis share a window.

    Attributes:
        x: The tokens of all images.
        axes: The axes, in the order in which they are smoothed: the last one first.
    """

    def __init__(
        self,
        x: Tensor,
        images: slice,
        window: slice,
        rows: slice,
        before: Tensor | None,
        buffers: _Buffers,
    ) -> None:
        self.x, self.axes = x, list[_Axis]()
        self._images, self._window, self._rows = images, window, rows
        self._before, self._buffers = before, buffers
        tokens = self.of_tokens(x)
        if before is not None:
            width = before.shape[1] * before.shape[3]
            tokens = buffers("tokens", *tokens.shape[:-1], width)
        self._tokens = tokens
        self.shape: list[int] = list(tokens.shape)

    def add_axis(
        self, axis: int, blocks: Sequence[Tensor], starts: Sequence[int], first: int
    ) -> None:
        """Smooth one more axis."""
        tokens = self.axes[-1].above.view(self.shape) if self.axes else self._tokens
        below = tokens.flatten(0, axis).flatten(2)
        width = self.shape[-1]
        own = _Axis(blocks, starts, first, below, self._buffers, axis, width)
        self.axes.append(own)
        self.shape[1 + axis] = own.above.shape[1]

    def buffer(self, name: str, width: int) -> Tensor:
        """Return memory for so many numbers of each query."""
        return self._buffers(name, prod(self.shape[:-1]), width)

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Return the part of a tensor that belongs to the queries: a view."""
        return tensor[self._images, ..., self._rows, :]

    def of_tokens(self, tensor: Tensor) -> Tensor:
        """Return the part of a tensor that belongs to the tokens: a view."""
        return tensor[self._images, ..., self._window, :]

    def rows_of(self, tensor: Tensor) -> Tensor:
        """Return what belongs to the queries as (queries, numbers of each)."""
        return tensor.reshape(-1, tensor.shape[-1])

    def smooth(self, head: int) -> Tensor:
        """Smooth the tokens for a head along all axes: (queries, width)."""
        if self._before is not None:
            flat = self.of_tokens(self.x).reshape(-1, self.x.shape[-1])
            matrix = self._before[head]
            self._tokens.copy_(_projected(flat, matrix).view_as(self._tokens))
        for axis in self.axes:
            axis.smooth(head)
        return self.axes[-1].above.view(-1, self.shape[-1])


def _pieces(
    x: Tensor, matrices: Sequence[HeadMatrices], before: Tensor | None
) -> Iterator[_Piece]:
    """Yield pieces of the work, whose intermediate results stay in the cache."""
    *others, last = matrices
    buffers, width = _Buffers(x), _width(before, x.shape[-1])
    widest = max(block.shape[1] for block in last.blocks)
    tallest = prod([max(along.rows, along.columns) for along in others])
    images = max(1, _IN_CACHE // max(1, tallest * widest * width))
    firsts = [0]
    for along in others:
        firsts.append(firsts[-1] + len(along.blocks))
    for start in range(0, len(x), images):
        some = slice(start, min(start + images, len(x)))
        for index, (low, high) in enumerate(last.bounds):
            block, column = last.blocks[index], last.starts[index]
            window = slice(column, column + block.shape[2])
            piece = _Piece(x, some, window, slice(low, high), before, buffers)
            piece.add_axis(len(others), [block], [0], firsts[-1] + index)
            for axis in reversed(range(len(others))):
                along = others[axis]
                piece.add_axis(axis, along.blocks, along.starts, firsts[axis])
            yield piece


def _width(matrices: Tensor | None, inputs: int) -> int:
    """Return the numbers of a token after a projection, if there is one."""
    return inputs if matrices is None else matrices.shape[1] * matrices.shape[3]


def _add_pairs(total: Tensor, inputs: Tensor, outputs: Tensor) -> None:
    """Add Σ inputs outputsᵀ to the derivative of a head's projection."""
    if total.shape[0] == 1:
        total[0].addmm_(inputs.mT, outputs)
    else:
        total.add_(paired(inputs[None], outputs[None], total.shape[0])[0])


def _projected(tokens: Tensor, matrix: Tensor) -> Tensor:
    """Return tokens times the matrix of one head."""
    return projected(tokens[None], matrix[None])[0]
