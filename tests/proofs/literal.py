"""Formulas at numbers, read as they are written: a sum is a loop, an empty one is 0.

Independent of the engine of ``proofs``, and of what sympy knows about sums, products,
derivatives and integrals.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

import mpmath
from sympy import (
    Add,
    Derivative,
    Expr,
    Integral,
    MatrixBase,
    Mul,
    N,
    Piecewise,
    Product,
    Rational,
    Sum,
    Symbol,
    im,
    nan,
    oo,
    sympify,
)
from sympy.core.function import AppliedUndef

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

At = Mapping[Any, Any]
SMALL = Rational(1, 10**12)
FAR = Rational(1, 10)


def literal(expression: Any, at: At) -> Any:
    """Evaluate a formula.

    Args:
        expression: The formula.
        at: A value for every free symbol, a function for every undefined function.

    Returns:
        A number, or a matrix of numbers.
    """
    read = partial(literal, at=at)
    match expression:
        case Symbol():
            return sympify(at[expression]) if expression in at else expression
        case Sum() | Product():
            return _loop(expression, at)
        case Derivative(expr=term, variables=(Symbol() as variable,)):
            inner = _function(term, variable, at)
            return sympify(mpmath.diff(inner, mpmath.mpf(str(at[variable]))))
        case Integral(function=term, limits=((variable, low, high),)):
            ends = [mpmath.mpf(str(N(read(end)))) for end in (low, high)]
            return sympify(mpmath.quad(_function(term, variable, at), ends))
        case AppliedUndef(args=arguments):
            return sympify(at[expression.func.__name__](*map(read, arguments)))
        case Piecewise(args=cases):
            return next(
                (read(term) for term, condition in cases if condition.subs(dict(at))),
                nan,
            )
        case MatrixBase():
            return expression.applyfunc(read)
        case Expr(args=arguments) if arguments:
            return expression.func(*map(read, arguments))
    return expression


def fails(claim: Claim, at: At) -> bool:
    """Return whether a claim is false at some numbers.

    Args:
        claim: The claim.
        at: A value for every free symbol, a function for every undefined function. For
            a limit, its variable is given a value close to where it tends.

    Returns:
        Whether it fails there, by far more than rounding.
    """
    read = partial(literal, at=at)
    match claim:
        case ByInduction(left, right, variable, start):
            return bool(at[variable] >= start) and _differ(read(left), read(right))
        case Equal(left, right) | Rounded(left, right):
            return _differ(read(left), read(right))
        case Nonnegative(expression):
            return not N(read(expression), 30) > -SMALL
        case Positive(expression):
            return not N(read(expression), 30) > 0
        case PositiveBetween(expression, variable, low, high):
            return bool(low < at[variable] < high) and not read(expression) > 0
        case Below(left, right):
            return not N(right - left, 30) > SMALL
        case Tends(expression, value=value):
            there = N(read(expression), 30)
            if value in (oo, -oo):
                return not abs(there) > 1 / FAR
            return not abs(there - read(value)) < FAR
        case Every(claims):
            return any(fails(each, at) for each in claims) or not claims
    raise TypeError(f"cannot evaluate {claim}")


def _differ(left: Any, right: Any) -> bool:
    if isinstance(left, MatrixBase) or isinstance(right, MatrixBase):
        if not (isinstance(left, MatrixBase) and isinstance(right, MatrixBase)):
            return True
        if left.shape != right.shape:
            return True
        return any(map(_differ, left, right))
    return not abs(N(left - right, 30)) < SMALL


def _loop(expression: Any, at: At) -> Any:
    *inner, (index, low, high) = expression.limits
    term = expression.function
    if inner:
        term = expression.func(term, *inner)
    last = N(literal(high, at))
    values = []
    for value in count(int(literal(low, at))):
        if value > last:
            break
        values.append(literal(term, {**at, index: value}))
    if isinstance(expression, Product):
        return Mul(*values)
    return Add(*values)


def _function(term: Expr, variable: Symbol, at: At) -> Callable[[Any], Any]:
    def value(point: Any) -> Any:
        number = N(literal(term, {**at, variable: sympify(point)}), 20)
        return mpmath.mpmathify(number if not im(number) else complex(number))

    return value
