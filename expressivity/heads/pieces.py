"""Pieces of the smoothing of all heads, small enough for the cache of a core."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import projected

# Numbers of an intermediate result that stay in the cache: 1 MiB in float32.
IN_CACHE = 2**18


class Buffers:
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


class PieceAxis:
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
        buffers: Buffers,
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


class Piece:
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
        buffers: Buffers,
    ) -> None:
        self.x, self.axes = x, list[PieceAxis]()
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
        own = PieceAxis(blocks, starts, first, below, self._buffers, axis, width)
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
            self._tokens.copy_(projected_by(flat, matrix).view_as(self._tokens))
        for axis in self.axes:
            axis.smooth(head)
        return self.axes[-1].above.view(-1, self.shape[-1])


def pieces_of(
    x: Tensor, matrices: Sequence[HeadMatrices], before: Tensor | None
) -> Iterator[Piece]:
    """Yield pieces of the work, whose intermediate results stay in the cache."""
    *others, last = matrices
    buffers, width = Buffers(x), width_after(before, x.shape[-1])
    widest = max(block.shape[1] for block in last.blocks)
    tallest = prod([max(along.rows, along.columns) for along in others])
    images = max(1, IN_CACHE // max(1, tallest * widest * width))
    firsts = [0]
    for along in others:
        firsts.append(firsts[-1] + len(along.blocks))
    for start in range(0, len(x), images):
        some = slice(start, min(start + images, len(x)))
        for index, (low, high) in enumerate(last.bounds):
            block, column = last.blocks[index], last.starts[index]
            window = slice(column, column + block.shape[2])
            piece = Piece(x, some, window, slice(low, high), before, buffers)
            piece.add_axis(len(others), [block], [0], firsts[-1] + index)
            for axis in reversed(range(len(others))):
                along = others[axis]
                piece.add_axis(axis, along.blocks, along.starts, firsts[axis])
            yield piece


def width_after(matrices: Tensor | None, inputs: int) -> int:
    """Return the numbers of a token after a projection, if there is one."""
    return inputs if matrices is None else matrices.shape[1] * matrices.shape[3]


def projected_by(tokens: Tensor, matrix: Tensor) -> Tensor:
    """Return tokens times the matrix of one head."""
    return projected(tokens[None], matrix[None])[0]
