"""Indices that are what their ranges make them, and ranges that run forwards.

sympy simplifies a term by what is assumed of its index, whatever the index runs over,
and counts a sum that runs backwards negative, where a loop has no terms. So each index
is replaced by one of which no more is known than its range tells, and a claim about any
other index, or about a range that may run backwards, is not decided.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from sympy import (
    Dummy,
    Expr,
    Float,
    Integral,
    MatrixBase,
    Product,
    Rational,
    Sum,
    Symbol,
    expand,
    oo,
    sympify,
)
from sympy.concrete.expr_with_limits import ExprWithLimits

_T = TypeVar("_T", Expr, MatrixBase)


class UnsoundError(ValueError):
    """A claim that means another thing to sympy than to its reader."""


def sound(expression: _T, names: Mapping[Symbol, Expr] = MappingProxyType({})) -> _T:
    """Give every index a fresh name, with the assumptions that its range allows.

    Args:
        expression: Any expression or matrix.
        names: What to put for free symbols.

    Returns:
        The same; floats are the fractions that they are in binary.

    Raises:
        UnsoundError: If more is assumed of an index than its range tells, if a range
            may run backwards, or if its ends are not whole numbers.

    Example:
        >>> from sympy import symbols
        >>> n = symbols("n", integer=True, positive=True)
        >>> k = symbols("k", integer=True)
        >>> whole = sound(Sum(k, (k, -n, n)))
        >>> (_, low, high), = whole.limits
        >>> low, high
        (-n, n)

        Here sympy has already left out the size:

        >>> k = symbols("k", integer=True, positive=True)
        >>> sound(Sum(abs(k), (k, -n, n)))
        Traceback (most recent call last):
        ...
        proofs.engine.ranges.UnsoundError: more is assumed of k than -n to n tells
    """
    if isinstance(expression, MatrixBase):
        return expression.applyfunc(partial(sound, names=names))
    return _renamed(sympify(expression), dict(names), {})


def integer_from(start: Expr, name: str = "", end: Expr = oo) -> Symbol:
    """Return a whole number of which no more is known than where it lies.

    Args:
        start: The least.
        name: What it is called.
        end: The greatest.

    Returns:
        A symbol that nothing else has.
    """
    facts = {"integer": True}
    if start.is_positive or start.is_nonnegative:
        facts["positive" if start.is_positive else "nonnegative"] = True
    elif end.is_negative or end.is_nonpositive:
        facts["negative" if end.is_negative else "nonpositive"] = True
    return Dummy(name, **facts) if name else Dummy(**facts)


def check_assumptions(index: Symbol, known: Symbol, where: str) -> None:
    """Refuse a symbol of which more is assumed than is known.

    Args:
        index: The symbol of a claim.
        known: A symbol of which all is assumed that is known.
        where: Where it lies, in words.

    Raises:
        UnsoundError: If there is more.
    """
    facts = known.assumptions0
    if any(facts.get(fact) is not value for fact, value in index.assumptions0.items()):
        raise UnsoundError(f"more is assumed of {index} than {where} tells")


def _renamed(
    expression: Expr, names: dict[Symbol, Expr], places: dict[Symbol, list[Expr]]
) -> Expr:
    if isinstance(expression, Symbol):
        return names.get(expression, expression)
    if isinstance(expression, Float):
        return Rational(expression)
    if not expression.args:
        return expression
    if not isinstance(expression, ExprWithLimits):
        parts = [
            _renamed(part, names, places) if hasattr(part, "args") else part
            for part in expression.args
        ]
        same = all(a is b for a, b in zip(parts, expression.args, strict=True))
        return expression if same else expression.func(*parts)
    names, places = dict(names), dict(places)
    limits = []
    for index, *ends in reversed(expression.limits):  # outer ones first
        if len(ends) != 2:
            raise UnsoundError(f"{index} has no range")
        low, high = (_renamed(end, names, places) for end in ends)
        fresh = _fresh(type(expression), index, low, high, places)
        names[index] = fresh
        limits.append((fresh, low, high))
    body = _renamed(expression.function, names, places)
    return expression.func(body, *reversed(limits))


def _fresh(
    kind: type[Expr],
    index: Symbol,
    low: Expr,
    high: Expr,
    places: dict[Symbol, list[Expr]],
) -> Symbol:
    where = f"{low} to {high}"
    if issubclass(kind, Integral):
        between = integer_from(low, index.name, high).assumptions0
        signs = ("positive", "nonnegative", "negative", "nonpositive")
        facts = {sign: True for sign in signs if between.get(sign)}
        fresh = Dummy(index.name, **(facts or {"real": True}))
        check_assumptions(index, fresh, where)
        return fresh
    if not issubclass(kind, Sum | Product):
        raise UnsoundError(f"{kind.__name__} is not known")
    if not low.is_integer or not (high is oo or high.is_integer):
        raise UnsoundError(f"{where} is no range of whole numbers")
    if high is not oo and not _runs_forwards(expand(high - low + 1), places):
        raise UnsoundError(f"{where} may run backwards")
    fresh = integer_from(low, index.name, high)
    check_assumptions(index, fresh, where)
    steps = Dummy(integer=True, nonnegative=True)
    places[fresh] = [low + steps] if high is oo else [low + steps, high - steps]
    return fresh


def _runs_forwards(length: Expr, places: dict[Symbol, list[Expr]]) -> bool:
    """Whether a range has a length, its outer indices counted from either end."""
    if length.is_nonnegative:
        return True
    for index in length.free_symbols & places.keys():
        inner = {name: place for name, place in places.items() if name != index}
        if any(
            _runs_forwards(expand(length.subs(index, place)), inner)
            for place in places[index]
        ):
            return True
    return False
