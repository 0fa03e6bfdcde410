"""What false claims are made of: their symbols, sums and products."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Function,
    Integer,
    Matrix,
    MatrixSymbol,
    Product,
    Rational,
    Sum,
    Symbol,
    symbols,
)

from proofs.engine import Claim


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
