"""How far computed attention is from exact attention: Σ_k |p̂_k − p_k| of one head."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from expressivity.bounds.leak import WIDEST_ALPHA
from expressivity.certificate.arithmetic import EXP_ULPS, Arithmetic

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
    """

    tokens: int
    fraction: float
    outside: float
    farthest: float


@dataclass(frozen=True)
class ScoreError:
    """What is known of the rounding of scores.

    Attributes:
        absolute: Error of any score.
        relative: Error in parts of the score itself.
        of_positions: Whether targets q + Δ that are no whole pixels are rounded.
    """

    absolute: float
    relative: float
    of_positions: bool


def attention_error(
    alpha: float, axes: list[Axis], scores: ScoreError, arithmetic: Arithmetic
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

    Returns:
        Σ_k |p̂_k − p_k|, what summing up values adds to it included, for values
        within ±1.
    """
    unit = arithmetic.computed
    flat = 2 * scores.absolute + 2 * EXP_ULPS * unit + 4 * unit
    tokens = math.prod(axis.tokens for axis in axes)
    if alpha < WIDEST_ALPHA:  # no pixel is special
        worst = flat
        for axis in axes:
            gap = torch.tensor(
                axis.tokens + axis.farthest, dtype=torch.float64, device="cpu"
            )
            worst += 4 * (scores.relative + unit) * abs(alpha) * float(gap) ** 2
            worst += 2 * float(_of_positions(abs(alpha), axis, gap, scores, unit))
        return _capped(2 * math.expm1(min(worst, 1.0)), tokens, unit)
    beside, grown, nearest = [], [], 1.0
    outside: list[Tensor] = []
    for axis in axes:
        steps = torch.arange(
            1 - axis.tokens, axis.tokens, dtype=torch.float64, device="cpu"
        )
        # Two-sided, as far from the middle as possible: more than any target sees.
        behind = alpha * (steps.square() - 2 * steps.abs() * axis.fraction)
        lowest = alpha * (axis.outside + axis.fraction) ** 2
        error = (2 * scores.relative + unit) * (behind + lowest)
        gaps = steps.abs() + axis.fraction + axis.outside
        error = error + 2 * _of_positions(alpha, axis, gaps, scores, unit)
        least = _least_total(alpha, axis)
        nearest /= least
        weights = (-behind).exp()
        beside.append(float(weights.sum()) / least)
        grown.append(float((weights * error.expm1()).sum()) / least)
        # At distance 0, 1, 2, … on both sides; then beyond each distance.
        outside.append(2 * weights[axis.tokens - 1 :].flip(0).cumsum(0).flip(0) / least)
    total, rounding = math.prod(beside), torch.finfo(torch.float64).eps
    others = total - nearest + 16 * rounding * total
    worse = math.expm1(
        math.fsum(math.log1p(g / b) for b, g in zip(beside, grown, strict=True))
    )
    flat = min(flat, 50.0)  # there the bound is of no use anyway
    further = math.expm1(flat) * others + math.exp(flat) * total * worse
    # Weights that underflow are lost.
    flushed = 2 * tokens * arithmetic.computed_tiny
    summing = _summing(axes, outside, unit)
    found = (2 * further + 2 * summing + 4 * unit + flushed) * _MARGIN
    capped = _capped(2.0, tokens, unit)
    return min(found, capped) if math.isfinite(found) else capped


def _of_positions(
    alpha: float, axis: Axis, gaps: Tensor, scores: ScoreError, unit: float
) -> Tensor:
    """Return what rounding q + Δ does to the scores of an axis."""
    whole = axis.fraction == 0 and axis.farthest * unit < 1
    if whole or not scores.of_positions:
        return torch.zeros_like(gaps)
    off = 2 * unit * (axis.farthest + gaps)
    return alpha * (2 * gaps + off) * off


def _least_total(alpha: float, axis: Axis) -> float:
    """Return the smallest sum of weights of an axis, over all targets."""
    # The longer side of a target holds at least half of the other tokens; its nearest
    # pixel may be on the other side.
    aside = max(axis.fraction, axis.outside)
    steps = torch.arange((axis.tokens - 1) // 2 + 1, dtype=torch.float64, device="cpu")
    return float((-alpha * (steps.square() + 2 * steps * aside)).exp().sum()) / _MARGIN


def _summing(axes: list[Axis], outside: list[Tensor], unit: float) -> float:
    """Return what adding up weighted values does, relative to the largest value.

    Those within a radius are rounded as often as they are many; those beyond do no
    more harm than their size. The radius is the best one.
    """
    most = max(axis.tokens for axis in axes)
    best = math.inf
    for radius in range(most):
        within = math.prod(min(axis.tokens, 2 * radius + 1) for axis in axes)
        beyond = sum(
            float(mass[radius + 1]) if radius + 1 < len(mass) else 0.0
            for mass in outside
        )
        best = min(best, (within + 4) * unit + 2 * beyond)
        if (within + 4) * unit > best:
            break
    return best


def _capped(error: float, tokens: int, unit: float) -> float:
    """Return an error of exact sums, with that of summing up all tokens, any order."""
    growth = math.expm1(min(tokens * math.log1p(unit), 50.0))
    return (min(error, LARGEST) + (2 + LARGEST) * growth + 4 * unit) * _MARGIN
