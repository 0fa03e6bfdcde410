"""Each kind of claim is proved where it is true, and not where it is false."""

import pytest
from sympy import (
    Abs,
    Expr,
    Function,
    Integer,
    Matrix,
    Rational,
    S,
    Sum,
    Symbol,
    ceiling,
    cos,
    exp,
    floor,
    log,
    oo,
    pi,
    sign,
    sin,
    sqrt,
    symbols,
)

from proofs.engine import (
    Below,
    ByInduction,
    Claim,
    Equal,
    Every,
    Nonnegative,
    Positive,
    PositiveBetween,
    Rounded,
    Tends,
)

x, y = symbols("x y")


r = symbols("r", real=True)


p, q = symbols("p q", positive=True)


n, N = symbols("n N", integer=True, positive=True)


m = symbols("m", integer=True, nonnegative=True)


k, j = symbols("k j", integer=True)


f, g = Function("f"), Function("g")


half = Rational(1, 2)


def total(term: object, low: object = 1, high: object = N, index: Symbol = k) -> Sum:
    return Sum(term, (index, low, high))


def cut_off(constant: Expr) -> Rational:
    """Return a number that is less than a constant, by very little."""
    return Rational(str(constant.n(50))) - Rational(1, 10**30)


PROVED = {
    "a square": Equal((x + y) ** 2, x**2 + 2 * x * y + y**2),
    "a root": Equal(sqrt(p**2), p),
    "a sum is linear": Equal(total(p * f(k) + 1), p * total(f(k)) + N),
    "a sum is shifted": Equal(total(f(k + 1), 0, N - 1), total(f(k))),
    "sums are exchanged": Equal(
        total(total(g(k, j)), index=j), total(total(g(k, j), index=j))
    ),
    "names of indices": Equal(total(f(k)), total(f(j), index=j)),
    "a square of a sum": Equal(total(f(k)) ** 2, total(total(f(k) * f(j)), index=j)),
    "matrices": Equal(Matrix([[1, x]]) * Matrix([[x], [1]]), Matrix([[2 * x]])),
    "a square has a sign": Nonnegative(r**2),
    "a form shows it": Positive(r**2 - 2 * r + 2, (r - 1) ** 2 + 1),
    "a sum has a sign": Nonnegative(total(p**k)),
    "Gauss": ByInduction(total(k, 0, m), m * (m + 1) / 2, m),
    "a geometric sum": ByInduction((p - 1) * total(p**k, 0, m), p ** (m + 1) - 1, m),
    "a limit from the right": Tends(exp(-1 / p), p, Integer(0), Integer(0)),
    "a limit at a point": Tends(r**2, r, Integer(2), Integer(4)),
    "a limit at minus infinity": Tends(exp(x), x, -oo, Integer(0)),
    "an inner sum has a sign": Nonnegative(
        total(total(p ** (k + j), 0, k, index=j), 0, m)
    ),
    "an infinite sum is shifted": Equal(total(f(k), 1, oo), total(f(k + 1), 0, oo)),
    "constants with a circle": Below(sqrt(pi), Rational(178, 100)),
    "a limit": Tends(exp(-p * x), x, oo, 0),
    "a touching root outside": PositiveBetween(x**2, x, Integer(0), Integer(1)),
    "constants": Below(sqrt(2), Rational(17, 12)),
    "a cosine": Below(cos(1), Rational(5404, 10**4)),
    "a floor": Rounded(floor(N + m / (m + n)), N),
    "a ceiling, halved": Rounded(1 - ceiling(N - m / (m + n)) / 2, 1 - N / 2),
    "both of two": Every([Positive(p), Nonnegative(r**2)]),
    "near constants": Below(exp(2), Rational(73890560989306502273, 10**19)),
}


