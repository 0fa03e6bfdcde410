r"""A reader of formulas, from left to right.

It knows sums with their ranges, fractions, powers, sizes, brackets, Iverson's [a = b],
and functions with arguments or subscripts.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sympy import (
    Abs,
    Expr,
    Function,
    Integer,
    KroneckerDelta,
    Lambda,
    Max,
    Min,
    Product,
    Rational,
    Sum,
    Symbol,
    ceiling,
    cos,
    exp,
    floor,
    latex,
    log,
    pi,
    sin,
    sqrt,
    sympify,
    tanh,
)

from proofs.engine.tokens import Names, NotationError, Scanner, plain

_RELATIONS = {"=": "=", "<": "<", ">": ">", r"\ge": ">=", r"\le": "<="}
_DERIVATIVE = re.compile(
    r"\\frac\{(?:d|\\mathrm\{d\})\}\{(?:d|\\mathrm\{d\})\s*(\\[A-Za-z]+|[A-Za-z])\}"
)
_FUNCTIONS: Mapping[str, Callable[..., Expr]] = {
    r"\max": Max,
    r"\min": Min,
    r"\ln": log,
    r"\log": log,
    r"\exp": exp,
    r"\cos": cos,
    r"\sin": sin,
    r"\tanh": tanh,
}
_HEADS = {r"\frac", r"\tfrac", r"\sqrt", r"\sum", r"\prod", *_FUNCTIONS}
_WORDS = {r"\dots", r"\det", r"\lim", r"\int", r"\langle", r"\begin", r"\infty"}
_CLOSING = {"(": ")", "{": "}", "[": "]", r"\lceil": r"\rceil", r"\lfloor": r"\rfloor"}


@dataclass(frozen=True)
class Relation:
    """One relation of a chain.

    Attributes:
        left: An expression.
        sign: "=", "<", ">", "<=" or ">=".
        right: Another.
    """

    left: Expr
    sign: str
    right: Expr


class Reader(Scanner):
    """Reads one chain of relations, or one definition."""

    def __init__(self, text: str, names: Names) -> None:
        super().__init__(text)
        self.names = dict(names)
        self.bars = [False]  # whether a bar closes what is read, outermost first

    def chain(self) -> list[Relation]:
        """Return the relations of the whole text."""
        left = self._sum()
        relations = []
        while (token := self.peek()) in _RELATIONS:
            self.take()
            right = self._sum()
            relations.append(Relation(left, _RELATIONS[token], right))
            left = right
        if self.peek() or not relations:
            raise NotationError(f"no relation: {self.text[self.place :]!r}")
        return relations

    def defined(self) -> Expr:
        """Return the value of the whole text, the last of several that are equal."""
        value = self._sum()
        while self.peek() == "=":
            self.take()
            value = self._sum()
        if self.peek():
            raise NotationError(f"no definition: {self.text[self.place :]!r}")
        return value

    def _sum(self) -> Expr:
        total = None
        sign = 1
        if self.peek() in ("-", "+"):
            sign = -1 if self.take() == "-" else 1
        while True:
            term = sign * self._product()
            total = term if total is None else total + term
            if self.peek() not in ("-", "+"):
                return total
            sign = -1 if self.take() == "-" else 1

    def _product(self) -> Expr:
        whole = self._power()
        while True:
            token = self.peek()
            if token in (r"\cdot", r"\times"):
                self.take()
                whole = whole * self._power()
            elif token == "/":
                self.take()
                whole = whole / self._power()
            elif self._begins_factor(token):
                whole = whole * self._power()
            else:
                return whole

    def _begins_factor(self, token: str) -> bool:
        ends = {"", "+", "-", ",", ")", "}", "]", "/", r"\rceil", r"\rfloor"}
        if token == "|" and self.bars[-1]:
            return False
        return token not in ends | _RELATIONS.keys()

    def _power(self) -> Expr:
        base = self._atom()
        while self.peek() in ("^", "_"):
            if self.take() == "_":
                self.take("+")
                base = Max(base, 0)
            else:
                base = base ** self._group()
        return base

    def _group(self) -> Expr:
        if self.peek() == "{":
            return self._between("{")[0]
        token = self.peek()
        if token.isdigit():  # one digit without braces
            self.place += 1
            return Integer(token[0])
        return self._atom()

    def _between(self, opening: str) -> list[Expr]:
        self.take(opening)
        self.bars.append(False)
        parts = [self._sum()]
        while self.peek() == ",":
            self.take()
            parts.append(self._sum())
        self.bars.pop()
        self.take(_CLOSING[opening])
        return parts

    def _atom(self) -> Expr:
        token = self.peek()
        if match := _DERIVATIVE.match(self.text, self.place):
            self.place = match.end()
            return self._product().diff(self.names[match[1]])
        if (value := self._name()) is not None:
            return value
        if token[:1].isdigit():
            return Rational(self.take())
        if token in _HEADS:
            return self._headed(token)
        if token in (*_CLOSING, "|") and token != "{":
            return self._bracketed(token)
        if token == r"\pi":
            self.take()
            return pi
        if token == "e" and self.text[self.place + 1 :].lstrip().startswith("^"):
            self.take()
            self.take("^")
            return exp(self._group())
        if re.fullmatch(r"[A-Za-z]|\\[A-Za-z]+", token) and token not in _WORDS:
            self.take()
            return self._any(token)
        raise NotationError(f"unknown: {self.text[self.place :]!r}")

    def _headed(self, token: str) -> Expr:
        """Read a fraction, a root, a sum, a product, or a function."""
        if token in (r"\frac", r"\tfrac"):
            self.take()
            return self._group() / self._group()
        if token == r"\sqrt":
            self.take()
            return sqrt(self._group())
        if token in (r"\sum", r"\prod"):
            return self._ranged()
        if token in _FUNCTIONS:
            self.take()
            if self.peek() == "(":
                return _FUNCTIONS[token](*self._between("("))
            return _FUNCTIONS[token](self._product())
        raise NotationError(f"unknown: {token}")

    def _bracketed(self, token: str) -> Expr:
        """Read a bracket, a size, a rounding, or Iverson's [a = b]."""
        if token == "(":
            (inside,) = self._between("(")
            return inside
        if token == "|":
            self.take()
            self.bars.append(True)
            inside = self._sum()
            self.bars.pop()
            self.take("|")
            return Abs(inside)
        if token in (r"\lceil", r"\lfloor"):
            return (ceiling if token == r"\lceil" else floor)(*self._between(token))
        if token == "[":
            self.take()
            left = self._sum()
            self.take("=")
            right = self._sum()
            self.take("]")
            return KroneckerDelta(left, right)
        raise NotationError(f"unknown bracket {token}")

    def _any(self, name: str) -> Expr:
        """Read a name that may mean anything, with its subscript."""
        while self.text[self.place : self.place + 1] == "'":
            name += self.take()
        symbol = Symbol(name)
        if self.text[self.place : self.place + 1] != "_":
            return symbol
        return self._applied(Function(name), name)

    def _name(self) -> Expr | None:
        """Read the longest name that is known, and its arguments."""
        rest = self.text[self.place :]
        for end in sorted(self.ends(rest), reverse=True):
            key = plain(rest[:end])
            value = self.names.get(key)
            if value is None or isinstance(value, tuple):
                continue
            # A symbol with a subscript is another, and so is one with a prime.
            if _is_value(value) and re.match(r"_(?!\+)|'", rest[end:]):
                continue
            self.place += end
            return self._applied(value, key)
        return None

    def _applied(self, value: object, name: str = "") -> Expr:
        if not callable(value) or _is_value(value):
            return sympify(value)
        arguments: list[Expr] = []
        if self.peek() == "_":
            self.take()
            if self.peek() == "{":
                arguments += self._between("{")
            else:
                arguments.append(self._group())
        # After subscripts and a space a bracket is a factor.
        if self.text[self.place : self.place + 1] == "(" or (
            not arguments and self.peek() == "("
        ):
            arguments += self._between("(")
        if not arguments:
            return Symbol(name)
        try:
            return sympify(value(*arguments))
        except TypeError as error:
            raise NotationError(f"{name}: {error}") from error

    def _ranged(self) -> Expr:
        start = self.place
        kind = Sum if self.take() == r"\sum" else Product
        for end in sorted(self.ends(self.text[start:]), reverse=True):
            key = plain(self.text[start : start + end])
            if isinstance(self.names.get(key), tuple):
                self.place = start + end
                limits = self.names[key]
                break
        else:
            limits = (self._limit(),)
        before = dict(self.names)
        limits = limits if isinstance(limits[0], tuple) else (limits,)
        self.names.update({plain(latex(index)): index for index, *_ in limits})
        body = self._product()
        self.names = before
        return kind(body, *limits)

    def _limit(self) -> tuple[Symbol, Expr, Expr]:
        self.take("_")
        self.take("{")
        rest = self.text[self.place :]
        head, equals, _ = rest.partition("=")
        if not equals or "}" in head:
            raise NotationError(f"no range: {rest!r}")
        self.place += len(head) + 1
        low = self._sum()
        self.take("}")
        self.take("^")
        high = self._group()
        known = self.names.get(plain(head))
        index = (
            known if isinstance(known, Symbol) else Symbol(plain(head), integer=True)
        )
        return index, low, high


def _is_value(meaning: object) -> bool:
    return isinstance(meaning, Expr) and not isinstance(meaning, Lambda)
