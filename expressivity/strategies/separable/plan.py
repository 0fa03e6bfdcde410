"""What a group of heads does on one grid: read or smooth, then convolve.

A plan is made from the values of α and Δ and holds no parameter, so that it can be
used until they, the input size, the dtype or the device change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from types import EllipsisType
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from expressivity.banded import AxisProduct
from expressivity.bounds import mass_beyond, radius_for
from expressivity.grid import Grid
from expressivity.precision import compute_dtype, rounding_level
from expressivity.smoothing import Axis, Band, smoothing_matrix
from expressivity.strategies.base import Heads
from expressivity.strategies.separable.grouping import Group

# Targets that share a window of a banded smoothing lie on so many pixels. On a CPU
# the optimum is flat from 16 to 64; elsewhere the number of products matters more.
_SPAN = {"cpu": 32}
_SPAN_ELSEWHERE = 128


@dataclass(frozen=True)
class Reading:
    """How saturated heads read the pixels nearest to their targets.

    Attributes:
        padding: Zeros that the convolution itself adds to both sides of each axis.
        margins: Zeros added to the tokens first, as ``torch.nn.functional.pad`` takes
            them; negative ones crop.
        pixels: Or the pixels of the canvas to take, along each axis.
        every: Take one token of so many, per axis.
    """

    padding: tuple[int, ...]
    margins: tuple[int, ...] | None = None
    pixels: tuple[Tensor, ...] | None = None
    every: tuple[slice, ...] | None = None

    @classmethod
    def of(cls, group: Group, grid: Grid, device: torch.device) -> Self:
        """Find the reading that copies least.

        Args:
            group: Saturated heads.
            grid: Canvas and queries.
            device: Device of the input.

        Returns:
            The reading.
        """
        axes, spans = _axes(grid), _spans(group, grid)
        none = (0,) * len(axes)
        steps = tuple(query.step for query in grid.queries)
        point = group.lattice.is_point
        every = tuple(slice(None, None, step) for step in steps)
        sparse = every if point and max(steps) > 1 else None
        before = [
            axis.zeros_before - span.start
            for axis, span in zip(axes, spans, strict=True)
        ]
        after = [
            span[-1] - axis.zeros_before - axis.tokens + 1
            for axis, span in zip(axes, spans, strict=True)
        ]
        if any(
            span.start < 0
            or span[-1] >= axis.canvas
            or -min(first, last) >= axis.tokens
            for axis, span, first, last in zip(axes, spans, before, after, strict=True)
        ):  # off the canvas, or among its zeros only
            pixels = (
                torch.arange(span.start, span.stop, device="cpu").clamp(
                    0, axis.canvas - 1
                )
                for axis, span in zip(axes, spans, strict=True)
            )
            moved = tuple(index.to(device) for index in pixels)
            return cls(none, pixels=moved, every=sparse)
        # The convolution pads both sides alike: that fits unless it gave more outputs.
        if not point and all(
            first >= 0 and last <= first < last + step
            for first, last, step in zip(before, after, steps, strict=True)
        ):
            return cls(tuple(before))
        if not any(before) and all(
            1 - step <= last <= 0 for last, step in zip(after, steps, strict=True)
        ):
            return cls(none, every=sparse)
        pairs = zip(reversed(before), reversed(after), strict=True)
        margins = tuple(chain.from_iterable(pairs))
        return cls(none, margins=margins, every=sparse)

    def __call__(self, grid: Grid, tokens: Tensor) -> Tensor:
        """Return what the heads' taps are laid on, less the padding.

        Args:
            grid: Canvas and queries.
            tokens: What :meth:`Grid.tokens` returns.

        Returns:
            (batch, channels, *pixels).
        """
        if self.pixels is not None:
            if grid.has_zero_tokens:
                tokens = grid.canvas(tokens)
            for axis, index in enumerate(self.pixels, start=2):
                tokens = tokens.index_select(axis, index)
        elif self.margins is not None:
            tokens = functional.pad(tokens, self.margins)
        if self.every is not None:
            sparse: tuple[EllipsisType | slice, ...] = (..., *self.every)
            tokens = tokens[sparse]
        return tokens


@dataclass(frozen=True)
class Step:
    """What one group of heads does on one grid.

    Attributes:
        group: The heads.
        targets: The targets along each axis, less the group's origin.
        stride: Targets between neighbouring queries, per axis.
        dilation: Targets between neighbouring taps, per axis.
        bands: Where they look along each axis; ``None`` for everywhere.
        reading: For saturated heads: what takes the place of a smoothing.
        smoothing: The smoothing, where it may be kept.
        cost: Multiplications that smoothing one channel takes, about.
        tokens: Number of tokens that are smoothed.
    """

    group: Group
    targets: tuple[range, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bands: tuple[Band | None, ...]
    reading: Reading | None = None
    smoothing: AxisProduct | None = None
    cost: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, group: Group, grid: Grid, like: Tensor, *, keep: bool) -> Self:
        """Plan what a group does.

        Args:
            group: The heads.
            grid: Canvas and queries.
            like: A tensor of the dtype and device of the parameters.
            keep: Whether α and Δ are fixed, so that a smoothing may be kept.

        Returns:
            The step.
        """
        lattice, queries, dtype = group.lattice, grid.queries, compute_dtype(like.dtype)
        if group.saturated:
            reading = Reading.of(group, grid, like.device)
            steps = tuple(query.step for query in queries)
            return cls(group, (), steps, lattice.step, (), reading)
        rounding = rounding_level(dtype) / len(queries)
        span = _SPAN.get(like.device.type, _SPAN_ELSEWHERE)
        bands = tuple(
            _band(group.alpha, center, rounding, axis.canvas, span)
            for center, axis in zip(group.origin, _axes(grid), strict=True)
        )
        targets = tuple(lattice.targets(queries))
        step = cls(
            group,
            targets,
            tuple(lattice.stride(queries)),
            tuple(lattice.dilation(queries)),
            bands,
            cost=_cost(targets, grid, bands),
            tokens=prod([axis.tokens for axis in _axes(grid)]),
        )
        if not keep or group.alpha is None:
            return step
        origin = torch.tensor(group.origin, dtype=torch.float64, device="cpu")
        alpha = torch.tensor(group.alpha, dtype=torch.float64, device="cpu")
        smoothing = step.smoothed_by(grid, alpha, origin).to(like.device, dtype)
        return replace(step, smoothing=smoothing)

    @property
    def neglected(self) -> float:
        """Probability that is taken for none, at most, over all axes."""
        if self.group.saturated:
            return self.group.leak
        return sum(
            mass_beyond(
                self.group.alpha or 0.0,
                band.radius,
                on_grid=band.center.is_integer(),
            )
            for band in self.bands
            if band is not None
        )

    def describe(self, dtype: torch.dtype) -> str:
        """Say in words what the group does.

        Args:
            dtype: Dtype of the parameters.

        Returns:
            One line.
        """
        count = len(self.group.lattice.heads)
        heads = f"{count} head{'s' * (count > 1)}"
        kind = str(dtype).removeprefix("torch.")
        if self.group.saturated:
            return (
                f"{heads} saturated: {self.neglected:.2g} of the attention is off its "
                f"pixel, below the rounding of {kind}: no smoothing is needed"
            )
        if self.group.alpha is None:
            return f"{heads} smoothed over the whole canvas, alpha not known"
        looked = [band.radius for band in self.bands if band is not None]
        within = f"within {max(looked)} pixels" if looked else "over the whole canvas"
        return (
            f"{heads} with alpha={self.group.alpha:.4g} smoothed {within}, neglecting "
            f"{self.neglected:.2g}"
        )

    def smoothing_with(self, heads: Heads, grid: Grid) -> AxisProduct:
        """Return the smoothing of the group.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.

        Returns:
            What was kept, else one that derivatives go through.
        """
        if self.smoothing is not None:
            return self.smoothing
        first, dtype = self.group.lattice.heads[0], compute_dtype(heads.dtype)
        alpha, center = heads.alpha[first], heads.centers[first]
        return self.smoothed_by(grid, alpha.to(dtype), center.to(dtype))

    def smoothed_by(self, grid: Grid, alpha: Tensor, origin: Tensor) -> AxisProduct:
        """Build the smoothing of the group.

        Args:
            grid: Canvas and queries.
            alpha: Locality strength, 1/pixel².
            origin: The group's origin, in pixels.

        Returns:
            One matrix an axis.
        """
        return AxisProduct.of([
            smoothing_matrix(axis, targets, center, alpha, band)
            for axis, targets, center, band in zip(
                _axes(grid), self.targets, origin, self.bands, strict=True
            )
        ])


def _axes(grid: Grid) -> list[Axis]:
    """Return the tokens along each axis, those that hold zeros only counted."""
    kept = grid.size if grid.has_zero_tokens else grid.canvas_size
    return list(map(Axis, kept, grid.zeros_before, grid.canvas_size))


def _cost(targets: Sequence[range], grid: Grid, bands: Sequence[Band | None]) -> int:
    """Return the multiplications of a smoothing, a channel, the last axis first."""
    axes = _axes(grid)
    sizes, total = [axis.tokens for axis in axes], 0
    for index in reversed(range(len(axes))):
        band, tokens = bands[index], axes[index].tokens
        sizes[index] = len(targets[index])
        total += prod(sizes) * (tokens if band is None else min(band.width, tokens))
    return total


def _spans(group: Group, grid: Grid) -> list[range]:
    """Return all pixels between the first target of saturated heads and the last."""
    return [
        range(targets.start + int(origin), targets[-1] + int(origin) + 1)
        for targets, origin in zip(
            group.lattice.targets(grid.queries), group.origin, strict=True
        )
    ]


def _band(
    alpha: float | None, center: float, largest: float, canvas: int, span: int
) -> Band | None:
    """Return where targets look, if that is known and a banded matrix pays."""
    if alpha is None:
        return None
    radius = radius_for(alpha, largest, most=canvas // 2, on_grid=center.is_integer())
    if radius is None:
        return None
    band = Band(center, radius, span)
    return band if band.pays(canvas) else None