NOT_PROVED = {
    "a square": Equal((x + y) ** 2, x**2 + y**2),
    "off by little": Equal(x, x + Rational(1, 10**30)),
    "a root": Equal(sqrt(r**2), r),
    "powers of powers": Equal((x**y) ** half, x ** (y / 2)),
    "a logarithm": Equal(log(x**2), 2 * log(x)),
    "one term more": Equal(total(f(k)), total(f(k), 0)),
    "one shift more": Equal(total(f(k + 1)), total(f(k))),
    "every second term": Equal(total(f(2 * k)), total(f(k), 1, 2 * N)),
    "a product of sums": Equal(total(f(k)) * total(g(k)), total(f(k) * g(k))),
    "a square of a sum": Equal(total(f(k)) ** 2, total(f(k) ** 2)),
    "an inverse of a sum": Equal(1 / total(f(k)), total(1 / f(k))),
    "a sum in a function": Equal(exp(total(f(k))), total(exp(f(k)))),
    "a power of an inner sum": Equal(
        total(total(f(k * j)) ** 2, index=j), N * total(f(k**2)) ** 2
    ),
    "a transposed table": Equal(
        total(total(g(k, j)), index=j, high=n), total(total(g(j, k)), index=j, high=n)
    ),
    "a triangle for a square": Equal(
        total(total(g(k, j), high=j), index=j), total(total(g(k, j)), index=j)
    ),
    "an index outside its sum": Equal(k * total(f(k)), total(k * f(k))),
    "one index for another": Equal(total(f(j)), total(f(k))),
    "one entry of a matrix": Equal(Matrix([[1, x]]), Matrix([[1, x + 1]])),
    "a matrix of another shape": Equal(Matrix([[1, 2]]), Matrix([[1], [2]])),
    "infinity less infinity": Equal(oo, oo - oo),
    "a sign that depends": Nonnegative(p - q),
    "a sign that is missing": Nonnegative(r),
    "a square that may vanish": Positive(r**2),
    "an empty sum": Positive(total(p**k, 1, m)),
    "a square over all numbers": Nonnegative(x**2),
    "powers of signed numbers": Nonnegative(r ** symbols("a", real=True)),
    "alternating": Nonnegative((-1) ** k),
    "a form of something else": Nonnegative(r, r**2),
    "a form with the wrong sign": Positive(-(r**2) - 1, r**2 + 1),
    "the first cases only": ByInduction(
        total(k, 0, m), m * (m + 1) / 2 + m * (m - 1) * (m - 2) * (m - 3), m
    ),
    "the step only": ByInduction(total(k, 0, m), m * (m + 1) / 2 + 1, m),
    "the wrong sum": ByInduction(total(k, 0, m), m**2 / 2, m),
    "any sequence": ByInduction(total(f(k), 0, m), f(m), m),
    "an induction from too early": ByInduction(Abs(m - 1), m - 1, m, 0),
    "the wrong limit": Tends(exp(-p * x), x, oo, 1),
    "no limit": Tends(sin(x), x, oo, 0),
    "infinity for a limit": Tends(x, x, oo, 5),
    "a limit for infinity": Tends(1 / x, x, oo, oo),
    "a root inside": PositiveBetween(2 * x - 1, x, Integer(0), Integer(1)),
    "two roots inside": PositiveBetween(
        (x - Rational(1, 4)) * (x - Rational(1, 3)), x, Integer(0), Integer(1)
    ),
    "a touching root inside": PositiveBetween(
        (x - Rational(1, 3)) ** 2, x, Integer(0), Integer(1)
    ),
    "below zero": PositiveBetween(-(x**2) - 1, x, Integer(0), Integer(1)),
    "nothing": PositiveBetween(Integer(0), x, Integer(0), Integer(1)),
    "the larger constant": Below(sqrt(2), Rational(7, 5)),
    "equal constants": Below(sqrt(2) + sqrt(3), sqrt(5 + 2 * sqrt(6))),
    "an ulp": Below(
        log(2) + Rational(1, 10), log(2) + Rational(0.1) - Rational(1, 10**17)
    ),
    "itself": Below(exp(2), exp(2)),
    "a fraction inside": Below(exp(Rational(1, 3)), cut_off(exp(Rational(1, 3)))),
    "a circle": Below(sqrt(pi), cut_off(sqrt(pi))),
    "a circle, from above": Below(-sqrt(pi), -cut_off(sqrt(pi)) - Rational(1, 10**29)),
    "a cosine": Below(cos(1), Rational(5403, 10**4)),
    "a variable for a constant": Below(cos(m), Integer(2)),
    "a floor off by one": Rounded(floor(N + m / (m + n)), N - 1),
    "a floor of a whole number": Rounded(floor(N + (m + n) / (m + 1)), N),
    "a ceiling that may be a floor": Rounded(ceiling(N + m / (m + n)), N + 1),
    "half a floor": Rounded(floor(N + m / (m + n)), N - half),
    "one of two": Every([Positive(p), Positive(r)]),
    "none of none": Every([]),
    "a base": Below(exp(1) ** 2 + exp(1), cut_off(exp(1) ** 2 + exp(1))),
    "a sum that runs backwards": Nonnegative(k, total(1, high=k, index=j)),
    "an inner sum that runs backwards": Nonnegative(
        total(total(1, 0, k - 3, index=j), 0, 1)
    ),
    "a sum that loses terms": ByInduction(total(f(k), m, 5), total(f(k), 0, 5), m),
    "a multiplier with a pole": ByInduction(
        m * (m - 1), S.Zero, m, 0, (m + 1) / (m - 1)
    ),
    "a multiplier with a pole at the start": ByInduction(m, S.Zero, m, 0, (m + 1) / m),
    "infinite sums exchanged": Equal(
        total(total(g(k, j), high=oo), index=j, high=oo),
        total(total(g(k, j), index=j, high=oo), high=oo),
    ),
    "a limit from one side": Tends(sign(r), r, Integer(0), Integer(1)),
    "a jump": Tends(floor(r), r, Integer(1), Integer(1)),
    "a pole with two signs": Tends(1 / r, r, Integer(0), oo),
}


UNDECIDED = {
    "a tangent": Nonnegative(exp(r) - 1 - r),
    "a minimum": Positive(p + 1 / p - 1),
    "an inequality of sums": Nonnegative(N * total(f(k) ** 2) - total(f(k)) ** 2),
    "a limit that depends": Tends(exp(-x * p), p, oo, 0),
    "a polynomial in two": PositiveBetween(x + p, x, Integer(0), Integer(1)),
    "a polynomial over the reals": PositiveBetween(
        sqrt(2) * x + 1, x, Integer(0), Integer(1)
    ),
    "one constant, written twice": Below(sqrt(2) + sqrt(3), sqrt(5 + 2 * sqrt(6))),
}


def by_name(claims: dict[str, Claim]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("claim", claims.values(), ids=claims.keys())


@by_name(PROVED)
def test_true_claims_are_proved(claim: Claim) -> None:
    verdict = claim.decide()
    assert verdict.proved, verdict.evidence
    assert not verdict.refuted


@by_name(NOT_PROVED)
def test_false_claims_are_not_proved(claim: Claim) -> None:
    verdict = claim.decide()
    assert not verdict.proved, verdict.evidence


@by_name(UNDECIDED)
def test_undecided_claims_are_open(claim: Claim) -> None:
    verdict = claim.decide()
    assert not verdict.proved
    assert not verdict.refuted
    assert verdict.evidence
