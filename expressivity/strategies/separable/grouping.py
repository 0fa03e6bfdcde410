"""Which heads can share a smoothing and a kernel, by the values of α and Δ."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.heads.placement import Values
from expressivity.numbers.precision import rounding_level
from expressivity.strategies.separable.lattice import Lattice

# A lattice with more points per head than this, or more targets per head and query, is
# not worth one kernel.
_SPARSEST = 4


@dataclass(frozen=True)
class Group:
    """Heads that attend alike, up to shifts by whole pixels.

    Attributes:
        lattice: The heads, with centers counted from ``origin``.
        alpha: Their locality strength, ``None`` if it is unknown.
        origin: Center of the first head, in pixels; rounded for saturated heads.
        leak: Probability off the pixel nearest to the target, for the softest head.
        saturated: Whether the leak is below the rounding level of the dtype.
    """

    lattice: Lattice
    alpha: float | None
    origin: tuple[float, ...]
    leak: float
    saturated: bool


def groups_alone(heads: Heads) -> tuple[Group, ...]:
    """Return a group for every head, for heads whose α and Δ are unknown."""
    count, axes = heads.centers.shape
    return tuple(
        Group(Lattice.point(head, axes), None, (0.0,) * axes, 1.0, saturated=False)
        for head in range(count)
    )


def are_saturated(leaks: Sequence[float], dtype: torch.dtype) -> list[bool]:
    """Return whether the leak of each head is below the rounding of the parameters."""
    rounding = rounding_level(dtype)
    return [leak <= rounding for leak in leaks]


def largest_crowd(centers: Sequence[tuple[float, ...]]) -> int:
    """Return how many heads share a lattice point at most, on any grid.

    Those are heads whose centers, in pixels, are the same after rounding.

    Example:
        >>> largest_crowd([(0.0,), (0.2,), (1.0,)])
        2
    """
    return max(Counter(tuple(map(round, center)) for center in centers).values())


def groups_of(
    values: Values,
    leaks: Sequence[float],
    grid: Grid,
    dtype: torch.dtype,
    *,
    apart: bool,
) -> tuple[Group, ...]:
    """Return groups of heads that can share a smoothing and a kernel.

    Saturated heads come first, in one group if one kernel is worth it.

    Args:
        values: The numbers that α and Δ hold.
        leaks: Probability off the pixel nearest to the target, of each head.
        grid: Canvas and queries; of one size, unless all heads are saturated.
        dtype: Dtype of the parameters; its rounding says which heads are saturated.
        apart: Whether soft heads must stay alone, so that each receives derivatives of
            its own.
    """
    saturated = are_saturated(leaks, dtype)
    alike: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for head, (strength, center) in enumerate(zip(*values, strict=True)):
        if saturated[head]:
            alike[()].append(head)
        elif apart:
            alike[(head,)].append(head)
        else:
            fractions = (c - math.floor(c) for c in center)
            alike[(strength, *fractions)].append(head)
    return tuple(
        Group(
            lattice,
            values.alphas[lattice.heads[0]],
            origin,
            max(leaks[head] for head in lattice.heads),
            saturated=not key,
        )
        for key, heads in sorted(alike.items(), key=lambda item: len(item[0]) > 0)
        for origin, lattice in _lattices(values, heads, grid, rounded=not key)
    )


def _lattices(
    values: Values, heads: Sequence[int], grid: Grid, *, rounded: bool
) -> Iterator[tuple[tuple[float, ...], Lattice]]:
    """Yield one lattice for all heads if it is worth a kernel, else one a head."""
    centers = {
        head: tuple(float(round(c)) if rounded else c for c in values.centers[head])
        for head in heads
    }
    origin = centers[heads[0]]
    offsets = [
        tuple(round(c - o) for c, o in zip(centers[head], origin, strict=True))
        for head in heads
    ]
    together = Lattice.spanned(heads, offsets)
    if _is_worth_a_kernel(together, grid):
        yield origin, together
    else:
        yield from ((centers[h], Lattice.point(h, len(origin))) for h in heads)


def _is_worth_a_kernel(lattice: Lattice, grid: Grid) -> bool:
    """Whether a lattice has few points and few targets beside those of its heads."""
    heads = len(lattice.heads)
    if math.prod(lattice.counts) > _SPARSEST * heads:
        return False
    if grid.any_size:
        reach = (s * (c - 1) for s, c in zip(lattice.step, lattice.counts, strict=True))
        return all(r < e for r, e in zip(reach, grid.geometry.extent, strict=True))
    targets = math.prod([len(points) for points in lattice.targets(grid.queries)])
    alone = heads * math.prod([len(points) for points in grid.queries])
    return targets <= _SPARSEST * alone
