"""Ball arithmetic: floats in, taken as exact numbers, and floats out, rounded outward.

A ball is a number with a bound of its error, which every operation maintains
(python-flint's ``arb``). Results therefore hold for the stored parameters themselves,
and not only for numbers near them.
"""

import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

from flint import arb, ctx

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Digits of all balls: float64 and 75 bits more.
BITS = 128
# Terms of a series that are added one by one: the next is below e^−200.
_TERMS = 8


def in_balls(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that computes with balls of ``BITS`` bits, whoever calls it."""

    @wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with ctx.workprec(BITS):
            return function(*args, **kwargs)

    return wrapper


def above(ball: arb) -> float:
    """Return the smallest float64 that is not below anything in a ball.

    Example:
        >>> above(arb(1) / 3) > 1 / 3 - 1e-17, above(arb(2)) == 2
        (True, True)
    """
    top = ball.upper()
    nearest = float(top)
    return nearest if arb(nearest) >= top else math.nextafter(nearest, math.inf)


@lru_cache(4096)
@in_balls
def leak_above(alpha: float, fractions: tuple[float, ...]) -> float:
    """Return the attention of a head off the pixel nearest to its target.

    It is that of an unbounded grid, which no canvas exceeds.

    Args:
        alpha: Locality strength, 1/pixel², positive.
        fractions: How far the target lies from that pixel, per axis, at most 1/2.

    Returns:
        1 − Π 1/(1 + s) over the axes, s = Σ_{n ≠ 0} e^−α(n² − 2nf); not below the
        true value, and above it by rounding once.

    Example:
        >>> leak_above(700.0, (0.0, 0.0)) / (4 * math.exp(-700)) - 1 < 1e-13
        True
    """
    strength = arb(alpha)
    logs = sum((_mass_off(strength, arb(f)).log1p() for f in fractions), arb(0))
    return above(-(-logs).expm1())


def _mass_off(alpha: arb, fraction: arb) -> arb:
    """Return Σ_{n ≠ 0} e^−α(n² − 2nf), on an unbounded axis."""
    if alpha > arb.pi():
        return _series(
            lambda n: (-alpha * (n * n - 2 * n * fraction)).exp(),
            lambda n: (-alpha * (n * n + 2 * n * fraction)).exp(),
            largest=(-alpha * _TERMS * (_TERMS + 1)).exp(),
        )
    # Poisson's summation: wide heads are narrow on the other side.
    width = arb.pi() ** 2 / alpha
    turn = 2 * arb.pi() * fraction
    waves = _series(
        lambda n: 2 * (turn * n).cos() * (-width * n * n).exp(),
        largest=2 * (-width * (_TERMS + 1) ** 2).exp(),
    )
    height = (alpha * fraction * fraction).exp() * (arb.pi() / alpha).sqrt()
    return height * (1 + waves) - 1


def _series(*terms: Callable[[int], arb], largest: arb) -> arb:
    """Return sums over n ≥ 1; other terms start at ``largest`` and halve at least."""
    steps = range(1, _TERMS + 1)
    total = sum((term(n) for term in terms for n in steps), arb(0))
    rest = 2 * len(terms) * largest.upper()
    return total + arb(0, rest)
