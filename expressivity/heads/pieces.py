"""Pieces of the smoothing of all heads, small enough for the cache of a processor.

Some images are taken together. A window is the tokens that a block of queries along
the first axis needs; a strip of it is some of those queries. Its results along the last
axis are computed block by block. Everything here has the last axis in front and the
first axis behind the others, so that one axis after the other moves behind those that
are left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod
from typing import Self

from jaxtyping import Float
from torch import Tensor

from expressivity.heads.buffers import MOST_KEPT, Buffers
from expressivity.heads.contraction import Tokens, contract, stacked
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import Matrices, project, width_after

# Numbers of a result of all heads that stay in the cache.
ALL_HEADS = 2**21
# Tokens of as many images together make products as fast as they get.
MANY_TOKENS = 512


@dataclass(frozen=True)
class Block:
    """Some rows of the matrices of all heads along one axis.

    Attributes:
        matrices: (heads, rows, columns), those in their window.
        rows: Which rows of the axis.
        columns: Their window.
        index: Which block of the axis they belong to.
        part: Which rows of that block.
        is_whole: Whether the window is the whole axis, and no other block has it.
    """

    matrices: Float[Tensor, "heads _ _"]
    rows: slice
    columns: slice
    index: int
    part: slice
    is_whole: bool

    @classmethod
    def all_of(cls, along: HeadMatrices) -> list[Self]:
        """Return the blocks of an axis."""
        blocks = []
        for index, (block, start, (low, high)) in enumerate(
            zip(along.blocks, along.starts, along.bounds, strict=True)
        ):
            width = block.shape[2]
            blocks.append(
                cls(
                    block,
                    slice(low, high),
                    slice(start, start + width),
                    index,
                    slice(0, high - low),
                    len(along.blocks) == 1 and width == along.columns,
                )
            )
        return blocks

    def in_parts(self, most: int) -> list[Self]:
        """Return the same rows in parts of nearly equal size, of so many at most."""
        count = self.matrices.shape[1]
        if count <= most:
            return [self]
        size = ceil(count / ceil(count / most))
        parts = []
        for low in range(0, count, size):
            high, start = min(low + size, count), self.rows.start
            part = replace(
                self,
                matrices=self.matrices[:, low:high],
                rows=slice(start + low, start + high),
                part=slice(low, high),
            )
            parts.append(part)
        return parts


@dataclass(frozen=True)
class Layer:
    """What all pieces have in common.

    Attributes:
        x: Tokens, (batch, *size, channels), of two axes or three.
        before: The projection before smoothing, if there is one.
        middle: The blocks along the second axis of three.
        last: The blocks along the last axis; one of ``None`` for images of one axis,
            which have another behind it, of one token.
        buffers: Memory for results.
    """

    x: Tensor
    before: Matrices | None
    middle: Sequence[Block]
    last: Sequence[Block | None]
    buffers: Buffers


@dataclass(frozen=True)
class Images:
    """Some images that pieces take together.

    Attributes:
        layer: The layer.
        those: Which images.
        blocks: The blocks along the first axis.
        rows: Rows of them in a strip, at most.
    """

    layer: Layer
    those: slice
    blocks: Sequence[Block]
    rows: int

    @cached_property
    def x(self) -> Tensor:
        """Their tokens in one piece, (last, *middle, first, images, channels)."""
        x = turned(self.layer.x[self.those])
        return self.layer.buffers.in_one_piece("x", x)

    def strips(self) -> Iterator["Strip"]:
        """Yield the strips of all windows."""
        for block in self.blocks:
            window = Window(self, block.columns)
            for part in block.in_parts(self.rows):
                yield Strip(window, part)

    def pieces(self) -> Iterator[tuple["Strip", Block | None]]:
        """Yield every strip with every block along the last axis."""
        for strip in self.strips():
            for block in self.layer.last:
                yield strip, block


@dataclass(frozen=True)
class Window:
    """The tokens that a block along the first axis needs.

    Attributes:
        images: Some images.
        columns: Which tokens along the first axis.
    """

    images: Images
    columns: slice

    def of(self, tokens: Tensor) -> Tokens:
        """Return a view of (last, *middle, first, images, channels) for products.

        It has the first axis as its axis, and all images as its trail.
        """
        *others, first, images, channels = tokens.shape
        whole = tokens.view(1, prod(others), first, images * channels)
        return whole[:, :, self.columns]

    @cached_property
    def x(self) -> Float[Tensor, "tokens channels"]:
        """The tokens of all images in one piece."""
        buffers, x = self.images.layer.buffers, self.images.x
        own = x[..., self.columns, :, :]
        return buffers.in_one_piece("x of a window", own).view(-1, x.shape[-1])

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens before the first product."""
        layer, x = self.images.layer, self.images.x
        if layer.before is None:
            return self.of(x)
        images, channels = x.shape[-2:]
        heads, width = len(layer.before), width_after(layer.before, channels)
        own = layer.buffers("tokens", heads, len(self.x), width)
        project(self.x[None], layer.before, own)
        shape = (heads, prod(x.shape[:-3]), -1, images * width)
        return own.view(shape)


