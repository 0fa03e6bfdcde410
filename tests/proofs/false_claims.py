"""Claims that are false, and that the engine of ``proofs`` must not prove.

Each says why, and where it fails: numbers for its symbols, or the failure itself in
plain Python, where sympy evaluates the claim on sight or nothing finite shows it. An
empty sum is 0 and an empty product is 1, as in loops.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Abs,
    Derivative,
    E,
    Float,
    Function,
    Heaviside,
    I,
    Integer,
    Integral,
    KroneckerDelta,
    Matrix,
    MatrixSymbol,
    Max,
    Min,
    Mod,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    acos,
    arg,
    asin,
    atan,
    binomial,
    ceiling,
    conjugate,
    cos,
    exp,
    factorial,
    floor,
    gamma,
    log,
    oo,
    pi,
    re,
    sign,
    sin,
    sqrt,
    symbols,
    tan,
    tanh,
    zeros,
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


@dataclass(frozen=True)
class Falsehood:
    """A claim that is false.

    Attributes:
        claim: The claim.
        reason: Why it is false.
        at: Values where it fails, or whether it fails, in plain Python.
    """

    claim: Claim
    reason: str
    at: Mapping[Any, Any] | Callable[[], bool]


x, y, z = symbols("x y z")
r, s, t = symbols("r s t", real=True)
p, q = symbols("p q", positive=True)
u = symbols("u", nonnegative=True)
n, N = symbols("n N", integer=True, positive=True)
m = symbols("m", integer=True, nonnegative=True)
k, j = symbols("k j", integer=True)
kp, kn = symbols("k", integer=True, positive=True), symbols("k", negative=True)
ke = symbols("k", even=True)
kz = symbols("k", zero=True)
A, B = symbols("A B", commutative=False)
X, Y = MatrixSymbol("X", 2, 2), MatrixSymbol("Y", 2, 2)
f, g = Function("f"), Function("g")
C = Function("C", commutative=False)
half = Rational(1, 2)
one, zero = Integer(1), Integer(0)

UPPER, LOWER = Matrix([[0, 1], [0, 0]]), Matrix([[0, 0], [1, 0]])


def total(term: object, low: object = 1, high: object = N, index: Symbol = k) -> Sum:
    return Sum(term, (index, low, high))


def product(term: object, low: object = 1, high: object = N) -> Product:
    return Product(term, (k, low, high))


def square(value: Any) -> Any:
    return value**2


def pair(first: Any, second: Any) -> Any:
    return first + 10 * second


def do_not_commute() -> bool:
    return bool(UPPER * LOWER != LOWER * UPPER)


# Those that an attack from outside came upon.
KNOWN = {
    "an absolute value of a positive index": Falsehood(
        Equal(total(Abs(kp), -n, n, kp), zero),
        "the index runs below 0, where |k| is -k",
        lambda: sum(abs(i) for i in range(-2, 3)) != 0,
    ),
    "a root of a square of a positive index": Falsehood(
        Equal(total(sqrt(kp**2), -n, n, kp), zero),
        "the index runs below 0, where the root is -k",
        lambda: sum(math.sqrt(i**2) for i in range(-2, 3)) != 0,
    ),
    "a sign of a positive index": Falsehood(
        Equal(total(sign(kp), -n, n, kp), 2 * n + 1),
        "signs cancel",
        lambda: sum((i > 0) - (i < 0) for i in range(-2, 3)) != 5,
    ),
    "a sum over a positive index that is not": Falsehood(
        Nonnegative(total(kp, -n, 0, kp)),
        "its terms are at most 0",
        lambda: sum(range(-2, 1)) < 0,
    ),
    "an even index that takes odd values": Falsehood(
        Equal(total((-1) ** ke, 0, n, ke), n + 1),
        "every second term is -1",
        lambda: sum((-1) ** i for i in range(3)) != 3,
    ),
    "a power of 0 at an index from 0": Falsehood(
        Equal(total(0**kp, 0, n, kp), zero),
        "the first term is 0**0 = 1",
        lambda: sum(0**i for i in range(3)) != 0,
    ),
    "a maximum over a negative index": Falsehood(
        Equal(total(Max(kn, 0), 1, n, kn), zero),
        "the index is positive, so that no term is 0",
        lambda: sum(max(i, 0) for i in range(1, 3)) != 0,
    ),
    "a captured variable of an induction": Falsehood(
        ByInduction(total(n, 0, n, n), n**2 + 2 * n, n),
        "the sum over n is n(n + 1)/2",
        lambda: sum(range(3)) != 2**2 + 2 * 2,
    ),
    "a factor pulled out on the wrong side": Falsehood(
        Equal(total(C(k) * A), A * total(C(k))),
        "A stands to the right of every term",
        do_not_commute,
    ),
    "a quotient at 0": Falsehood(
        Tends(p / (u + p), p, zero, zero),
        "for u = 0 it is 1 everywhere",
        {u: 0, p: Rational(1, 10**6)},
    ),
    "an exponential that may not decay": Falsehood(
        Tends(exp(-u * z), z, oo, zero), "for u = 0 it is 1", {u: 0, z: 10**6}
    ),
    "a multiple that may not grow": Falsehood(
        Tends(u * z, z, oo, oo), "for u = 0 it is 0", {u: 0, z: 10**6}
    ),
    "a power that may not grow": Falsehood(
        Tends(z**u, z, oo, oo), "for u = 0 it is 1", {u: 0, z: 10**6}
    ),
    "a power that may not vanish": Falsehood(
        Tends(p**u, p, zero, zero), "for u = 0 it is 1", {u: 0, p: Rational(1, 10**6)}
    ),
    "a step that may be flat": Falsehood(
        Tends(tanh(u * z), z, oo, one), "for u = 0 it is 0", {u: 0, z: 10**6}
    ),
    "a count up to less than nothing": Falsehood(
        Equal(total(1, 1, -n), -n), "an empty sum is 0", {n: 2}
    ),
}

BRANCHES = {
    "a root of a product": Falsehood(
        Equal(sqrt(x * y), sqrt(x) * sqrt(y)), "not on the other branch", {x: -1, y: -1}
    ),
    "a logarithm of a product": Falsehood(
        Equal(log(x * y), log(x) + log(y)), "not on the other branch", {x: -1, y: -1}
    ),
    "a third root of a cube": Falsehood(
        Equal((r**3) ** Rational(1, 3), r), "the principal root is complex", {r: -1}
    ),
    "a logarithm of an exponential": Falsehood(
        Equal(log(exp(x)), x), "a period of the exponential is lost", {x: 7 * I}
    ),
    "a power of an exponential": Falsehood(
        Equal(exp(x) ** y, exp(x * y)), "not on the other branch", {x: 7 * I, y: half}
    ),
    "an arcsine of a sine": Falsehood(
        Equal(asin(sin(r)), r), "the arcsine is at most pi/2", {r: 3}
    ),
    "an arctangent of a tangent": Falsehood(
        Equal(atan(tan(r)), r), "the arctangent is at most pi/2", {r: 3}
    ),
    "an arccosine of a cosine": Falsehood(
        Equal(acos(cos(p)), p), "the arccosine is at most pi", {p: 5}
    ),
    "an argument of a real number": Falsehood(
        Equal(arg(r), zero), "negative numbers have argument pi", {r: -1}
    ),
    "a power of a square": Falsehood(
        Equal((r**2) ** s, r ** (2 * s)), "not for negative r", {r: -1, s: half}
    ),
    "a root of an inverse": Falsehood(
        Equal(sqrt(1 / x), 1 / sqrt(x)), "the signs differ for negative x", {x: -1}
    ),
    "a square of a size": Falsehood(
        Equal(Abs(x) ** 2, x**2), "not for complex x", {x: I}
    ),
    "a conjugate": Falsehood(Equal(conjugate(x), x), "not for complex x", {x: I}),
    "a real part of a product": Falsehood(
        Equal(re(x * y), re(x) * re(y)), "i times i is -1", {x: I, y: I}
    ),
}

KINKS = {
    "a maximum is its first": Falsehood(
        Equal(Max(r, s), r), "not if s > r", {r: 0, s: 1}
    ),
    "a size of a sum": Falsehood(
        Equal(Abs(r + s), Abs(r) + Abs(s)), "signs may differ", {r: 1, s: -1}
    ),
    "a minimum and a maximum": Falsehood(
        Equal(Min(r, s) + Max(r, s), 2 * r), "the sum is r + s", {r: 0, s: 1}
    ),
    "a square of a maximum": Falsehood(
        Equal(Max(p, q) ** 2, Max(p**2, q)), "q is not squared", {p: 1, q: 2}
    ),
    "a size that is the number": Falsehood(
        Equal(Abs(r) - r, zero), "not for negative r", {r: -1}
    ),
    "a product of positive parts": Falsehood(
        Equal(Max(r, 0) * Max(s, 0), Max(r * s, 0)),
        "both may be negative",
        {r: -1, s: -1},
    ),
    "a square of a sign": Falsehood(
        Equal(sign(r) ** 2, one), "the sign of 0 is 0", {r: 0}
    ),
    "a minimum of positive numbers": Falsehood(
        Equal(Min(p, q), p * q / (p + q)), "that is the harmonic sum", {p: 1, q: 1}
    ),
    "two halves of the line": Falsehood(
        Equal(Piecewise((1, r > 0), (0, True)) + Piecewise((1, r < 0), (0, True)), one),
        "neither holds 0",
        {r: 0},
    ),
    "a square of a step": Falsehood(
        Equal(Heaviside(r) ** 2, Heaviside(r)), "at 0 the step is 1/2", {r: 0}
    ),
    "a piece for the whole": Falsehood(
        Equal(Piecewise((r, r >= 0), (-r, True)), r), "not for negative r", {r: -1}
    ),
    "a floor of a sum": Falsehood(
        Equal(floor(r + s), floor(r) + floor(s)), "fractions carry", {r: half, s: half}
    ),
    "a floor of a double": Falsehood(
        Equal(floor(2 * r), 2 * floor(r)), "half a unit counts", {r: half}
    ),
    "a floor of the negative": Falsehood(
        Equal(floor(-r), -floor(r)), "that is the ceiling", {r: half}
    ),
    "a ceiling one above the floor": Falsehood(
        Equal(ceiling(r), floor(r) + 1), "not for whole numbers", {r: 0}
    ),
    "a floor of a half": Falsehood(Equal(floor(n / 2), n / 2), "not for odd n", {n: 1}),
    "a remainder": Falsehood(Equal(Mod(n, 2), zero), "not for odd n", {n: 1}),
    "a delta": Falsehood(
        Equal(KroneckerDelta(k, j), zero), "indices may agree", {k: 1, j: 1}
    ),
    "a floor of a quotient": Falsehood(
        Rounded(floor(m / n), zero), "not if m is at least n", {m: 3, n: 2}
    ),
    "a ceiling for a floor": Falsehood(
        Rounded(ceiling(N - m / (m + n)), N - 1), "the ceiling is N", {N: 2, m: 1, n: 1}
    ),
    "a floor with an unbounded fraction": Falsehood(
        Rounded(floor(N + m / n), N), "not if m is at least n", {N: 1, m: 3, n: 2}
    ),
    "a floor with a number added": Falsehood(
        Rounded(floor(m / (m + n)) + 1, zero), "the floor is 0", {m: 1, n: 1}
    ),
}

RANGES = {
    "a sum of numbers down to -n": Falsehood(
        Equal(total(k, 0, -n), n * (n - 1) / 2), "an empty sum is 0", {n: 2}
    ),
    "the first term of any sum": Falsehood(
        Equal(total(f(k), 1, j), f(1) + total(f(k), 2, j)),
        "an empty sum has no first term",
        {j: 0, "f": square},
    ),
    "a count up to any number": Falsehood(
        Equal(total(1, 1, j), j), "an empty sum is 0", {j: -2}
    ),
    "the first term of an empty sum": Falsehood(
        Equal(total(f(k), 1, m), f(1) + total(f(k), 2, m)),
        "at m = 0 there is none",
        {m: 0, "f": square},
    ),
    "two ranges that may overlap": Falsehood(
        Equal(total(f(k), 0, n - 1) + total(f(k), n, m), total(f(k), 0, m)),
        "the first goes beyond m",
        {n: 4, m: 1, "f": square},
    ),
    "a count of nothing is positive": Falsehood(
        Positive(-total(1, 1, -n)), "an empty sum is 0", {n: 2}
    ),
    "an inner sum that is empty half of the time": Falsehood(
        Equal(total(total(1, k, n, j), 1, 2 * n), n),
        "inner sums are never below 0: the total is n(n + 1)/2",
        {n: 2},
    ),
    "a product down to -n": Falsehood(
        Equal(product(2, 1, -n), 2 ** (-n)), "an empty product is 1", {n: 2}
    ),
    "half an index": Falsehood(
        Equal(total(1, 0, n / 2), n / 2 + 1), "an index is a whole number", {n: 1}
    ),
    "a fraction of an index": Falsehood(
        Equal(total(1, 1, p), p), "an index is a whole number", {p: half}
    ),
    "a last term of an empty sum": Falsehood(
        Equal(total(f(k), n, m), total(f(k), n, m - 1) + f(m)),
        "there is none if m < n",
        {n: 3, m: 1, "f": square},
    ),
}

INDUCTIONS = {
    "a variable in the term": Falsehood(
        ByInduction(total(m * k, 0, m), m * (m + 1) / 2, m), "m is a factor", {m: 2}
    ),
    "a sum of squares with something added": Falsehood(
        ByInduction(total(k**2, 0, m), m * (m + 1) * (2 * m + 1) / 6 + m * (m - 1), m),
        "right for 0 and 1 only",
        {m: 2},
    ),
    "powers of two": Falsehood(
        ByInduction(2**m, 1 + m, m), "right for 0 and 1 only", {m: 2}
    ),
    "three zeros": Falsehood(
        ByInduction(m * (m - 1) * (m - 2), zero, m), "right for 0, 1, 2 only", {m: 3}
    ),
    "a term left out": Falsehood(
        ByInduction(total(f(k), 0, m), total(f(k), 1, m), m),
        "f(0) is missing",
        {m: 1, "f": lambda value: value + 1},
    ),
    "a triangle for a square": Falsehood(
        ByInduction(total(total(1, k, m, j), 0, m), (m + 1) ** 2, m),
        "the triangle has (m + 1)(m + 2)/2 points",
        {m: 1},
    ),
    "a factorial": Falsehood(
        ByInduction(factorial(m), 2 ** (m - 1), m, 1), "right for 1, 2 only", {m: 3}
    ),
    "a sum that becomes empty": Falsehood(
        ByInduction(total(1, m, 3), 4 - m, m), "an empty sum is 0", {m: 6}
    ),
    "a sum that grows by two": Falsehood(
        ByInduction(total(k, 0, 2 * m), m * (m + 1), m), "it is m(2m + 1)", {m: 1}
    ),
    "a power of anything": Falsehood(
        ByInduction(p**m, one, m), "right for 0 only", {p: 2, m: 1}
    ),
    "half a number": Falsehood(
        ByInduction(floor(m / 2), zero, m), "right for 0 and 1 only", {m: 2}
    ),
    "a sign": Falsehood(
        ByInduction((-1) ** m, one, m), "right for even m only", {m: 1}
    ),
    "from below 0": Falsehood(
        ByInduction(Abs(j), -j, j, -2), "right up to 0 only", {j: 1}
    ),
    "a positive variable that starts below 0": Falsehood(
        ByInduction(Abs(kp), kp, kp, -1), "at -1 the size is 1", lambda: abs(-1) != -1
    ),
    "an even variable that takes odd values": Falsehood(
        ByInduction((-1) ** ke, one, ke), "at 1 the power is -1", lambda: (-1) ** 1 != 1
    ),
    "a multiplier that is infinite on the way": Falsehood(
        ByInduction(m * (m - 3), zero, m, 0, (m + 1) * (m - 2) / (m * (m - 3))),
        "right for 0 and 3 only",
        {m: 1},
    ),
}

LIMITS = {
    "a geometric sequence": Falsehood(
        Tends(p**z, z, oo, zero), "not for p = 2", {p: 2, z: 10**3}
    ),
    "a multiple of any sign": Falsehood(
        Tends(r * z, z, oo, oo), "for r = 0 it is 0", {r: 0, z: 10**6}
    ),
    "a power of any sign": Falsehood(
        Tends(p**r, p, oo, oo), "for r = -1 it vanishes", {r: -1, p: 10**6}
    ),
    "an exponential of any sign": Falsehood(
        Tends(exp(r * z), z, oo, zero), "for r = 0 it is 1", {r: 0, z: 10**3}
    ),
    "faster and faster": Falsehood(
        Tends(sin(1 / z), z, zero, zero),
        "it takes every value in any surrounding",
        {z: 1 / (100 * pi + pi / 2)},
    ),
    "a sign from one side": Falsehood(
        Tends(Abs(r) / r, r, zero, one),
        "from the left it is -1",
        {r: -Rational(1, 10**6)},
    ),
    "a pole": Falsehood(
        Tends(1 / r**2, r, zero, zero), "it is infinite", {r: Rational(1, 10**6)}
    ),
    "compound interest": Falsehood(
        Tends((1 + 1 / p) ** p, p, oo, one), "it is e", {p: 10**3}
    ),
    "a growing wave": Falsehood(
        Tends(p * sin(p), p, oo, oo), "it vanishes at multiples of pi", {p: 100 * pi}
    ),
    "leading terms that may vanish": Falsehood(
        Tends((u * p**2 + p) / (u * p**2 + 1), p, oo, one),
        "for u = 0 it is infinite",
        {u: 0, p: 10**6},
    ),
    "an exponential of a pole": Falsehood(
        Tends(exp(1 / r), r, zero, zero),
        "from the right it is infinite",
        {r: Rational(1, 100)},
    ),
    "an alternating sequence": Falsehood(
        Tends((-1) ** m, m, oo, one), "odd terms are -1", {m: 1001}
    ),
    "powers of any number": Falsehood(
        Tends(r**m, m, oo, zero), "not for r = 2", {r: 2, m: 1000}
    ),
    "a harmonic sum": Falsehood(
        Tends(total(1 / k, 1, n), n, oo, Integer(2)), "it is infinite", {n: 30}
    ),
    "a quotient that is no derivative": Falsehood(
        Tends((r**2 - t**2) / (r - s), r, s, 2 * s),
        "numerator and denominator need not vanish together",
        {t: 0, s: 1, r: 1 + Rational(1, 10**6)},
    ),
    "an arctangent of any sign": Falsehood(
        Tends(atan(r * p), p, oo, pi / 2), "for r = 0 it is 0", {r: 0, p: 10**6}
    ),
    "a bump that may have no width": Falsehood(
        Tends(t**2 / (t**2 + r**2), t, zero, zero),
        "for r = 0 it is 1",
        {r: 0, t: Rational(1, 10**6)},
    ),
    "a limit of a difference that may be 0": Falsehood(
        Tends(exp(-((r - s) ** 2) * p), p, oo, zero),
        "for r = s it is 1",
        {r: 1, s: 1, p: 10**6},
    ),
    "a root that may not be there": Falsehood(
        Tends(p ** (1 / (1 + u * p)), p, oo, one),
        "for u = 0 it is p itself",
        {u: 0, p: 10**6},
    ),
}

SIGNS = {
    "a cube": Falsehood(Nonnegative(r**3), "not for negative r", {r: -1}),
    "a size above 0": Falsehood(Positive(Abs(r)), "the size of 0 is 0", {r: 0}),
    "an exponential of any number": Falsehood(
        Positive(exp(x)), "exp(i pi) is -1", {x: I * pi}
    ),
    "a logarithm": Falsehood(Nonnegative(log(p)), "not below 1", {p: half}),
    "a number above its root": Falsehood(
        Nonnegative(p - sqrt(p)), "not below 1", {p: Rational(1, 4)}
    ),
    "a small number": Falsehood(Positive(1 - p), "p may be 2", {p: 2}),
    "a sine": Falsehood(Nonnegative(sin(p)), "it changes its sign", {p: 4}),
    "a predecessor": Falsehood(Positive(n - 1), "n may be 1", {n: 1}),
    "an alternating sum": Falsehood(
        Nonnegative(total((-1) ** k)), "the first term is -1", {N: 1}
    ),
    "a sum of powers": Falsehood(
        Nonnegative(total(r**k, 0)), "not below -1", {r: -2, N: 1}
    ),
    "a square that touches": Falsehood(
        Positive(p**2 - 2 * p + 1, (p - 1) ** 2), "it is 0 at 1", {p: 1}
    ),
    "a number and its inverse": Falsehood(
        Nonnegative(r + 1 / r, (r**2 + 1) / r), "not for negative r", {r: -1}
    ),
    "a product of numbers": Falsehood(
        Nonnegative(product(r)), "an odd number of negative factors", {r: -1, N: 1}
    ),
    "a product that may vanish": Falsehood(
        Positive(product(u)), "u may be 0", {u: 0, N: 1}
    ),
    "an empty sum above 0": Falsehood(
        Positive(total(exp(k), n, 2 * m)), "empty if 2m < n", {n: 1, m: 0}
    ),
    "a form with a pole": Falsehood(
        Positive(r, r**2 / r), "not for negative r", {r: -1}
    ),
    "a valley": Falsehood(
        PositiveBetween(x**2 - x, x, zero, one), "it is negative", {x: half}
    ),
    "a cubic": Falsehood(
        PositiveBetween(x**3 - x, x, -one, one), "negative right of 0", {x: half}
    ),
    "a factor inside": Falsehood(
        PositiveBetween((1 - x) * (1 - 2 * x), x, zero, one),
        "negative right of 1/2",
        {x: Rational(3, 4)},
    ),
    "a difference of products": Falsehood(
        Nonnegative(p * q - p), "not for q below 1", {p: 1, q: half}
    ),
}

CONSTANTS = {
    "pi and its fraction": Falsehood(Below(Rational(22, 7), pi), "22/7 is above", {}),
    "powers of e and pi": Falsehood(Below(E**pi, pi**E), "it is above", {}),
    "an imaginary constant": Falsehood(
        Below(I, Integer(2)), "complex numbers have no order", lambda: True
    ),
    "the value of a series": Falsehood(
        Below(Sum(1 / k**2, (k, 1, oo)), pi**2 / 6),
        "they are equal",
        lambda: sum(1 / i**2 for i in range(1, 10**4)) > math.pi**2 / 6 - 1e-3,
    ),
    "a logarithm in two parts": Falsehood(
        Below(log(2) + log(3), log(6)), "they are equal", {}
    ),
    "above infinity": Falsehood(
        Below(oo, Integer(5)), "infinity is above", lambda: math.inf >= 5
    ),
    "a tenth in binary": Falsehood(
        Equal(Float(0.1), Rational(1, 10)),
        "the nearest float is above a tenth",
        lambda: Rational(0.1) != Rational(1, 10),
    ),
    "three tenths in binary": Falsehood(
        Equal(x * Float(0.1) * 3, x * Rational(3, 10)),
        "a float times 3 is not 3/10",
        lambda: Rational(0.1) * 3 != Rational(3, 10),
    ),
}

MATRICES = {
    "a product turned round": Falsehood(
        Equal(A * B, B * A), "matrices do not commute", do_not_commute
    ),
    "a square of a sum of matrices": Falsehood(
        Equal((A + B) ** 2, A**2 + 2 * A * B + B**2),
        "matrices do not commute",
        do_not_commute,
    ),
    "a product of matrices turned round": Falsehood(
        Equal(X * Y, Y * X), "matrices do not commute", do_not_commute
    ),
    "an inverse of a product": Falsehood(
        Equal((A * B) ** -1, A**-1 * B**-1),
        "the order turns round",
        lambda: ((1 + UPPER.applyfunc(abs)[0, 1]) != 1) and do_not_commute(),
    ),
    "a determinant of a sum": Falsehood(
        Equal(Matrix([[x + z, 0], [0, y + z]]).det(), x * y + z**2),
        "mixed terms are missing",
        {x: 1, y: 1, z: 1},
    ),
    "an exponential of a sum": Falsehood(
        Equal(exp(A) * exp(B), exp(A + B)), "matrices do not commute", do_not_commute
    ),
    "a square of a product": Falsehood(
        Equal((A * B) ** 2, A**2 * B**2),
        "matrices do not commute",
        lambda: bool((UPPER * LOWER) ** 2 != UPPER**2 * LOWER**2),
    ),
    "sums of matrices exchanged": Falsehood(
        Equal(total(C(k)) * total(C(j), 1, n, j), total(C(j), 1, n, j) * total(C(k))),
        "matrices do not commute",
        do_not_commute,
    ),
    "an entry that is a sum": Falsehood(
        Equal(Matrix([[total(f(k))]]), Matrix([[total(f(k), 0)]])),
        "one term more",
        {N: 1, "f": lambda value: value + 1},
    ),
    "a number and a matrix": Falsehood(
        Equal(x, Matrix([[x]])), "they are of different kinds", {x: 1}
    ),
    "empty matrices": Falsehood(
        Equal(zeros(0, 2), zeros(2, 0)), "they differ in shape", {}
    ),
}

INDICES = {
    "an inner sum that hides the index": Falsehood(
        Equal(total(total(k, 1, k)), N**2 * (N + 1) / 2),
        "each inner sum is k(k + 1)/2",
        {N: 2},
    ),
    "a factor inside of another sum": Falsehood(
        Equal(
            total(j * total(j, index=j), index=j),
            total(total(j**2, index=j), index=j),
        ),
        "the inner index is another",
        {N: 2},
    ),
    "an index named as its end": Falsehood(
        Equal(total(N, 1, N, N), N**2), "the term is the index", {N: 2}
    ),
    "an index named as its end, squared": Falsehood(
        Equal(total(k, 1, k), k**2), "the term is the index", {k: 2}
    ),
    "a difference to a free index": Falsehood(
        Positive(total(k - j)), "j may be large", {N: 1, j: 2}
    ),
    "a triangle transposed": Falsehood(
        Equal(total(total(g(k, j), k, N, j)), total(total(g(k, j), j, N, k), 1, N, j)),
        "one is above the diagonal, one below",
        {N: 2, "g": pair},
    ),
    "a table of multiples": Falsehood(
        Equal(total(total(f(j * k), index=j)), total(f(k), 1, N**2)),
        "products repeat",
        {N: 2, "f": square},
    ),
    "a constant inner sum over a triangle": Falsehood(
        Equal(total(total(f(k), 1, k, j)), N * total(f(k))),
        "the k-th term is taken k times",
        {N: 2, "f": square},
    ),
    "a product of a sum with itself": Falsehood(
        Equal(total(f(k) * total(f(j), index=j)), N * total(f(k) ** 2)),
        "mixed terms",
        {N: 2, "f": square},
    ),
    "a delta outside of its sum": Falsehood(
        Equal(total(KroneckerDelta(k, j) * f(k)), f(j)),
        "j may lie outside of the range",
        {N: 1, j: 3, "f": square},
    ),
    "a name for two numbers": Falsehood(
        Equal(symbols("w", real=True), symbols("w", positive=True)),
        "symbols with different assumptions are different",
        {symbols("w", real=True): -1, symbols("w", positive=True): 1},
    ),
    "a size under one name": Falsehood(
        Equal(Abs(symbols("w", real=True)), symbols("w", positive=True)),
        "symbols with different assumptions are different",
        {symbols("w", real=True): -1, symbols("w", positive=True): 2},
    ),
    "an index under one name": Falsehood(
        Equal(total(f(Symbol("k"))), total(f(k))),
        "the first term does not depend on the index",
        {N: 2, Symbol("k"): 5, "f": square},
    ),
    "a positive product under one name": Falsehood(
        Positive(symbols("w", real=True) * symbols("w", positive=True)),
        "the first may be negative",
        {symbols("w", real=True): -1, symbols("w", positive=True): 1},
    ),
    "an index that is 0 by assumption": Falsehood(
        Equal(total(kz * f(1), 1, N, kz), zero),
        "the index runs from 1",
        lambda: sum(range(1, 3)) != 0,
    ),
}

CALCULUS = {
    "a derivative of a square": Falsehood(
        Equal(Derivative(x**2, x), x), "the factor 2 is missing", {x: 1}
    ),
    "a derivative of a product": Falsehood(
        Equal(
            Derivative(f(x) * g(x, x), x), Derivative(f(x), x) * Derivative(g(x, x), x)
        ),
        "not the product rule",
        {x: 1, "f": lambda value: value, "g": lambda a, b: a},
    ),
    "a derivative of a size": Falsehood(
        Equal(Derivative(Abs(r), r), one), "not for negative r", {r: -1}
    ),
    "an integral over a pole": Falsehood(
        Equal(Integral(1 / t**2, (t, -1, 1)), Integer(-2)),
        "it is infinite",
        lambda: 2 * sum(1e-3 / (1e-3 * i) ** 2 for i in range(1, 1000)) > 1000,
    ),
    "an integral that may be infinite": Falsehood(
        Equal(Integral(exp(-r * t), (t, 0, 1)), 1 / r),
        "the upper end is missing",
        {r: 1},
    ),
    "a period of a constant": Falsehood(
        Equal(Integral(cos(k * t), (t, 0, 2 * pi)), zero),
        "for k = 0 it is 2 pi",
        {k: 0},
    ),
    "an integral of a positive variable": Falsehood(
        Equal(Integral(Abs(p), (p, -1, 1)), zero),
        "the variable runs below 0",
        lambda: abs(-half) + abs(half) != 0,
    ),
    "a derivative of a sum": Falsehood(
        Equal(Derivative(total(x**k, 0), x), total(k * x**k, 0)),
        "the power is one less",
        {x: 2, N: 2},
    ),
    "a sum of ones to infinity": Falsehood(
        Equal(Sum(1, (k, 1, oo)), -half), "it is infinite", lambda: sum([1] * 9) > 1
    ),
    "an alternating series": Falsehood(
        Equal(Sum((-1) ** k, (k, 0, oo)), half),
        "it has no limit",
        lambda: abs(sum((-1) ** i for i in range(99)) - 0.5) >= 0.5,
    ),
    "a geometric series of any ratio": Falsehood(
        Equal(Sum(r**k, (k, 0, oo)), 1 / (1 - r)),
        "infinite at 2",
        lambda: sum(2**i for i in range(9)) > 1 / (1 - 2) + 1,
    ),
    "a telescope without a limit": Falsehood(
        Equal(Sum(f(k) - f(k + 1), (k, 1, oo)), f(1)),
        "not for a constant f",
        lambda: sum(1 - 1 for _ in range(9)) != 1,
    ),
}

PRODUCTS = {
    "a constant factor": Falsehood(
        Equal(product(p * f(k)), p * product(f(k))),
        "it is there N times",
        {p: 2, N: 2, "f": square},
    ),
    "a product of sums": Falsehood(
        Equal(product(f(k) + k), product(f(k)) + product(k)),
        "mixed terms",
        {N: 2, "f": square},
    ),
    "a product from 0": Falsehood(
        Equal(product(k, 0), factorial(N)), "the first factor is 0", {N: 2}
    ),
    "a power of 0": Falsehood(Equal(0**m, zero), "0**0 is 1", {m: 0}),
    "a sum of powers of 0": Falsehood(Equal(total(0**k, 0), zero), "0**0 is 1", {N: 1}),
    "a factorial of a double": Falsehood(
        Equal(factorial(2 * n), 2 * factorial(n)), "far larger", {n: 2}
    ),
    "neighbours in a row of Pascal's triangle": Falsehood(
        Equal(binomial(m, k), binomial(m, k - 1)), "they differ", {m: 2, k: 1}
    ),
    "a recursion of the gamma function": Falsehood(
        Equal(gamma(x + 1), x * gamma(x) + 1), "nothing is added", {x: 1}
    ),
    "a quotient of sums": Falsehood(
        Equal(total(f(k)) / total(k), total(f(k) / k)),
        "not term by term",
        {N: 2, "f": square},
    ),
    "one of two that is false": Falsehood(
        Every([Equal(x, x), Equal(x, y)]), "the second is false", {x: 1, y: 2}
    ),
    "all of a list that holds an empty one": Falsehood(
        Every([Equal(x, x), Every([])]), "nothing is claimed", {x: 1}
    ),
}

OWN = {
    name: falsehood
    for kind in (
        BRANCHES,
        KINKS,
        RANGES,
        INDUCTIONS,
        LIMITS,
        SIGNS,
        CONSTANTS,
        MATRICES,
        INDICES,
        CALCULUS,
        PRODUCTS,
    )
    for name, falsehood in kind.items()
}
FALSE = {**KNOWN, **OWN}
