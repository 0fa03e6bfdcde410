"""Which heads can share a smoothing and a kernel, by the values of α and Δ."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from expressivity.bounds import head_leaks
from expressivity.precision import rounding_level
from expressivity.strategies.base import Heads
from expressivity.strategies.separable.lattice import Lattice

# A lattice with more points per head than this, or more targets per head and query, is
# not worth one kernel.
_SPARSEST = 4
# Pixels; no canvas is so wide, and whole numbers end not far beyond.
_FARTHEST = 2**24


class Values(NamedTuple):
    """The numbers that α and Δ hold."""

    alphas: tuple[float, ...]
    centers: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Group:
    """Heads that attend alike, up to shifts by whole pixels.

    Attributes:
        lattice: The heads, their centers counted from ``origin``.
        alpha: Their locality strength; ``None`` where nobody knows it.
        origin: Center of the first head, in pixels; of saturated heads, rounded.
        leak: Probability off the pixel nearest to the target, of the softest head.
        saturated: Whether that is below the rounding level of the dtype.
    """

    lattice: Lattice
    alpha: float | None
    origin: tuple[float, ...]
    leak: float
    saturated: bool


def known_values(heads: Heads) -> Values | None:
    """Return the numbers that α and Δ hold, where they may be looked at.

    On a device that runs behind, they are fetched once and kept until they change.

    Args:
        heads: Parameters of the heads.

    Returns:
        The values; ``None`` while a graph is traced, which may later run with
        others, and where there are none (meta, vmap) or some are not finite or far
        off every canvas.
    """
    if torch.compiler.is_compiling():
        return None
    if heads.alpha.is_cpu:
        return _fetched(heads)
    placement = (heads.alpha, heads.centers)
    return heads.memo.get("values", placement, lambda: _fetched(heads))


def groups_alone(heads: Heads) -> tuple[Group, ...]:
    """Return a group for every head, for heads whose α and Δ are not known.

    Args:
        heads: Parameters of the heads.

    Returns:
        The groups.
    """
    count, axes = heads.centers.shape
    return tuple(
        Group(Lattice.point(head, axes), None, (0.0,) * axes, 1.0, saturated=False)
        for head in range(count)
    )


def groups_of(
    values: Values, queries: Sequence[range], dtype: torch.dtype, *, apart: bool
) -> tuple[Group, ...]:
    """Return groups of heads that can share a smoothing and a kernel.

    Args:
        values: The numbers that α and Δ hold.
        queries: Query positions along each axis.
        dtype: Dtype of the parameters; its rounding says which heads are saturated.
        apart: Whether heads that are not saturated must stay alone, so that each
            receives derivatives of its own.

    Returns:
        Saturated heads first, all together as far as one kernel is worth it.
    """
    alpha, centers = (
        torch.tensor(v, dtype=torch.float64, device="cpu") for v in values
    )
    leaks = head_leaks(alpha, centers).tolist()
    rounding = rounding_level(dtype)
    alike: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for head, (strength, center) in enumerate(zip(*values, strict=True)):
        if leaks[head] <= rounding:
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
        for origin, lattice in _lattices(values, heads, queries, rounded=not key)
    )


def _lattices(
    values: Values, heads: Sequence[int], queries: Sequence[range], *, rounded: bool
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
    points = math.prod(together.counts)
    targets = math.prod(map(len, together.targets(queries)))
    alone = len(heads) * math.prod(map(len, queries))
    if points <= _SPARSEST * len(heads) and targets <= _SPARSEST * alone:
        yield origin, together
    else:
        yield from ((centers[h], Lattice.point(h, len(origin))) for h in heads)


def _fetched(heads: Heads) -> Values | None:
    try:
        alphas, centers = heads.alpha.tolist(), heads.centers.tolist()
    except RuntimeError:
        return None
    if not math.isfinite(sum(alphas) + sum(map(sum, centers))):
        return None
    if max(map(max, centers)) > _FARTHEST or min(map(min, centers)) < -_FARTHEST:
        return None
    return Values(tuple(alphas), tuple(map(tuple, centers)))
