"""False claims about matrices, derivatives, integrals and products."""

from sympy import (
    Abs,
    Derivative,
    Integer,
    Integral,
    Matrix,
    Sum,
    binomial,
    cos,
    exp,
    factorial,
    gamma,
    oo,
    pi,
    zeros,
)

from proofs.engine import Equal, Every
from tests.proofs.false_claims.symbols import (
    LOWER,
    UPPER,
    A,
    B,
    C,
    Falsehood,
    N,
    X,
    Y,
    do_not_commute,
    f,
    g,
    half,
    j,
    k,
    m,
    n,
    one,
    p,
    product,
    r,
    square,
    t,
    total,
    x,
    y,
    z,
    zero,
)

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
