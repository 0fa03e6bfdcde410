"""How saturated heads read pixels: the padding arithmetic of a convolution.

Along one axis the taps read from a first pixel to a last one. The first is the same for
every size. With s the stride and X the pixels that the first query could still move,
the last query is X − X mod s further. Only the remainder and the number of tokens
depend on the size of the input. A decision that is made here while a graph is traced
therefore holds for every size, with any remainder from 0 to s − 1.
"""

from dataclasses import dataclass
from enum import Enum
from itertools import chain
from types import EllipsisType
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from expressivity.geometry.grid import Grid
from expressivity.strategies.separable.grouping import Group


class Way(Enum):
    """How pixels are laid out for the taps."""

    PADDED = "padded"  # the convolution pads, both sides alike
    BARE = "bare"
    CROPPED = "cropped"  # or padded, before the convolution
    MOVED = "moved"  # copied: the nearest pixels of the canvas


@dataclass(frozen=True)
class Span:
    """What all taps of all queries read along one axis, relative to the tokens.

    Attributes:
        stride: Pixels between queries.
        before: Zeros between the first pixel that taps read and the first token;
            negative if taps skip tokens.
        after: Zeros from the last token to the last pixel that taps read, for a
            remainder of zero.
        surplus: Pixels that the first query could move by, less the tokens.
        zeros: Tokens of zeros before and after the others.
        remainders: The smallest and the largest possible remainder.
        fewest_tokens: Tokens along the axis, at least.
        farthest: Pixels from the first one that taps read to the last, at least.
    """

    stride: int
    before: int
    after: int
    surplus: int
    zeros: tuple[int, int]
    remainders: tuple[int, int]
    fewest_tokens: int
    farthest: int

    @classmethod
    def of(cls, group: Group, grid: Grid, axis: int) -> Self:
        """Return the span of saturated heads; for every size if the grid is."""
        geometry, lattice = grid.geometry, group.lattice
        stride, padding = geometry.stride[axis], geometry.padding[axis]
        around, none = geometry.token_padding[axis], (0, 0)
        zeros, copies = (around, none) if grid.has_zero_tokens else (none, around)
        surplus = sum(padding) - sum(copies) - geometry.extent[axis]
        start = geometry.first_query[axis] + int(group.origin[axis])
        before = zeros[0] - start - lattice.low[axis]
        reach = lattice.step[axis] * (lattice.counts[axis] - 1)
        remainders, fewest_tokens = (0, stride - 1), max(1 + sum(copies), -surplus)
        travel = 0
        if not grid.any_size:
            fewest_tokens = grid.size[axis] + sum(copies)
            remainder = (fewest_tokens + surplus) % stride
            remainders = (remainder, remainder)
            travel = fewest_tokens + surplus - remainder
        after = reach - before + surplus + 1
        return cls(
            stride,
            before,
            after,
            surplus,
            zeros,
            remainders,
            fewest_tokens,
            travel + reach,
        )

    @property
    def is_on_canvas(self) -> bool:
        """Whether taps read no pixel off the canvas, and at least one token."""
        least, _ = self.remainders
        return (
            self.before <= self.zeros[0]
            and self.after - least <= self.zeros[1]
            and self.before > -self.fewest_tokens
            and self.farthest >= self.before
        )

    @property
    def is_padded_alike(self) -> bool:
        """Whether equally many zeros on both sides yield one output a query."""
        least, most = self.remainders
        before, after = self.before, self.after
        return before >= 0 and after - least <= before < after - most + self.stride

    @property
    def is_bare(self) -> bool:
        """Whether every token at the stride, from the first on, is one query's."""
        least, most = self.remainders
        within = 1 - self.stride <= self.after - most and self.after - least <= 0
        return self.before == 0 and within

    def margins(self, tokens: int) -> tuple[int, int]:
        """Return the zeros to add before and after the tokens; negative ones crop.

        The number of tokens may be a symbol.
        """
        nearer = (tokens + self.surplus) % self.stride if self.stride > 1 else 0
        return self.before, self.after - nearer

    def pixels(self, tokens: int) -> Tensor:
        """Return the index of the pixel of the canvas nearest to each that taps read.

        The number of tokens may be a symbol.
        """
        first, last = self.margins(tokens)
        before, after = self.zeros
        places = torch.arange(before - first, before + tokens + last, device="cpu")
        return places.clamp(0, before + tokens + after - 1)


