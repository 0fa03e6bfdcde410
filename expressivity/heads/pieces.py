"""Pieces of the smoothing of all heads, small enough for the cache of a processor.

A strip is some images and some queries along the first axis, with all tokens along the
others. A piece of it is those queries along the last axis whose keys share a window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod
from typing import Self

import torch
from torch import Tensor

from expressivity.heads.buffers import Buffers
from expressivity.heads.contraction import contract, products
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import project, width_after

# Numbers of a result of all heads that stay in the cache: 8 MiB in float32.
IN_CACHE = 2**21


@dataclass(frozen=True)
class Block:
    """Some rows of the matrices of all heads along one axis.

    Attributes:
        matrices: (heads, rows, columns), those in their window.
        rows: Which rows of the axis.
        columns: Their window.
        index: Which block of the axis they belong to.
        part: Which rows of that block.
    """

    matrices: Tensor
    rows: slice
    columns: slice
    index: int
    part: slice

    @classmethod
    def all_of(cls, along: HeadMatrices, most: int | None = None) -> list[Self]:
        """Return the blocks of an axis, in parts of so many rows at most."""
        blocks = []
        for index, (block, start, (low, high)) in enumerate(
            zip(along.blocks, along.starts, along.bounds, strict=True)
        ):
            columns = slice(start, start + block.shape[2])
            rows, part = slice(low, high), slice(0, high - low)
            whole = cls(block, rows, columns, index, part)
            blocks += [whole] if most is None else whole._chunks(most)
        return blocks

    def _chunks(self, most: int) -> list[Self]:
        """Return the same rows in parts of nearly equal size."""
        count = self.matrices.shape[1]
        size = ceil(count / ceil(count / most))
        chunks = []
        for low in range(0, count, size):
            high, start = min(low + size, count), self.rows.start
            chunk = replace(
                self,
                matrices=self.matrices[:, low:high],
                rows=slice(start + low, start + high),
                part=slice(low, high),
            )
            chunks.append(chunk)
        return chunks


class Strip:
    """Some images, and some queries along the first axis.

    Attributes:
        x: The tokens of all images.
        images: Which images.
        blocks: The blocks along each axis but the last, one along the first.
        buffers: Memory for results.
    """

    def __init__(
        self,
        x: Tensor,
        images: slice,
        blocks: Sequence[Sequence[Block]],
        before: Tensor | None,
        buffers: Buffers,
    ) -> None:
        self.x, self.images, self.blocks, self.buffers = x, images, blocks, buffers
        self._before = before

    def of_tokens(self, tensor: Tensor, last: slice = slice(None)) -> Tensor:
        """Return the tokens of a tensor that it needs, in a window of the last axis.

        Args:
            tensor: (batch, *size, channels).
            last: The window.

        Returns:
            A view, (*window, images, channels).
        """
        first = self.blocks[0][0].columns
        return tensor[self.images, first, ..., last, :].movedim(0, -2)

    @cached_property
    def states(self) -> list[Tensor]:
        """The tokens before the product along each axis, of which they have it first.

        Each is (heads or 1, axis, *others, images · width).
        """
        x = self.buffers.in_one_piece("x", self.of_tokens(self.x))
        *window, images, channels = x.shape
        if self._before is None:
            states = [x.flatten(-2)[None]]
        else:
            width = images * width_after(self._before, channels)
            tokens = self.buffers("tokens", len(self._before), *window, width)
            for matrix, own in zip(self._before, tokens, strict=True):
                project(x, matrix, own)
            states = [tokens]
        for axis, along in enumerate(self.blocks):
            states.append(self._smoothed(axis, along, states[-1]))
        return states

    def _smoothed(self, axis: int, along: Sequence[Block], tokens: Tensor) -> Tensor:
        heads, (*others, width) = len(along[0].matrices), tokens.shape[2:]
        rows, name = sum(b.matrices.shape[1] for b in along), f"state {axis + 1}"
        if len(tokens) == len(others) == 1:  # one product for all heads
            out = self.buffers(name, *others, heads, rows, width).movedim(-3, 0)
        else:
            out = self.buffers(name, heads, *others, rows, width)
        if axis == 0:
            contract(along[0].matrices, tokens, out)
            return out
        for block in along:
            contract(block.matrices, tokens[:, block.columns], out[..., block.rows, :])
        return out


@dataclass(frozen=True)
class Piece:
    """The queries of a strip whose keys share a window along the last axis.

    Attributes:
        strip: The strip.
        last: The block along the last axis.
        is_first: Whether no other piece comes before.
        is_alone: Whether no other piece is of the same images.
    """

    strip: Strip
    last: Block
    is_first: bool
    is_alone: bool

    @property
    def heads(self) -> int:
        """Number of heads."""
        return len(self.last.matrices)

    def buffer(self, name: str, *shape: int) -> Tensor:
        """Return memory for a result."""
        return self.strip.buffers(name, *shape)

    def in_one_piece(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor, or a copy in a buffer if it does not lie in one piece."""
        return self.strip.buffers.in_one_piece(name, tensor)

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Return the part of (batch, *size, channels) that belongs to the queries.

        It is a view, (*queries, images, channels).
        """
        first, images = self.strip.blocks[0][0].rows, self.strip.images
        return tensor[images, first, ..., self.last.rows, :].movedim(0, -2)

    def of_tokens(self, tensor: Tensor) -> Tensor:
        """Return the part of (batch, *size, channels) that belongs to the keys.

        It is a view, (*others, first, images, channels).
        """
        return self.strip.of_tokens(tensor, self.last.columns).movedim(0, -3)

    def below(self, axis: int) -> Tensor:
        """Return the tokens of the window before the product along an axis."""
        place = len(self.strip.blocks) - axis + 1  # of the last axis in them
        low, high = self.last.columns.start, self.last.columns.stop
        return self.strip.states[axis].narrow(place, low, high - low)

    def smoothed(self) -> Iterator[Tensor]:
        """Yield the tokens of each head after all products, in the same buffer.

        They are (*queries, images · width).
        """
        matrices, tokens = self.last.matrices, self.below(len(self.strip.blocks))
        *others, width = tokens.shape[2:]
        out = self.buffer("smoothed", *others, matrices.shape[1], width)
        target = out.view(-1, *out.shape[-2:])
        for product in products(matrices, tokens):
            torch.bmm(*product, out=target)
            yield out

    def errors(self, axis: int, *others: int) -> Tensor:
        """Return memory for the errors of the tokens before a product.

        Args:
            axis: Which axis.
            others: The other axes of the errors after it, and their width.

        Returns:
            (heads, *others, columns, width).
        """
        *lead, width = others
        columns = self.below(axis).shape[1]
        return self.buffer(f"error {axis}", self.heads, *lead, columns, width)


def pieces_of(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Tensor | None,
    buffers: Buffers,
) -> Iterator[Piece]:
    """Yield pieces whose intermediate results stay in the cache.

    Args:
        x: Tokens, of two axes at least.
        matrices: The matrices of all heads, one entry an axis.
        before: The projection before smoothing.
        buffers: Memory for results.
    """
    first, *middle, last = matrices
    parts = Block.all_of(last)
    lengths = [max(along.rows, along.columns) for along in (first, *middle)]
    width = last.heads * width_after(before, x.shape[-1])
    numbers = max(1, prod([*lengths, last.columns, width]))
    images = max(1, IN_CACHE // numbers)
    rows = max(1, IN_CACHE * lengths[0] // (numbers * images))
    rest = [Block.all_of(along) for along in middle]
    strips = [[[block], *rest] for block in Block.all_of(first, rows)]
    is_first, is_alone = True, len(strips) == len(parts) == 1
    for start in range(0, len(x), images):
        some = slice(start, start + images)
        for blocks in strips:
            strip = Strip(x, some, blocks, before, buffers)
            for part in parts:
                yield Piece(strip, part, is_first, is_alone)
                is_first = False


def with_an_axis(matrices: Sequence[HeadMatrices]) -> list[HeadMatrices]:
    """Return the matrices with those of one more axis, of one token, before them."""
    one = matrices[0].blocks[0].new_ones(matrices[0].heads, 1, 1)
    return [HeadMatrices((one,), starts=(0,), columns=1), *matrices]


def with_rows_in_one_piece(
    buffers: Buffers, name: str, projection: Tensor | None
) -> Tensor | None:
    """Return the matrices of each head in one piece, transposed as torch stores them.

    Args:
        buffers: Memory for a copy.
        name: Of the buffer.
        projection: (heads, groups, inputs, outputs), or none.
    """
    if projection is None:
        return None
    return buffers.in_one_piece(name, projection.mT).mT


def each_head(tensor: Tensor | None, heads: int) -> Sequence[Tensor | None]:
    """Return what a tensor has for each head, or as many times none."""
    return [None] * heads if tensor is None else tensor.unbind()
