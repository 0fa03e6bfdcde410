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
from expressivity.heads.parameters import Heads
from expressivity.heads.smoothing import smoothing_along_axes
from expressivity.heads.stencil import Stencil, first_pixel, is_on_canvas
from expressivity.heads.stencils import Stencils, format_for
from expressivity.machine.recording import is_traced
from expressivity.numbers.precision import compute_dtype
from expressivity.strategies.separable.bands import (
    Bands,
    axes_of,
    bands_of,
    cost_of,
    neglected_by,
    radii_of,
    radii_of_bands,
)
from expressivity.strategies.separable.grouping import Group
from expressivity.strategies.separable.own_heads import OwnHeads
from expressivity.strategies.separable.reading import Layout, Reading


@dataclass(frozen=True)
class Step:
    """What one group of heads does on one grid.

    Attributes:
        group: The heads.
        targets: The targets along each axis, less the group's origin.
        stride: Targets between neighbouring queries, per axis.
        dilation: Targets between neighbouring taps, per axis.
        bands: The tokens that they attend to along each axis; ``None`` for all.
        radii: Pixels around a target that a stencil attends to, along each axis;
            ``None`` where targets are off the canvas or attend to most of it.
        prepared: A reading, which replaces the smoothing of saturated heads; for soft
            heads with fixed α and Δ, the smoothing by matrices.
        stencils: The same smoothing by stencils.
        neglected: Probability that is taken for none, at most, over all axes.
        neglected_by_stencils: The same, where stencils replace matrices.
        cost: Multiplications that smoothing one channel takes, about.
        tokens: Number of tokens that are smoothed.
    """

    group: Group
    targets: tuple[range, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bands: Bands
    radii: tuple[int, ...] | None = None
    prepared: Reading | AxisProduct | None = None
    stencils: Stencils | None = None
    neglected: float = 0.0
    neglected_by_stencils: float = 0.0
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
        origins = [group.origin]
        bands = bands_of(group.alpha, origins, grid, dtype, like.device)
        targets = tuple(lattice.targets(queries))
        radii = _stencil_radii(group, targets, grid, dtype, like.device)
        within = radii_of_bands(bands)
        neglected, by_stencils = (
            neglected_by(reach, group.alpha, targets, origins, grid, dtype)
            for reach in (within, radii or within)
        )
        step = cls(
            group,
            targets,
            tuple(lattice.stride(queries)),
            tuple(lattice.dilation(queries)),
            bands,
            radii,
            neglected=neglected,
            neglected_by_stencils=by_stencils,
            cost=cost_of(targets, grid, bands),
            tokens=prod([axis.tokens for axis in axes_of(grid)]),
        )
        if not keep or group.alpha is None:
            return step
        exact, device = torch.float64, torch.device("cpu")
        if torch.compiler.is_compiling():  # a graph does this again in every call
            exact, device = dtype, like.device
        origin = torch.tensor(group.origin, dtype=exact, device=device)
        alpha = torch.tensor(group.alpha, dtype=exact, device=device)
        matrices = step.smoothed_by(grid, alpha, origin, dtype).to(like.device, dtype)
        stencils = step.stencils_of(grid, dtype)
        return replace(step, prepared=matrices, stencils=stencils)

    @classmethod
    def reads(cls, group: Group, grid: Grid, reading: Reading) -> Self:
        """Plan what saturated heads do, given the reading of their pixels."""
        stride, dilation = grid.geometry.stride, group.lattice.step
        return cls(
            group, (), stride, dilation, (), prepared=reading, neglected=group.leak
        )

    @property
    def heads(self) -> tuple[int, ...]:
        """Indices of the heads."""
        return self.group.lattice.heads

    @property
    def is_saturated(self) -> bool:
        """Whether attention is one pixel at working precision."""
        return self.group.saturated

    def is_joint(self, grid: Grid) -> bool:
        """Return whether the smoothing is one matrix over all axes.

        It never is for saturated heads, which are not smoothed.
        """
        if self.group.saturated:
            return False
        columns = [axis.tokens for axis in axes_of(grid)]
        return is_joint(list(zip(map(len, self.targets), columns, strict=True)))

    def describe(self, dtype: torch.dtype, tokens: Tensor, outputs: int) -> str:
        """Return what the group does, in a line.

        Args:
            dtype: Dtype of the parameters.
            tokens: What is smoothed.
            outputs: Channels of the output.

        Returns:
            How many heads, how far they are smoothed, and what that neglects.
        """
        count = len(self.group.lattice.heads)
        heads = f"{count} head{'s' * (count > 1)}"
        kind = str(dtype).removeprefix("torch.")
        if self.group.saturated:
            return (
                f"{heads} saturated: {self.neglected:.2g} of the attention is off its "
                f"pixel, below the rounding of {kind}: no smoothing is needed until "
                "alpha or centers change"
            )
        if self.group.alpha is None:
            return f"{heads} smoothed over the whole canvas, alpha not known"
        radii = [r for r in radii_of_bands(self.bands) if r is not None]
        within = f"within {max(radii)} pixels" if radii else "over the whole canvas"
        neglected = self.neglected
        if self.radii and self.stencils_for(tokens, outputs) is not None:
            within = f"by stencils within {max(self.radii)} pixels"
            neglected = self.neglected_by_stencils
        return (
            f"{heads} with alpha={self.group.alpha:.4g} smoothed {within}, neglecting "
            f"{neglected:.2g}"
        )

    def stencils_for(self, tokens: Tensor, outputs: int) -> Stencils | None:
        """Return the prepared stencils, if they are faster.

        Args:
            tokens: What they smooth.
            outputs: Channels of the output.
        """
        if self.stencils is None or self.radii is None:
            return None
        of_one_tap = outputs if self.group.lattice.is_point else None
        wanted = format_for(self.radii, tokens, of_one_tap=of_one_tap)
        return None if wanted is None else replace(self.stencils, wanted=wanted)

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
        along = smoothing_along_axes(
            axes_of(grid),
            self.targets,
            self.bands,
            alpha[None],
            origin[None],
            dtype=dtype,
        )
        return AxisProduct.of([matrices.of_head(0) for matrices in along])

    def stencils_of(self, grid: Grid, dtype: torch.dtype) -> Stencils | None:
        """Build the smoothing as :meth:`smoothed_by` does, if there are stencils.

        Args:
            grid: Canvas and queries.
            dtype: Dtype in which it will be used.

        Returns:
            The smoothing, for a CPU; ``None`` where some target has no stencil.
        """
        if self.radii is None or self.group.alpha is None:
            return None
        along = []
        for axis, targets, center, radius in zip(
            axes_of(grid), self.targets, self.group.origin, self.radii, strict=True
        ):
            first = first_pixel(targets, center)
            fraction = center - (first - targets.start)
            along.append(
                Stencil.of(
                    axis,
                    targets,
                    first,
                    fraction,
                    self.group.alpha,
                    radius,
                    dtype=dtype,
                )
            )
        return Stencils.of(along).to(torch.device("cpu"), dtype)


def steps_of(
    groups: Sequence[Group], grid: Grid, like: Tensor, *, apart: bool, keep: bool
) -> list[Step | OwnHeads]:
    """Return what groups do on a grid; soft heads that share nothing go together.

    Args:
        groups: All groups of a layer.
        grid: Canvas and queries.
        like: A tensor of the dtype and device of the parameters.
        apart: Whether every soft head is a group.
        keep: Whether α and Δ are fixed, so that smoothings are prepared.
    """
    lone = [g for g in groups if not g.saturated and len(g.lattice.heads) == 1]
    if len(lone) == 1 and not apart:
        lone = []
    steps: list[Step | OwnHeads] = [
        Step.of(group, grid, like, keep=keep) for group in groups if group not in lone
    ]
    if lone:
        alphas = [group.alpha for group in lone if group.alpha is not None]
        own = OwnHeads.of(
            [group.lattice.heads[0] for group in lone],
            alphas if len(alphas) == len(lone) else None,
            [group.origin for group in lone],
            grid,
            like,
            keep=keep,
        )
        steps.append(own)
    return steps


def _stencil_radii(
    group: Group,
    targets: Sequence[range],
    grid: Grid,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[int, ...] | None:
    """Return the radius of a stencil along each axis, ``None`` if some has none."""
    if device.type != "cpu" or dtype != torch.float32 or is_traced():
        return None  # torch has no fast kernel for it, or none was measured
    radii = radii_of(group.alpha, [group.origin], grid, dtype)
    found = tuple(radius for radius in radii if radius is not None)
    suits = len(found) == len(radii) and all(
        map(is_on_canvas, targets, group.origin, grid.canvas_size)
    )
    return found if suits else None
