"""Claims that are true, each much like a false one, and that the engine must prove."""

from sympy import (
    Abs,
    Integer,
    Matrix,
    Max,
    S,
    Sum,
    ceiling,
    exp,
    floor,
    log,
    oo,
    pi,
    sqrt,
    symbols,
)

from proofs.engine import (
    Below,
    ByInduction,
    Equal,
    Every,
    Nonnegative,
    Positive,
    PositiveBetween,
    Rounded,
    Tends,
)
from tests.proofs.false_claims.symbols import (
    A,
    B,
    C,
    N,
    f,
    g,
    half,
    k,
    kn,
    kp,
    m,
    n,
    one,
    p,
    product,
    q,
    r,
    total,
    u,
    x,
    y,
    z,
    zero,
)

j = symbols("j", integer=True)
start = symbols("k", integer=True, nonnegative=True)

TRUE = {
    "a sum of opposite numbers": Equal(total(k, -n, n), zero),
    "an absolute value of a positive index": Equal(
        total(Abs(kp), 1, n, kp), total(k, 1, n)
    ),
    "a size of an index from 1": Equal(total(Abs(k), 1, n), total(k, 1, n)),
    "a maximum over an index from 0": Equal(total(Max(k, 0), 0, n), total(k, 0, n)),
    "a size of an index below 0": Equal(total(Abs(k), -n, -1), -total(k, -n, -1)),
    "an index named as its end": Equal(total(N, 1, N, N), total(k)),
    "a captured variable of an induction": ByInduction(
        total(m, 0, m, m), m * (m + 1) / 2, m
    ),
    "an induction from 2": ByInduction(total(k, 2, kp), kp * (kp + 1) / 2 - 1, kp, 2),
    "an induction from below 0": ByInduction(j**2 + 2 * j, (j + 1) ** 2 - 1, j, -2),
    "an induction with an index that fits": ByInduction(
        total(start, 0, m, start), m * (m + 1) / 2, m
    ),
    "a factor pulled out on its side": Equal(total(C(k) * A), total(C(k)) * A),
    "factors pulled out on both sides": Equal(
        total(p * A * C(k) * B), p * A * total(C(k)) * B
    ),
    "a sum of matrices": Equal(total(A + C(k)), N * A + total(C(k))),
    "a square of a sum of matrices": Equal((A + B) ** 2, A**2 + A * B + B * A + B**2),
    "a quotient at 0": Tends(p / (q + p), p, zero, zero),
    "a quotient that tends to a parameter": Tends((u * p + 1) / (p + 2), p, oo, u),
    "an exponential that decays": Tends(exp(-q * p), p, oo, zero),
    "an exponential that may not decay": Tends(exp(-u / p), p, oo, one),
    "a multiple that grows": Tends(q * p, p, oo, oo),
    "a power that grows": Tends(p**q, p, oo, oo),
    "a power that vanishes": Tends(p**q, p, zero, zero),
    "leading terms that are there": Tends((q * p**2 + p) / (q * p**2 + 1), p, oo, one),
    "a derivative of a power": Tends(((1 + p) ** q - 1) / p, p, zero, q),
    "a bump": Tends(z**2 / (z**2 + q), z, zero, zero),
    "a limit from both sides": Tends((u + r) * r, r, zero, zero),
    "a count": Equal(total(1, 1, n), n),
    "a count from 0": Equal(total(1, 0, m), m + 1),
    "a count of nothing": Equal(total(1, 1, m), m),
    "the first term": Equal(total(f(k), 0, 0), f(0)),
    "a triangle": Equal(total(total(1, 1, k, j)), total(k)),
    "a triangle from above": Equal(
        total(total(1, k, n, j), 1, n), total(n + 1 - k, 1, n)
    ),
    "sums over a triangle": Equal(
        total(total(f(k) * g(k, j), 1, k, j)), total(f(k) * total(g(k, j), 1, k, j))
    ),
    "two series": Equal(Sum(f(k) / 2 + f(k) / 2, (k, 1, oo)), Sum(f(k), (k, 1, oo))),
    "a root of a square": Equal(sqrt(p**2 * q), p * sqrt(q)),
    "a logarithm of a product": Equal(exp(log(p) + log(q)), p * q),
    "a maximum and a minimum": Equal(Max(p, -p), p),
    "a product of signs": Nonnegative(total(r**2 * k, 0, m)),
    "a number and its inverse": Positive(p + 1 / p, (p**2 + 1) / p),
    "a negative index": Nonnegative(-kn),
    "a polynomial": PositiveBetween(x - x**2, x, zero, one),
    "a floor": Rounded(floor(N + m / (m + n)), N),
    "a ceiling": Rounded(ceiling(N - m / (m + n)), N),
    "pi and its fraction": Below(pi, Integer(22) / 7),
    "a tenth": Equal(S("0.5") * x, x * half),
    "matrices": Equal(Matrix([[x, 1]]) * Matrix([[1], [y]]), Matrix([[x + y]])),
    "a product": Equal(product(1), one),
    "all of a list": Every([Equal(x, x), Nonnegative(r**2)]),
}
