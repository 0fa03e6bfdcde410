"""False claims about indices, ranges and functions with branches or kinks."""

from sympy import (
    Abs,
    Heaviside,
    I,
    KroneckerDelta,
    Max,
    Min,
    Mod,
    Piecewise,
    Rational,
    Symbol,
    acos,
    arg,
    asin,
    atan,
    ceiling,
    conjugate,
    cos,
    exp,
    floor,
    log,
    re,
    sign,
    sin,
    sqrt,
    symbols,
    tan,
)

from proofs.engine import Equal, Positive, Rounded
from tests.proofs.false_claims.symbols import (
    Falsehood,
    N,
    f,
    g,
    half,
    j,
    k,
    kz,
    m,
    n,
    one,
    p,
    pair,
    product,
    q,
    r,
    s,
    square,
    total,
    x,
    y,
    zero,
)

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
