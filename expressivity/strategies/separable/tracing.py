"""What heads do while a graph is traced.

No tracer sees how groups and layouts follow from the values of α and Δ: it receives
them as constants. Saturated heads are a convolution on inputs of any size; soft heads
are smoothed, on one size.
"""

from dataclasses import astuple
from typing import Any

import torch

from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.heads.placement import Values, placement_of
from expressivity.machine.recording import are_recorded
from expressivity.strategies.separable.grouping import (
    Group,
    are_saturated,
    groups_alone,
    groups_of,
)
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.own_heads import OwnHeads
from expressivity.strategies.separable.plan import Step, steps_of
from expressivity.strategies.separable.reading import Layout, Reading, Span, Way

Constants = tuple[Any, ...]


def traced_steps(heads: Heads, grid: Grid) -> tuple[Grid, list[Step | OwnHeads]]:
    """Plan what the heads do, as in eager mode if α and Δ are known.

    Heads are alone if α and Δ are unknown, and if autograd records them: they will
    change.

    Args:
        heads: Parameters of the heads.
        grid: Canvas and queries; sizes may be symbols.

    Returns:
        The grid of the plan, the same or one of this size only; and one step a group.
    """
    alpha, placement = heads.alpha, None
    if not are_recorded((alpha, heads.centers)):
        placement = placement_of(heads.placement, alpha, heads.centers)
    if placement is not None:
        geometry = grid.geometry
        about = (
            geometry.kernel_size,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.padding_mode,
        )
        layouts = placement.ask(_layouts, about, heads.dtype)
        if layouts is not None:
            return grid, [_reading_step(entry, grid, heads) for entry in layouts]
        grid = grid.fixed()
        groups = placement.ask(_groups, about, grid.size, heads.dtype)
        if groups is not None:
            own = [_group(group) for group in groups]
            return grid, steps_of(own, grid, alpha, apart=False, keep=True)
    grid = grid.fixed()
    return grid, steps_of(groups_alone(heads), grid, alpha, apart=True, keep=False)


def _layouts(
    values: Values, about: Constants, dtype: torch.dtype
) -> tuple[Constants, ...] | None:
    """Return groups and layouts for all sizes; ``None`` if some head is soft."""
    leaks, geometry = values.leaks(), ConvGeometry(*about)
    if not all(are_saturated(leaks, dtype)):
        return None
    grid = Grid(geometry, (0,) * geometry.axes, (0,) * geometry.axes, any_size=True)
    groups = groups_of(values, leaks, grid, dtype, apart=False)
    layouts = (Layout.of(group, grid) for group in groups)
    return tuple(
        (astuple(group), layout.way.value, *astuple(layout)[1:])
        for group, layout in zip(groups, layouts, strict=True)
    )


def _groups(
    values: Values, about: Constants, size: tuple[int, ...], dtype: torch.dtype
) -> tuple[Constants, ...]:
    """Return groups for one size."""
    grid, leaks = Grid.of(ConvGeometry(*about), size).fixed(), values.leaks()
    return tuple(map(astuple, groups_of(values, leaks, grid, dtype, apart=False)))


def _group(entry: Constants) -> Group:
    lattice, *others = entry
    return Group(Lattice(*lattice), *others)


def _reading_step(entry: Constants, grid: Grid, heads: Heads) -> Step:
    group, way, spans, is_sparse = entry
    layout = Layout(Way(way), tuple(Span(*span) for span in spans), is_sparse)
    reading = Reading.of(layout, grid, heads.alpha.device)
    return Step.reads(_group(group), grid, reading)
