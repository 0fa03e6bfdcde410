"""What heads attend to along each axis: tokens, bands, and what is neglected."""

from collections.abc import Sequence
from math import prod

import torch

from expressivity.geometry.grid import Grid
from expressivity.heads.leak import mass_beyond, radius_for
from expressivity.heads.smoothing import Axis, Band
from expressivity.numbers.precision import rounding_level
from expressivity.numbers.softmax import lowest_gap, masked_mass

# Pixels of the targets that share a window of a banded smoothing. On a CPU the optimum
# is flat from 16 to 64; elsewhere the number of products matters more.
_SPAN = {"cpu": 32}
_SPAN_ELSEWHERE = 128

Bands = tuple[Band | None, ...]
Radii = tuple[int | None, ...]


def axes_of(grid: Grid) -> list[Axis]:
    """Return the tokens along each axis; those of zeros are only counted."""
    nonzero = grid.size if grid.has_zero_tokens else grid.canvas_size
    return list(map(Axis, nonzero, grid.zeros_before, grid.canvas_size))


def bands_of(
    alpha: float | None,
    centers: Sequence[tuple[float, ...]],
    grid: Grid,
    dtype: torch.dtype,
    device: torch.device,
) -> Bands:
    """Return the band of each axis that holds the attention of some heads.

    Args:
        alpha: The smallest of their locality strengths; ``None`` if it is unknown.
        centers: Their centers in pixels.
        grid: Canvas and queries.
        dtype: Dtype of the smoothing: less than its rounding is left out.
        device: Where it is computed.

    Returns:
        A band an axis; ``None`` where a full matrix costs less.
    """
    span = _SPAN.get(device.type, _SPAN_ELSEWHERE)
    bands = []
    for along, canvas, radius in zip(
        zip(*centers, strict=True),
        grid.canvas_size,
        radii_of(alpha, centers, grid, dtype),
        strict=True,
    ):
        band = None
        if radius is not None:
            band = Band(min(along), max(along), radius, span)
        bands.append(band if band is not None and band.pays(canvas) else None)
    return tuple(bands)


def radii_of(
    alpha: float | None,
    centers: Sequence[tuple[float, ...]],
    grid: Grid,
    dtype: torch.dtype,
) -> Radii:
    """Return the pixels around a target that hold the attention of some heads.

    Args:
        alpha: The smallest of their locality strengths; ``None`` if it is unknown.
        centers: Their centers in pixels.
        grid: Canvas and queries.
        dtype: Dtype of the smoothing: less than its rounding is left out.

    Returns:
        A radius an axis; ``None`` where that is half of the canvas or more.
    """
    if alpha is None:
        return (None,) * len(grid.size)
    largest = rounding_level(dtype) / len(grid.size)
    return tuple(
        radius_for(
            alpha,
            largest,
            most=canvas // 2,
            on_grid=all(center.is_integer() for center in along),
        )
        for along, canvas in zip(
            zip(*centers, strict=True), grid.canvas_size, strict=True
        )
    )


def radii_of_bands(bands: Bands) -> Radii:
    """Return the radius of each band, ``None`` where the whole axis is attended to."""
    return tuple(None if band is None else band.radius for band in bands)


def neglected_by(
    radii: Radii,
    alpha: float | None,
    targets: Sequence[range],
    centers: Sequence[tuple[float, ...]],
    grid: Grid,
    dtype: torch.dtype,
) -> float:
    """Return the probability that is taken for none, at most, over all axes.

    Args:
        radii: Pixels around a target that are attended to; ``None`` for all.
        alpha: The smallest of their locality strengths; ``None`` if it is unknown.
        targets: Positions in pixels of the canvas, less the centers, per axis.
        centers: The centers of the heads, in pixels.
        grid: Canvas and queries.
        dtype: Dtype of the smoothing.
    """
    total = 0.0
    for axis, (radius, points) in enumerate(zip(radii, targets, strict=True)):
        along = [center[axis] for center in centers]
        tokens = grid.canvas_size[axis]
        if radius is not None and alpha is not None:
            on_grid = all(center.is_integer() for center in along)
            total += mass_beyond(alpha, radius, on_grid=on_grid)
        low, high = points[0] + min(along), points[-1] + max(along)
        farthest = max(tokens, tokens - low, high)
        if alpha is None or alpha * farthest * farthest > -lowest_gap(dtype):
            total += masked_mass(tokens, dtype)
    return total


def cost_of(targets: Sequence[range], grid: Grid, bands: Bands) -> int:
    """Return the multiplications of a smoothing per channel, the last axis first."""
    axes = axes_of(grid)
    sizes, total = [axis.tokens for axis in axes], 0
    for index in reversed(range(len(axes))):
        band, tokens = bands[index], axes[index].tokens
        sizes[index] = len(targets[index])
        total += prod(sizes) * (tokens if band is None else min(band.width, tokens))
    return total
