"""What a query sees along one axis: attention less its limit, in ball arithmetic.

The rows of attention − convolution are sums of products of these, one an axis. P − S
is formed without cancellation, so that a leak of 1e−30 keeps all its digits, and from
the very numbers that α and Δ hold: every entry is the true one, rounded once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from flint import arb
from torch import Tensor, nn

from expressivity.geometry import ConvGeometry
from expressivity.heads.smoothing import axis_limit
from expressivity.numbers.balls import above, in_balls


@dataclass(frozen=True)
class AxisHeads:
    """Where the heads attend along one axis, and where they ought to.

    Attributes:
        alpha: Locality strengths, 1/pixel².
        centers: Attention centers, in pixels.
        limits: The whole pixels that stand for them in the limit.
        spots: Further whole pixels of interest.
        band: Pixels around a limit outside of which attention is only bounded.
    """

    alpha: tuple[float, ...]
    centers: tuple[float, ...]
    limits: tuple[int, ...]
    spots: tuple[int, ...]
    band: int

    def window(self, query: int) -> tuple[int, int]:
        """Return the first and last pixel that the heads of a query reach."""
        reach = self.limits + self.spots
        return query + min(reach) - self.band, query + max(reach) + self.band


@dataclass(frozen=True)
class AxisRows:
    """What a query position sees along one axis; several may be stacked in front.

    Attributes:
        attention: P, (heads, pixels).
        limit: S, (heads, pixels).
        deviation: P − S, (heads, pixels).
        exact: S at the spots, (spots, pixels).
        beyond: Attention on tokens left out, per head, rounded upward, (heads, 1).
        off_target: Σ|P − S| over the tokens, per head, (heads, 1).
    """

    attention: Tensor
    limit: Tensor
    deviation: Tensor
    exact: Tensor
    beyond: Tensor
    off_target: Tensor


@dataclass(frozen=True)
class QueryView:
    """One query position.

    Attributes:
        query: Its index along the axis.
        pixels: The pixels of the input that the rows are about.
        rows: What it sees.
        start: The first token of its window, in pixels from the query.
        deviation: P − S on the tokens of the window, (heads, tokens).
        holds: Which of them hold a pixel, (tokens,).
        on_canvas: Whether all limits and spots are.
        interior: Whether the whole window is within the input.
    """

    query: int
    pixels: tuple[int, ...]
    rows: AxisRows
    start: int
    deviation: Tensor
    holds: Tensor
    on_canvas: bool
    interior: bool


def axis_rows(
    heads: AxisHeads, geometry: ConvGeometry, size: Sequence[int], axis: int
) -> Iterator[QueryView]:
    """Yield the rows of one axis: all those near a border, one of the interior."""
    interior_seen = False
    for index, query in enumerate(geometry.queries(size)[axis]):
        interior = _is_interior(heads, geometry, size, axis, query)
        if interior and interior_seen:
            continue
        interior_seen |= interior
        yield view_of(heads, geometry, size, axis, index)


def view_of(
    heads: AxisHeads, geometry: ConvGeometry, size: Sequence[int], axis: int, index: int
) -> QueryView:
    """Return what one query position sees, but for tokens that hold zeros."""
    query, keys = geometry.queries(size)[axis][index], geometry.canvas_size(size)[axis]
    low, high = heads.window(query)
    # A target off the canvas is within the band of the nearest pixel.
    first = max(0, min(low, keys - 1 - heads.band))
    last = min(keys - 1, max(high, heads.band))
    each = list(zip(heads.alpha, heads.centers, heads.limits, strict=True))
    by_head = {
        head: _softmax(*head, query, range(first, last + 1), keys) for head in set(each)
    }
    attention, deviation = (
        torch.tensor(
            [by_head[head][part] for head in each], dtype=torch.float64, device="cpu"
        )
        for part in (0, 1)
    )
    beyond = torch.tensor(
        [[by_head[head][2]] for head in each], dtype=torch.float64, device="cpu"
    )
    limit, exact = (
        axis_limit(
            query + torch.tensor(spots, dtype=torch.long, device="cpu"),
            keys,
            torch.float64,
        )
        for spots in (heads.limits, heads.spots)
    )
    source = geometry.source(size, axis)[first : last + 1]
    pixels, fold = _fold(source)
    rows = AxisRows(
        attention @ fold,
        limit[:, first : last + 1] @ fold,
        deviation @ fold,
        exact[:, first : last + 1] @ fold,
        beyond,
        deviation.abs().sum(1, keepdim=True),
    )
    reach = [query + spot for spot in heads.limits + heads.spots]
    return QueryView(
        index,
        pixels,
        rows,
        first - query,
        deviation,
        source >= 0,
        min(reach) >= 0 and max(reach) < keys,
        _is_interior(heads, geometry, size, axis, query),
    )


def together(along: Sequence[AxisRows], like: AxisRows) -> AxisRows:
    """Return what a query sees along several axes, over the pixels of all of them.

    P₁⊗…⊗P_d − S₁⊗…⊗S_d is a telescoping sum, free of cancellation.

    Args:
        along: What it sees along each of them; may be empty.
        like: Rows of the same heads and spots along any axis.

    Returns:
        The products of rows; bounds of single axes are added up.
    """
    # Where all of a query's pixels are padding, rows have no columns to take one from.
    one, spot = torch.ones_like(like.beyond), like.exact.new_ones(len(like.exact), 1)
    none = torch.zeros_like(one)
    result = AxisRows(one, one, none, spot, none, none)
    for rows in along:
        result = AxisRows(
            _kronecker(result.attention, rows.attention),
            _kronecker(result.limit, rows.limit),
            _kronecker(result.deviation, rows.attention)
            + _kronecker(result.limit, rows.deviation),
            _kronecker(result.exact, rows.exact),
            result.beyond + rows.beyond,
            result.off_target + rows.off_target,
        )
    return result


def _kronecker(first: Tensor, second: Tensor) -> Tensor:
    """Return the Kronecker product of rows, (rows, pixels of all axes)."""
    return (first[:, :, None] * second[:, None, :]).flatten(1)


def _is_interior(
    heads: AxisHeads,
    geometry: ConvGeometry,
    size: Sequence[int],
    axis: int,
    query: int,
) -> bool:
    """Return whether all that the heads of a query reach is within the input."""
    before, (low, high) = geometry.token_padding[axis][0], heads.window(query)
    return before <= low and high < before + size[axis]


def stacked(rows: Sequence[AxisRows]) -> AxisRows:
    """Stack what several query positions see, filled up with zeros."""

    def stack(name: str) -> Tensor:
        parts = [getattr(row, name).mT for row in rows]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True).mT

    return AxisRows(*(stack(field.name) for field in fields(AxisRows)))


@in_balls
def _softmax(
    alpha: float, center: float, limit: int, query: int, window: range, keys: int
) -> tuple[list[float], list[float], float]:
    """Return P and P − S on a window of the canvas, and a bound of P elsewhere."""
    strength, target = arb(alpha), query + arb(center)
    nearest = min(max(query + limit, 0), keys - 1)

    def weight(key: int) -> arb:  # 1 at the pixel of the limit
        return (-strength * ((key - nearest) * (key + nearest - 2 * target))).exp()

    weights = [weight(key) for key in window]
    total = sum(weights, arb(0))
    attention = [one / total for one in weights]
    place = nearest - window.start
    deviation = list(attention)
    deviation[place] = -sum(attention[:place] + attention[place + 1 :], arb(0))
    beyond = arb(0)
    for next_key, step in ((window.start - 1, -1), (window.stop, 1)):
        if 0 <= next_key < keys:  # each weight is at most this part of the one before
            first = weight(next_key)
            beyond += first / (1 - weight(next_key + step) / first)
    return (
        list(map(float, attention)),
        list(map(float, deviation)),
        above(beyond / total),
    )


def _fold(source: Tensor) -> tuple[tuple[int, ...], Tensor]:
    """Return the input pixels behind some tokens, and the matrix that adds them up."""
    pixels, index = source.unique(return_inverse=True)
    matrix = nn.functional.one_hot(index, len(pixels)).double()
    return tuple(pixels[pixels >= 0].tolist()), matrix[:, pixels >= 0]
