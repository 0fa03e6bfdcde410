"""Outward rounding, and the leak against many digits."""

import math

import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

from expressivity.numbers.balls import BITS, above, in_balls, leak_above


@given(st.floats(-1e300, 1e300), st.integers(1, 10**6))
def test_above_is_the_next_float(value: float, divisor: int) -> None:
    with ctx.workprec(BITS):
        ball = arb(value) / divisor
        top = above(ball)
        assert arb(top) >= ball.upper()
        assert arb(math.nextafter(top, -math.inf)) < ball.upper()


def test_above_of_a_wide_ball_is_its_upper_end() -> None:
    assert above(arb(1, 0.5)) >= 1.5
    assert above(arb(0)) == 0


def test_precision_is_set_for_the_call_only() -> None:
    before = ctx.prec
    assert in_balls(lambda: ctx.prec)() == BITS
    assert ctx.prec == before


@given(
    alpha=st.floats(1e-5, 700),
    fractions=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=3),
)
def test_leak_is_rounded_upward_once(alpha: float, fractions: list[float]) -> None:
    found = leak_above(alpha, tuple(fractions))
    with mp.workdps(60 + round(alpha)):  # e^−α and 60 digits more
        exact = exact_leak(mp.mpf(alpha), [mp.mpf(f) for f in fractions])
        assert exact <= found
        assert found <= exact * (1 + mp.mpf(2) ** -52) + mp.mpf(2) ** -1074


@pytest.mark.parametrize("alpha", [math.pi, math.nextafter(math.pi, 4), 1e-9, 3000.0])
def test_leak_where_the_series_changes(alpha: float) -> None:
    found = leak_above(alpha, (0.3, 0.0))
    assert 0 < found <= 1
    assert leak_above(alpha * (1 + 1e-12), (0.3, 0.0)) <= found


def exact_leak(alpha: object, fractions: list[object]) -> object:
    """Return 1 − Π 1/Σ e^−α((n − f)² − f²), term by term or by Poisson's formula."""
    kept = mp.mpf(1)
    for fraction in fractions:
        # jtheta(3, z, q) = Σ q^(n²) cos(2nz); for z = iαf the cosine is hyperbolic.
        total = mp.jtheta(3, 1j * alpha * fraction, mp.exp(-alpha)).real
        kept /= total
    return 1 - kept
