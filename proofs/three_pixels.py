"""Soft heads on three pixels: determinants that decide which maps they compute."""

from collections.abc import Sequence
from math import prod

from sympy import Expr, Integer, Matrix, Symbol, expand, resultant, symbols

e = Symbol("varepsilon", positive=True)
PIXELS, SHIFTS = 3, range(-2, 3)

# Where it vanishes, heads at all five shifts let every pixel read itself.
ITSELF = e**15 + e**12 + 2 * e**11 + e**9 + 3 * e**8 + e**5 + e**4 - e**2 + e - 1


def weights(target: int) -> list[Expr]:
    """Return the weights of a target, less a power that all share."""
    powers = [(key - target) ** 2 for key in range(PIXELS)]
    return [e ** (power - min(powers)) for power in powers]


def mismatch(read: Sequence[int]) -> Expr:
    """Return what vanishes if five heads let each query q read the pixel read[q].

    That is the determinant of six equations for the factors of the heads, with their
    right-hand sides, cleared of denominators: the factors add up to one, and five
    pairs of a query and a key get the weight that they should have.
    """
    rows = [[Integer(1)] * 6]
    for query, key in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1)):
        heads = [weights(query + shift) for shift in SHIFTS]
        sums = [sum(row) for row in heads]
        shares = [
            row[key] * prod(sums[:head]) * prod(sums[head + 1 :])
            for head, row in enumerate(heads)
        ]
        rows.append([*shares, prod(sums) * int(read[query] == key)])
    return Matrix(rows).applyfunc(expand).det(method="domain-ge")


def common_root(apart: int) -> Expr:
    """Return the resultant of the normalisers of two queries, polynomials in y."""
    y = symbols("y")
    one, other = (
        sum(e ** (k**2 + 2 * q * (PIXELS - 1 - k)) * y**k for k in range(PIXELS))
        for q in (0, apart)
    )
    return resultant(one, other, y)
