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

from expressivity.heads.buffers import MOST_KEPT, Buffers
from expressivity.heads.contraction import contract, products
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import Projection, project, width_after

# Numbers of a result that stay in the cache: of one head, for several images, and of
# all heads for one image. A core has the first to itself, and all share the second.
ONE_HEAD, ALL_HEADS = 2**18, 2**21
# Of fewer numbers than this, products have too few columns to be fast.
_NARROW = 32


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

    Images of one axis have another behind it, of one token, without matrices. For all
    axes but the last, an image of three is one of two with more channels.

    Attributes:
        x: The tokens of all images.
        images: Which images.
        first: The block along the first axis.
        middle: The blocks along the second axis of three.
        is_narrow: Whether tokens have so few numbers that products along the first
            axis take all of the second one together.
        buffers: Memory for results.
    """

    def __init__(
        self,
        x: Tensor,
        images: slice,
        first: Block,
        middle: Sequence[Block],
        before: Projection | None,
        buffers: Buffers,
    ) -> None:
        self.x, self.images, self.buffers = x, images, buffers
        self.first, self.middle, self._before = first, middle, before
        width = len(x[images]) * width_after(before, x.shape[-1])
        self.is_narrow = width < _NARROW and not middle

    def of_tokens(self, tensor: Tensor, last: slice = slice(None)) -> Tensor:
        """Return the tokens of a tensor that it needs, in a window of the last axis.

        Args:
            tensor: (batch, *size, channels).
            last: The window.

        Returns:
            A view, (*window, images, channels).
        """
        return tensor[self.images, self.first.columns, ..., last, :].movedim(0, -2)

    @cached_property
    def states(self) -> list[Tensor]:
        """The tokens before the product along each axis, of which they have it first.

        Each is (heads or 1, axis, *others, images · width).
        """
        x = self.buffers.in_one_piece("x", self.of_tokens(self.x))
        *window, images, channels = x.shape
        tokens = x.flatten(-2)[None]
        if self._before is not None:
            width = images * width_after(self._before, channels)
            tokens = self.buffers("tokens", len(self._before.each), *window, width)
            each = tokens.view(len(tokens), -1, width // images).unbind()
            for matrix, own in zip(self._before.each, each, strict=True):
                project(x.view(-1, channels), matrix, own)
        states = [tokens, self._smoothed_along_first(tokens)]
        if self.middle:
            states.append(self._smoothed_along_middle(states[-1]).movedim(-2, 1))
        return states

    def _smoothed_along_first(self, tokens: Tensor) -> Tensor:
        matrices, name = self.first.matrices, "after first"
        heads, rows, _ = matrices.shape
        shared, _, other, *inner = tokens.shape
        if self.is_narrow:
            out = self.buffers(name, heads, rows, other, *inner)
            contract(matrices, tokens.flatten(2), out.flatten(2))
            return out.transpose(1, 2)
        if shared == 1:  # one product for all heads
            out = self.buffers(name, other, heads, rows, *inner).movedim(1, 0)
        else:
            out = self.buffers(name, heads, other, rows, *inner)
        contract(matrices, tokens.flatten(3), out.flatten(3))
        return out

    def _smoothed_along_middle(self, tokens: Tensor) -> Tensor:
        heads, _, other, *inner = tokens.shape
        rows = sum(block.matrices.shape[1] for block in self.middle)
        out = self.buffers("after middle", heads, other, rows, *inner)
        for block in self.middle:
            own = tokens[:, block.columns].flatten(3)
            contract(block.matrices, own, out[:, :, block.rows].flatten(3))
        return out


@dataclass(frozen=True)
class Piece:
    """The queries of a strip whose keys share a window along the last axis.

    Attributes:
        strip: The strip.
        last: The block along the last axis; ``None`` for images of one axis.
        is_first: Whether no other piece comes before.
        is_alone: Whether no other piece is of the same images.
    """

    strip: Strip
    last: Block | None
    is_first: bool
    is_alone: bool

    @property
    def heads(self) -> int:
        """Number of heads."""
        return len(self.strip.first.matrices)

    @property
    def window(self) -> slice:
        """The tokens along the last axis."""
        return self.last.columns if self.last else slice(None)

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
        images, first = self.strip.images, self.strip.first.rows
        last = self.last.rows if self.last else slice(None)
        return tensor[images, first, ..., last, :].movedim(0, -2)

    def of_tokens(self, tensor: Tensor) -> Tensor:
        """Return the part of (batch, *size, channels) that belongs to the keys.

        It is a view, (*window, images, channels), with the second axis in front of the
        first unless tokens are narrow.
        """
        part = self.strip.of_tokens(tensor, self.window)
        return part if self.strip.is_narrow else part.transpose(0, 1)

    @property
    def below_last(self) -> Tensor:
        """The tokens of the window before the product along the last axis.

        They are (heads or 1, last, *others, images · width).
        """
        return self.strip.states[-1][:, self.window]

    def below(self, axis: int) -> Tensor:
        """Return the tokens of the window before the product along another axis.

        They are (heads or 1, axis, other, width), with what comes after these two axes
        in the width.
        """
        return self.strip.states[axis][..., self.window, :].flatten(3)

    def smoothed(self) -> Iterator[Tensor]:
        """Yield the tokens of each head after all products, (tokens, width).

        They are those of (*queries, images, width), and may lie where those of the
        last head did.
        """
        tokens = self.below_last
        images = len(self.strip.x[self.strip.images])
        *others, width = tokens.shape[2:]
        if self.last is None:
            yield from tokens.reshape(len(tokens), -1, width // images).unbind()
            return
        matrices = self.last.matrices
        out = self.buffer("smoothed", prod(others), matrices.shape[1], width)
        flat = out.view(-1, width // images)
        for product in products(matrices, tokens):
            torch.bmm(*product, out=out)
            yield flat


def pieces_of(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Projection | None,
    buffers: Buffers,
) -> Iterator[Piece]:
    """Yield pieces whose intermediate results stay in the cache.

    Args:
        x: Tokens, of two axes or three; those of images of one axis have one of one
            token behind it.
        matrices: The matrices of all heads, one entry an axis.
        before: The projection before smoothing.
        buffers: Memory for results.
    """
    first, *rest = matrices
    lengths = [max(along.rows, along.columns) for along in matrices]
    own = max(1, prod([*lengths, width_after(before, x.shape[-1])]))
    images = max(1, min(ONE_HEAD // own, MOST_KEPT // (own * first.heads)))
    rows = max(1, ALL_HEADS * lengths[0] // (own * first.heads))
    middle = [block for along in rest[:-1] for block in Block.all_of(along)]
    parts: Sequence[Block | None] = Block.all_of(rest[-1]) if rest else [None]
    blocks = Block.all_of(first, rows)
    is_first, is_alone = True, len(blocks) == len(parts) == 1
    for start in range(0, len(x), images):
        some = slice(start, start + images)
        for block in blocks:
            strip = Strip(x, some, block, middle, before, buffers)
            for part in parts:
                yield Piece(strip, part, is_first, is_alone)
                is_first = False