@dataclass(frozen=True)
class Layout:
    """What determines a reading; for all sizes, if its spans are.

    Attributes:
        way: How pixels are laid out.
        spans: What taps read along each axis.
        is_sparse: Whether taps read tokens at the stride only.
    """

    way: Way
    spans: tuple[Span, ...]
    is_sparse: bool

    @classmethod
    def of(cls, group: Group, grid: Grid) -> Self:
        """Return the layout of saturated heads that copies least."""
        spans = tuple(Span.of(group, grid, axis) for axis in range(len(grid.size)))
        point, way = group.lattice.is_point, Way.CROPPED
        if not all(span.is_on_canvas for span in spans):
            way = Way.MOVED
        # The convolution pads both sides alike, unless that would yield more outputs.
        elif not point and all(span.is_padded_alike for span in spans):
            way = Way.PADDED
        elif all(span.is_bare for span in spans):
            way = Way.BARE
        return cls(way, spans, point and any(span.stride > 1 for span in spans))


@dataclass(frozen=True)
class Margins:
    """Zeros to add around the tokens; negative ones crop.

    Attributes:
        widths: As ``torch.nn.functional.pad`` takes them.
    """

    widths: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """How saturated heads read the pixels nearest to their targets.

    Attributes:
        padding: Zeros that the convolution itself adds to both sides of each axis.
        pixels: Pixels of the canvas to copy, along each axis, or margins to add.
        every: The tokens at the stride, per axis.
    """

    padding: tuple[int, ...]
    pixels: tuple[Tensor, ...] | Margins | None = None
    every: tuple[slice, ...] | None = None

    @classmethod
    def of(cls, layout: Layout, grid: Grid, device: torch.device) -> Self:
        """Return the reading of a layout on a grid, whose sizes may be symbols."""
        way, spans, none = layout.way, layout.spans, (0,) * len(layout.spans)
        every = None
        if layout.is_sparse:
            every = tuple(slice(None, None, span.stride) for span in spans)
        if way is Way.PADDED:
            return cls(tuple(span.before for span in spans))
        if way is Way.BARE:
            return cls(none, every=every)
        sizes = grid.size if grid.has_zero_tokens else grid.canvas_size
        along = list(zip(spans, sizes, strict=True))
        if way is Way.MOVED:
            pixels = tuple(span.pixels(tokens).to(device) for span, tokens in along)
            return cls(none, pixels, every)
        pairs = [span.margins(tokens) for span, tokens in reversed(along)]
        return cls(none, Margins(tuple(chain.from_iterable(pairs))), every)

    @property
    def is_plain(self) -> bool:
        """Whether taps read the tokens as they are."""
        return self.pixels is None and self.every is None

    def __call__(self, grid: Grid, tokens: Tensor) -> Tensor:
        """Return the pixels that taps read, less the padding.

        Args:
            grid: Canvas and queries.
            tokens: What :meth:`Grid.tokens` returns.

        Returns:
            (batch, channels, *pixels).
        """
        if isinstance(self.pixels, Margins):
            tokens = functional.pad(tokens, self.pixels.widths)
        elif self.pixels is not None:
            if grid.has_zero_tokens:
                tokens = grid.canvas(tokens)
            for axis, index in enumerate(self.pixels, start=2):
                tokens = tokens.index_select(axis, index)
        if self.every is not None:
            sparse: tuple[EllipsisType | slice, ...] = (..., *self.every)
            tokens = tokens[sparse]
        return tokens
