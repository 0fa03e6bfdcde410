"""False claims that the engine once proved."""

import math

from sympy import Abs, Max, Rational, exp, oo, sign, sqrt, tanh

from proofs.engine import ByInduction, Equal, Nonnegative, Tends
from tests.proofs.false_claims.symbols import (
    A,
    C,
    Falsehood,
    do_not_commute,
    k,
    ke,
    kn,
    kp,
    n,
    one,
    p,
    total,
    u,
    z,
    zero,
)

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
