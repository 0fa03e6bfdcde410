"""What a group of heads does on one grid: read or smooth, then convolve.

A plan follows from the values of α and Δ and holds no parameter. It is valid until
they, the input size, the dtype or the device change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import torch
from torch import Tensor

from expressivity.geometry.grid import Grid
from expressivity.heads.axis_product import AxisProduct, is_joint
from expressivity.heads.leak import mass_beyond, radius_for
from expressivity.heads.parameters import Heads
from expressivity.heads.smoothing import Axis, Band, smoothing_matrix
from expressivity.numbers.precision import compute_dtype, rounding_level
from expressivity.strategies.separable.grouping import Group
from expressivity.strategies.separable.reading import Layout, Reading

# Pixels of the targets that share a window of a banded smoothing. On a CPU the optimum
# is flat from 16 to 64; elsewhere the number of products matters more.
_SPAN = {"cpu": 32}
_SPAN_ELSEWHERE = 128


@dataclass(frozen=True)
class Step:
    """What one group of heads does on one grid.

    Attributes:
        group: The heads.
        targets: The targets along each axis, less the group's origin.
        stride: Targets between neighbouring queries, per axis.
        dilation: Targets between neighbouring taps, per axis.
        bands: The tokens that they attend to along each axis; ``None`` for all.
        prepared: A reading, which replaces the smoothing of saturated heads; for soft
            heads with fixed α and Δ, the smoothing.
        cost: Multiplications that smoothing one channel takes, about.
        tokens: Number of tokens that are smoothed.
    """

    group: Group
    targets: tuple[range, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bands: tuple[Band | None, ...]
    prepared: Reading | AxisProduct | None = None
    cost: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, group: Group, grid: Grid, like: Tensor, *, keep: bool) -> Self:
        """Return what a group does on a grid.

        Args:
            group: The heads.
            grid: Canvas and queries.
            like: A tensor of the dtype and device of the parameters.
            keep: Whether α and Δ are fixed, so that the smoothing is prepared.
        """
        if group.saturated:
            reading = Reading.of(Layout.of(group, grid), grid, like.device)
            return cls.reads(group, grid, reading)
        lattice, queries, dtype = group.lattice, grid.queries, compute_dtype(like.dtype)
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
        exact, device = torch.float64, torch.device("cpu")
        if torch.compiler.is_compiling():  # a graph does this again in every call
            exact, device = dtype, like.device
        origin = torch.tensor(group.origin, dtype=exact, device=device)
        alpha = torch.tensor(group.alpha, dtype=exact, device=device)
        smoothing = step.smoothed_by(grid, alpha, origin, dtype).to(like.device, dtype)
        return replace(step, prepared=smoothing)

    @classmethod
    def reads(cls, group: Group, grid: Grid, reading: Reading) -> Self:
        """Plan what saturated heads do, given the reading of their pixels."""
        stride, dilation = grid.geometry.stride, group.lattice.step
        return cls(group, (), stride, dilation, (), reading)

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

    def is_joint(self, grid: Grid) -> bool:
        """Return whether the smoothing is one matrix over all axes.

        It never is for saturated heads, which are not smoothed.
        """
        if self.group.saturated:
            return False
        columns = [axis.tokens for axis in _axes(grid)]
        return is_joint(list(zip(map(len, self.targets), columns, strict=True)))

    def describe(self, dtype: torch.dtype) -> str:
        """Say in a line what the group does, given the dtype of the parameters."""
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
        radii = [band.radius for band in self.bands if band is not None]
        within = f"within {max(radii)} pixels" if radii else "over the whole canvas"
        return (
            f"{heads} with alpha={self.group.alpha:.4g} smoothed {within}, neglecting "
            f"{self.neglected:.2g}"
        )

    def smoothing_with(self, heads: Heads, grid: Grid) -> AxisProduct:
        """Return the prepared smoothing of the group, or else a differentiable one."""
        if isinstance(self.prepared, AxisProduct):
            return self.prepared
        first, dtype = self.group.lattice.heads[0], compute_dtype(heads.dtype)
        alpha, center = heads.alpha[first], heads.centers[first]
        return self.smoothed_by(grid, alpha.to(dtype), center.to(dtype), dtype)

    def smoothed_by(
        self,
        grid: Grid,
        alpha: Tensor,
        origin: Tensor,
        dtype: torch.dtype | None = None,
    ) -> AxisProduct:
        """Build the smoothing of the group, given its α and its origin in pixels.

        Args:
            grid: Canvas and queries.
            alpha: Locality strength, 1/pixel².
            origin: Center of the group, in pixels.
            dtype: Dtype in which it will be used; by default that of ``alpha``.

        Returns:
            The smoothing, differentiable in α and the origin.
        """
        return AxisProduct.of([
            smoothing_matrix(axis, targets, center, alpha, band, dtype=dtype)
            for axis, targets, center, band in zip(
                _axes(grid), self.targets, origin, self.bands, strict=True
            )
        ])


def _axes(grid: Grid) -> list[Axis]:
    """Return the tokens along each axis; those of zeros are only counted."""
    nonzero = grid.size if grid.has_zero_tokens else grid.canvas_size
    return list(map(Axis, nonzero, grid.zeros_before, grid.canvas_size))


def _cost(targets: Sequence[range], grid: Grid, bands: Sequence[Band | None]) -> int:
    """Return the multiplications of a smoothing per channel, the last axis first."""
    axes = _axes(grid)
    sizes, total = [axis.tokens for axis in axes], 0
    for index in reversed(range(len(axes))):
        band, tokens = bands[index], axes[index].tokens
        sizes[index] = len(targets[index])
        total += prod(sizes) * (tokens if band is None else min(band.width, tokens))
    return total


def _band(
    alpha: float | None, center: float, largest: float, canvas: int, span: int
) -> Band | None:
    """Return the band of the targets if α is known and a banded matrix pays."""
    if alpha is None:
        return None
    radius = radius_for(alpha, largest, most=canvas // 2, on_grid=center.is_integer())
    if radius is None:
        return None
    band = Band(center, radius, span)
    return band if band.pays(canvas) else None
