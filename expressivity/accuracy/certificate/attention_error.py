"""How far computed attention is from exact attention: Σ_k |p̂_k − p_k| of one head."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from expressivity.accuracy.certificate.arithmetic import EXP_ULPS, Arithmetic
from expressivity.heads.leak import WIDEST_ALPHA

# Softmax rows are nonnegative and sum to one: no two differ by more.
LARGEST = 2.0
# What this module adds up in float64 is right to more digits than that.
_MARGIN = 1 + 1e-9


@dataclass(frozen=True)
class Axis:
    """One axis of the canvas as a head sees it.

    Attributes:
        tokens: Tokens along it.
        fraction: How far targets lie from the nearest whole pixel, at most 1/2.
        outside: How far targets lie off the canvas, at most, in pixels.
        farthest: The largest coordinate of a target, in pixels.
        fewest: Tokens along it, at least; as many as ``tokens`` on one canvas.
    """

    tokens: int
    fraction: float
    outside: float
    farthest: float
    fewest: int

    @classmethod
    def seen(
        cls, tokens: int, query: range, center: float, *, smaller_too: bool
    ) -> Self:
        """Return an axis as a head sees it.

        Args:
            tokens: Tokens along it.
            query: Query positions.
            center: Attention center, in pixels.
            smaller_too: Whether shorter axes are meant as well, down to one token.

        Returns:
            The axis. On a shorter one the last query may be nearer to the end, by less
            than a stride.
        """
        spare = query.step - 1 if smaller_too else 0
        low, high = query[0] + center, query[-1] + center + spare
        return cls(
            tokens,
            abs(center - round(center)),
            max(0.0, -low, high - (tokens - 1)),
            max(abs(low), abs(high), float(tokens)),
            1 if smaller_too else tokens,
        )


@dataclass(frozen=True)
class ScoreError:
    """What is known of the rounding of scores.

    Attributes:
        absolute: Error of any score.
        relative: Error in parts of the score itself.
        of_positions: Whether targets q + Δ that are no whole pixels are rounded.
        rescaled: Error of a weight, relative, in what it is multiplied by afterwards,
            for a value as for the sum of all weights.
        per_pixel: How much further the error of a score may be from that of a pixel
            beside it, for each pixel along an axis: of what a query has to itself.
    """

    absolute: float
    relative: float
    of_positions: bool
    rescaled: float = 0.0
    per_pixel: float = 0.0


def attention_error(
    alpha: float,
    axes: list[Axis],
    scores: ScoreError,
    arithmetic: Arithmetic,
    *,
    most: float = math.inf,
) -> float:
    """Return a bound of what rounding does to the attention of one head.

    Weights are compared with that of the pixel nearest to the target: they are e^−D
    with D = α(n² − 2nf) n pixels further on an axis, and computed as e^−D+η, with η
    linear in D. The sums over the canvas of e^−D and of e^−D+η bound everything.

    Args:
        alpha: Locality strength, 1/pixel².
        axes: The canvas.
        scores: Error of the scores.
        arithmetic: Rounding of everything else.
        most: Tokens of the canvas, at most.

    Returns:
        Σ_k |p̂_k − p_k|, what summing up values adds to it included, for values
        within ±1.
    """
    unit, tiny = arithmetic.computed, arithmetic.computed_tiny
    flat = 2 * (scores.absolute + scores.rescaled) + 2 * EXP_ULPS * unit + 4 * unit
    # α, distances and scores may be flushed to zero.
    farthest = [axis.tokens + axis.farthest for axis in axes]
    flat += 2 * tiny * math.fsum(3 + gap * gap for gap in farthest)
    tokens = min(math.prod(axis.tokens for axis in axes), most)
    if alpha < WIDEST_ALPHA:  # no pixel is special
        worst = flat
        for axis in axes:
            gap = torch.tensor(
                axis.tokens + axis.farthest, dtype=torch.float64, device="cpu"
            )
            worst += 4 * (scores.relative + unit) * abs(alpha) * float(gap * gap)
            worst += 2 * float(_of_positions(abs(alpha), axis, gap, scores, unit))
            worst += scores.per_pixel * axis.tokens
        return _capped(2 * math.expm1(min(worst, 1.0)), tokens, unit)
    sums = [_AxisSums.of(alpha, axis, scores, unit) for axis in axes]
    total, rounding = math.prod(s.total for s in sums), torch.finfo(torch.float64).eps
    nearest = math.prod(s.nearest for s in sums)
    others = total - nearest + 16 * rounding * total
    worse = math.expm1(math.fsum(math.log1p(s.grown / s.total) for s in sums))
    flat = min(flat, 50.0)  # there the bound is of no use anyway
    further = math.expm1(flat) * others + math.exp(flat) * total * worse
    # Weights that underflow are lost.
    flushed = 2 * tokens * tiny
    summing = _summing(axes, [s.beyond for s in sums], unit, most)
    error_bound = (2 * further + 2 * summing + 4 * unit + flushed) * _MARGIN
    capped = _capped(2.0, tokens, unit)
    return min(error_bound, capped) if math.isfinite(error_bound) else capped


@dataclass(frozen=True)
class _AxisSums:
    """Sums of weights along an axis, in parts of the smallest sum over all targets.

    Attributes:
        nearest: The pixel nearest to the target.
        total: All pixels.
        grown: What all of them grow by, computed.
        beyond: Those at least 0, 1, 2, … pixels away.
    """

    nearest: float
    total: float
    grown: float
    beyond: Tensor

    @classmethod
    def of(cls, alpha: float, axis: Axis, scores: ScoreError, unit: float) -> Self:
        """Sum up, for the worst length of the axis."""
        steps = torch.arange(axis.tokens, dtype=torch.float64, device="cpu")
        # Two-sided, as far from the middle as possible: more than any target sees.
        behind = alpha * (steps.square() - 2 * steps * axis.fraction)
        off = axis.outside + axis.fraction
        lowest = alpha * off * off
        error = (2 * scores.relative + unit) * (behind + lowest)
        gaps = steps + off
        error = error + 2 * _of_positions(alpha, axis, gaps, scores, unit)
        error = error + scores.per_pixel * steps
        weights = (-behind).exp()
        # Far away the error is large, and the weight is small beside it.
        far = (error - behind).exp()
        growth = torch.where(error < 1, weights * error.clamp(max=1).expm1(), far)
        sides = torch.full_like(steps, 2.0)
        sides[0] = 1.0
        lengths = torch.arange(axis.fewest, axis.tokens + 1, device="cpu")
        every = _least_totals(alpha, axis)
        least = every[(lengths - 1) // 2]
        nearest = float((1 / least).max())
        others, grown = (
            float(((sides * added).cumsum(0)[lengths - 1] / least).max())
            for added in (torch.where(steps > 0, weights, 0.0), growth)
        )
        # An axis that has pixels so far away is at least so long.
        tails = (2 * weights).flip(0).cumsum(0).flip(0)
        longer = torch.clamp(steps.long() + 1, min=axis.fewest)
        beyond = tails / every[(longer - 1) // 2]
        return cls(nearest, nearest + others, grown, beyond)


def _of_positions(
    alpha: float, axis: Axis, gaps: Tensor, scores: ScoreError, unit: float
) -> Tensor:
    """Return what rounding q + Δ does to the scores of an axis."""
    whole = axis.fraction == 0 and axis.farthest * unit < 1
    if whole or not scores.of_positions:
        return torch.zeros_like(gaps)
    off = 2 * unit * (axis.farthest + gaps)
    return alpha * (2 * gaps + off) * off


def _least_totals(alpha: float, axis: Axis) -> Tensor:
    """Return the smallest sum of weights over all targets, by half the tokens."""
    # The longer side of a target holds at least half of the other tokens; its nearest
    # pixel may be on the other side.
    aside = max(axis.fraction, axis.outside)
    steps = torch.arange((axis.tokens - 1) // 2 + 1, dtype=torch.float64, device="cpu")
    weights = (-alpha * (steps.square() + 2 * steps * aside)).exp()
    return weights.cumsum(0) / _MARGIN


def _summing(
    axes: list[Axis], outside: list[Tensor], unit: float, tokens: float
) -> float:
    """Return what adding up weighted values does, relative to the largest value.

    Those within a radius are rounded as often as they are many; those beyond do no
    more harm than their size. The radius is the best one.
    """
    longest = max(axis.tokens for axis in axes)
    best = math.inf
    for radius in range(longest):
        square = math.prod(min(axis.tokens, 2 * radius + 1) for axis in axes)
        within = min(square, tokens)
        beyond = sum(
            float(mass[radius + 1]) if radius + 1 < len(mass) else 0.0
            for mass in outside
        )
        best = min(best, (within + 4) * unit + 2 * beyond)
        if (within + 4) * unit > best:
            break
    return best


def _capped(error: float, tokens: float, unit: float) -> float:
    """Return an error of exact sums, with that of summing up all tokens, any order."""
    growth = math.expm1(min(tokens * math.log1p(unit), 50.0))
    return (min(error, LARGEST) + (2 + LARGEST) * growth + 4 * unit) * _MARGIN
