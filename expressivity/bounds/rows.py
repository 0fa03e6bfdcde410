"""The exact worst case: ℓ₁ norms of the rows of (attention − convolution).

For inputs with ‖x‖_∞ ≤ 1 the largest possible error of one output is the ℓ₁ norm of
its row of the difference operator, attained by the sign pattern of that row. A row
is a sum over heads of Kronecker products of short vectors, one an axis:

    Σ_h W_h ⊗ (P_h − S_h) + Σ_c V_c ⊗ S_c,

P_h the attention of head h, S_h its one-hot limit at the integer center c_h, and V_c
what is left of the weights there (zero for an untouched conversion). P − S is formed
without cancellation, so that a leak of 1e−30 keeps all its digits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.bounds.leak import band_radius, head_leaks
from expressivity.encoding import axis_scores
from expressivity.geometry import ConvGeometry
from expressivity.smoothing import axis_limit

_BLOCK = 2**24
_ROWS = 2**18
_WIDEST_BAND = 9  # pixels; beyond, an input that shows everything is large


@dataclass(frozen=True)
class _Placed:
    """Where the heads attend, and where they ought to."""

    alpha: Tensor  # (heads,)
    centers: Tensor  # (heads, axes)
    limits: Tensor  # c_h, (heads, axes), integers
    spots: Tensor  # centers of V, (spots, axes), integers
    band: int  # pixels around a target that get any attention


@dataclass(frozen=True)
class _AxisRows:
    """What a query position sees along one axis, per head and per center.

    Several positions may be stacked in front.
    """

    attention: Tensor  # P, (heads, pixels)
    limit: Tensor  # S, (heads, pixels)
    deviation: Tensor  # P − S, (heads, pixels)
    exact: Tensor  # S at the centers of V, (centers, pixels)


def largest_row_norms(
    alpha: Float[Tensor, " heads"],
    centers: Float[Tensor, "heads axes"],
    matrices: Float[Tensor, "heads out_channels channels_of_group"],
    tap_matrices: Float[Tensor, "taps out_channels channels_of_group"],
    geometry: ConvGeometry,
    size: Sequence[int],
) -> Float[Tensor, " out_channels"]:
    """Return the exact worst-case error of an attention layer, per output channel.

    Args:
        alpha: Locality strengths of the heads, 1/pixel².
        centers: Attention centers, in pixels.
        matrices: W_h, what each head's value and output projections compose to.
        tap_matrices: The convolution to compare with, one matrix a tap.
        geometry: Geometry of both.
        size: Pixels per axis of the input.

    Returns:
        max over outputs of the ℓ₁ norm of the row, in float64: the absolute error
        attained by some input with ‖x‖_∞ ≤ 1.

    Raises:
        InputError: If the size does not suit the geometry.
    """
    geometry.check_input(size)
    limits = centers.round().long()
    spots, spare = _weights_left(
        limits, matrices.double(), geometry.centers(), tap_matrices.double()
    )
    weights = torch.cat([matrices.double(), spare]).movedim(0, -1)
    band = _band_within(alpha.double(), max(geometry.canvas_size(size)))
    placed = _Placed(alpha.double(), centers.double(), limits, spots, band)
    *outer, last = (
        list(_axis_rows(placed, geometry, size, axis)) for axis in range(geometry.axes)
    )
    innermost = _stacked(last)
    largest = weights.new_zeros(len(weights))
    for rows in product(*outer):
        along = [*rows, innermost]
        differences = _kronecker_difference(along)
        exact = _kronecker([row.exact for row in along])
        pixels = torch.cat([differences, exact], dim=-2)
        largest = torch.maximum(largest, _row_norms(weights, pixels))
    return largest


def row_norm_bound(
    alpha: Float[Tensor, " heads"],
    centers: Float[Tensor, "heads axes"],
    matrices: Float[Tensor, "heads out_channels channels_of_group"],
    tap_matrices: Float[Tensor, "taps out_channels channels_of_group"],
    geometry: ConvGeometry,
) -> Float[Tensor, " out_channels"]:
    """Return an upper bound of :func:`largest_row_norms` for every input size.

    Args:
        alpha: Locality strengths of the heads, 1/pixel².
        centers: Attention centers, in pixels.
        matrices: W_h, what each head's value and output projections compose to.
        tap_matrices: The convolution to compare with, one matrix a tap.
        geometry: Geometry of both.

    Returns:
        2 Σ_h leak_h Σ|W_h| + Σ|V|, in float64.
    """
    leaks, limits, taps = (
        head_leaks(alpha, centers),
        centers.round().long(),
        geometry.centers(),
    )
    rows = max(1, _ROWS // (matrices.shape[0] * matrices.shape[2]))
    norms = []
    # Some outputs at a time: in float64 a large layer would take ten times its weights.
    for some, wanted in zip(
        matrices.split(rows, 1), tap_matrices.split(rows, 1), strict=True
    ):
        _, spare = _weights_left(limits, some.double(), taps, wanted.double())
        leaked = 2 * leaks @ some.double().abs().sum(-1)
        norms.append(leaked + spare.abs().sum(dim=(0, 2)))
    return torch.cat(norms)


def characteristic_size(
    alpha: Float[Tensor, " heads"], geometry: ConvGeometry
) -> tuple[int, ...] | None:
    """Return an input size on which borders and interior are all to be seen.

    Args:
        alpha: Locality strengths of the heads, 1/pixel².
        geometry: Geometry of the layer.

    Returns:
        Pixels per axis: the reach of the kernel plus a band on either side; ``None``
        if a head is too soft for a band of 9 pixels (α below 0.8).
    """
    band = _band_within(alpha.double(), _WIDEST_BAND + 1)
    if band > _WIDEST_BAND:
        return None
    return tuple(
        extent + stride + 2 * (band + max(pair))
        for extent, stride, pair in zip(
            geometry.extent, geometry.stride, geometry.padding, strict=True
        )
    )


def _band_within(alpha: Tensor, most: int) -> int:
    """Pixels around a target that get any attention, on a canvas of so many."""
    softest = float(alpha.min())
    return most if softest <= 0 else min(most, band_radius(softest))


def _weights_left(
    limits: Tensor, matrices: Tensor, taps: Tensor, tap_matrices: Tensor
) -> tuple[Tensor, Tensor]:
    """Return integer centers c and V_c = Σ_{h: c_h = c} W_h − W_c, where not 0."""
    spots, index = torch.cat([limits, taps]).unique(dim=0, return_inverse=True)
    spare = matrices.new_zeros(len(spots), *matrices.shape[1:])
    spare.index_add_(0, index, torch.cat([matrices, -tap_matrices]))
    kept = spare.flatten(1).any(dim=1)
    return spots[kept], spare[kept]


def _axis_rows(
    heads: _Placed, geometry: ConvGeometry, size: Sequence[int], axis: int
) -> Iterator[_AxisRows]:
    """Yield the rows of one axis: all those near a border, one of the interior."""
    keys = geometry.canvas_size(size)[axis]
    source = geometry.source(size, axis)
    before, band = geometry.token_padding[axis][0], heads.band
    centers, limits, spots = (
        places[:, axis] for places in (heads.centers, heads.limits, heads.spots)
    )
    reach = torch.cat([limits, spots])
    interior_seen = False
    for query in geometry.queries(size)[axis]:
        low, high = query + int(reach.min()) - band, query + int(reach.max()) + band
        interior = before <= low and high < before + size[axis]
        if interior and interior_seen:
            continue
        interior_seen |= interior
        # A target off the canvas is within the band of the nearest pixel.
        first = max(0, min(low, keys - 1 - band))
        last = min(keys - 1, max(high, band))
        window = last - first + 1
        attention = axis_scores(query + centers - first, window, heads.alpha).softmax(1)
        limit = axis_limit(query + limits, keys, attention.dtype)[:, first : last + 1]
        off_target = attention * (1 - limit)
        deviation = off_target - limit * off_target.sum(1, keepdim=True)
        exact = axis_limit(query + spots, keys, attention.dtype)[:, first : last + 1]
        fold = _fold(source[first : last + 1])
        yield _AxisRows(attention @ fold, limit @ fold, deviation @ fold, exact @ fold)


def _stacked(rows: Sequence[_AxisRows]) -> _AxisRows:
    """Stack the rows of several query positions, filled up with zeros."""

    def stack(name: str) -> Tensor:
        parts = [getattr(row, name).mT for row in rows]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True).mT

    return _AxisRows(*(stack(field.name) for field in fields(_AxisRows)))


def _fold(source: Tensor) -> Tensor:
    """Return the matrix that adds up tokens which copy the same input pixel."""
    pixels, index = source.unique(return_inverse=True)
    return torch.nn.functional.one_hot(index, len(pixels)).double()[:, pixels >= 0]


def _kronecker(factors: Sequence[Tensor]) -> Tensor:
    """Return the Kronecker product of rows, (…, rows, pixels of all axes)."""
    result = factors[0]
    for factor in factors[1:]:
        result = (result[..., :, None] * factor[..., None, :]).flatten(-2)
    return result


def _kronecker_difference(rows: Sequence[_AxisRows]) -> Tensor:
    """Return P₁⊗…⊗P_d − S₁⊗…⊗S_d as a telescoping sum, free of cancellation."""
    terms = (
        _kronecker(
            [r.limit for r in rows[:axis]]
            + [rows[axis].deviation]
            + [r.attention for r in rows[axis + 1 :]]
        )
        for axis in range(len(rows))
    )
    return reduce(torch.add, terms)


def _row_norms(weights: Tensor, pixels: Tensor) -> Tensor:
    """Return the largest Σ_{c, p} |Σ_h W_h[o, c] row_h[p]| of all rows, for every o.

    Args:
        weights: (outputs, channels, heads).
        pixels: (rows, heads, pixels).

    Returns:
        (outputs,).
    """
    if pixels.shape[1] == 1:  # one head: the norm of a product of two vectors
        return weights.abs().sum(dim=(1, 2)) * pixels.abs().sum(dim=(1, 2)).max()
    row = weights.shape[1] * pixels.shape[2]
    norms = []
    for some in pixels.split(max(1, _BLOCK // row)):
        step = max(1, _BLOCK // (row * len(some)))
        blocks = [
            torch.einsum("och,rhp->orcp", block, some).abs().sum(dim=(2, 3)).amax(1)
            for block in weights.split(step)
        ]
        norms.append(torch.cat(blocks))
    return torch.stack(norms).amax(0)