@dataclass(frozen=True)
class Strip:
    """Some queries of a window along the first axis, with all tokens along the others.

    Attributes:
        window: The window.
        first: The block along the first axis.
    """

    window: Window
    first: Block

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.window.images.layer

    def of_queries(self, tensor: Tensor, last: Block | None) -> Tensor:
        """Return the part of (batch, *size, channels) that some queries have.

        It is a view, (last, *middle, first, images, channels).

        Args:
            tensor: The tensor.
            last: The block of the queries along the last axis.
        """
        columns = slice(None) if last is None else last.rows
        some = self.window.images.those
        return turned(tensor[some, self.first.rows, ..., columns, :])

    @cached_property
    def after_first(self) -> Tokens:
        """The tokens after the product along the first axis, which is theirs."""
        tokens, matrices = self.window.tokens, self.first.matrices
        buffers = self.layer.buffers
        given, lead, _, trail = tokens.shape
        shape = (len(matrices), lead, matrices.shape[1], trail)
        if given == 1:
            out = stacked(buffers, "after first", *shape)
        else:
            out = buffers("after first", *shape)
        contract(matrices, tokens, out, buffers)
        return out

    @cached_property
    def before_middle(self) -> Tokens:
        """The same before the product along the second axis of three, as their axis."""
        last = self.layer.x.shape[3]
        heads, lead, *rest = self.after_first.shape
        return self.after_first.view(heads, last, lead // last, *rest).flatten(3)

    @cached_property
    def before_last(self) -> Tokens:
        """The tokens before the product along the last axis, which is theirs."""
        layer, tokens = self.layer, self.after_first
        if layer.middle:
            tokens = self.before_middle
            heads, last, _, trail = tokens.shape
            rows = sum(block.matrices.shape[1] for block in layer.middle)
            out = layer.buffers("after middle", heads, last, rows, trail)
            for block in layer.middle:
                own, target = tokens[:, :, block.columns], out[:, :, block.rows]
                contract(block.matrices, own, target, layer.buffers)
            tokens = out
        return tokens.flatten(2)[:, None]

    def smoothed(self, last: Block | None) -> Float[Tensor, "heads tokens width"]:
        """Return the tokens of some queries of each head after all products.

        They are those of (last, *middle, first, images, width), and lie where those of
        other queries did.

        Args:
            last: The block of the queries along the last axis.
        """
        layer, tokens = self.layer, self.before_last
        if last is not None:
            own = tokens[:, :, last.columns]
            heads, rows, _ = last.matrices.shape
            tokens = layer.buffers("smoothed", heads, 1, rows, own.shape[3])
            contract(last.matrices, own, tokens, layer.buffers)
        width = width_after(layer.before, layer.x.shape[-1])
        return tokens.reshape(len(tokens), -1, width)


def turned(tensor: Tensor) -> Tensor:
    """Return (batch, *size, channels) as (*reversed size, batch, channels): a view."""
    return tensor.permute(*range(tensor.dim() - 2, -1, -1), -1)


def images_of(
    x: Tensor,
    matrices: Sequence[HeadMatrices],
    before: Matrices | None,
    buffers: Buffers,
) -> Iterator[Images]:
    """Yield some images at a time, in strips whose results stay in the cache.

    Args:
        x: Tokens, of two axes or three; those of images of one axis have one of one
            token behind it.
        matrices: The matrices of all heads, one entry an axis.
        before: The projection before smoothing.
        buffers: Memory for results.
    """
    first, *rest = matrices
    middle = [block for along in rest[:-1] for block in Block.all_of(along)]
    last: Sequence[Block | None] = Block.all_of(rest[-1]) if rest else [None]
    layer = Layer(x, before, middle, last, buffers)
    blocks = Block.all_of(first)
    lengths = [max(along.rows, along.columns) for along in rest]
    line = max(1, first.heads * prod([*lengths, width_after(before, x.shape[-1])]))
    height = max(block.matrices.shape[1] for block in blocks)
    rows = min(height, max(1, ALL_HEADS // line))
    images = max(
        ALL_HEADS // (line * rows),
        min(MANY_TOKENS // (rows * prod(lengths)), MOST_KEPT // (line * rows)),
    )
    image = max(1, prod(x.shape[1:]))
    images = max(1, min(images, MOST_KEPT // image))
    for start in range(0, len(x), images):
        yield Images(layer, slice(start, start + images), blocks, rows)
