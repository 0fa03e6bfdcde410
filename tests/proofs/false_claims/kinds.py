"""False claims of each kind: inductions, limits, signs and constants."""

import math

from sympy import (
    Abs,
    E,
    Float,
    I,
    Integer,
    Rational,
    Sum,
    atan,
    exp,
    factorial,
    floor,
    log,
    oo,
    pi,
    sin,
    sqrt,
)

from proofs.engine import (
    Below,
    ByInduction,
    Equal,
    Nonnegative,
    Positive,
    PositiveBetween,
    Tends,
)
from tests.proofs.false_claims.symbols import (
    Falsehood,
    N,
    f,
    half,
    j,
    k,
    ke,
    kp,
    m,
    n,
    one,
    p,
    product,
    q,
    r,
    s,
    t,
    total,
    u,
    x,
    z,
    zero,
)

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
