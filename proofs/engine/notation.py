r"""Formulas in the notation of a paper, read back into what they say.

What is written by hand is read as mathematics: sums with their ranges, fractions,
powers, sizes, brackets, Iverson's [a = b], functions with arguments or subscripts. A
name is what the claim beside it means by that name; ``where`` says it for all others.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Abs,
    Basic,
    Expr,
    Function,
    Integer,
    KroneckerDelta,
    Lambda,
    Max,
    Min,
    Product,
    Rational,
    S,
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
from sympy.core.function import AppliedUndef

Names = Mapping[str, Any]

_SPACE = re.compile(r"(?:\\[,;:! ]|\\q?quad(?![a-zA-Z])|\s|~)+")
_APART = re.compile(
    r",?\s*(?:\\q?quad(?![a-zA-Z])\s*)+(?:\\text\{\w+\}\s*(?:\\q?quad\s*)+)?"
)
_CONDITION = re.compile(r"\(.*(?:<|>|=|\\to|\\[lg]e).*\)")
_SIZE = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\s*")
_RELATIONS = {"=": "=", "<": "<", ">": ">", r"\ge": ">=", r"\le": "<="}
_TOKEN = re.compile(
    r"\\(?:mathrm|operatorname|text)\{[^{}]*\}|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|."
)
_GROUP = r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[A-Za-z0-9+])"
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


class NotationError(ValueError):
    """A formula that cannot be read."""


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


def names_of(*expressions: Basic) -> dict[str, Any]:
    """Return what expressions call their symbols and functions.

    Args:
        expressions: Any.

    Returns:
        Symbols and functions by their names in LaTeX.
    """
    names: dict[str, Any] = {}
    for expression in expressions:
        for symbol in expression.atoms(Symbol):
            names[_plain(latex(symbol))] = symbol
        for applied in expression.atoms(AppliedUndef):
            name = latex(Symbol(applied.func.__name__))
            names[_plain(name)] = applied.func
    return names


def pieces(formula: str) -> tuple[list[str], list[str]]:
    r"""Take a formula apart.

    Args:
        formula: In LaTeX.

    Returns:
        Its chains of relations, and the conditions in brackets that follow them.

    Example:
        >>> pieces(r"x = 1, \quad y > 0 \quad (z > 0)")
        (['x = 1', 'y > 0'], ['(z > 0)'])
    """
    parts = [part.strip() for part in _APART.split(formula)]
    conditions = [part for part in parts[1:] if _CONDITION.fullmatch(part)]
    return [part for part in parts if part and part not in conditions], conditions


def read(formula: str, names: Names) -> list[list[Relation]]:
    r"""Read a formula.

    Args:
        formula: Chains of relations, in LaTeX, separated by commas and wide spaces.
            A chain that begins with a name of its own defines it for the others.
        names: What names mean: a symbol, an expression, a function, or the range
            ``(index, low, high)`` of a sum that is written without one.

    Returns:
        The chains.

    Raises:
        NotationError: If something in it is not known.

    Example:
        >>> from sympy.abc import x, y
        >>> (relation,), = read(r"\frac{(x + y)^2}{2} = x\,y", {"x": x, "y": y})
        >>> relation.left, relation.right
        ((x + y)**2/2, x*y)
    """
    names = {_plain(name): value for name, value in names.items()}
    chains = []
    for piece in reversed(pieces(formula)[0]):
        name, _, meaning = piece.partition("=")
        name = _plain(name)
        if re.fullmatch(rf"(?:\\[A-Za-z]+|[A-Za-z])(?:_{_GROUP})?", name) and (
            name not in names
        ):
            reader = _Reader(meaning, names)
            names[name] = reader.defined()
            continue
        chains.append(_Reader(piece, names).chain())
    return chains[::-1]


def _plain(text: str) -> str:
    text = _SIZE.sub("", text)
    text = re.sub(r"\s+", "", _SPACE.sub(" ", text).strip())
    return re.sub(r"_\{(\w|\\[A-Za-z]+)\}", r"_\1", text)


class _Reader:
    """Reads one chain from left to right."""

    def __init__(self, text: str, names: Names) -> None:
        self.text = _SIZE.sub("", text)
        self.names = dict(names)
        self.place = 0
        self.bars = [False]  # whether a bar closes what is read, outermost first

    def peek(self) -> str:
        if space := _SPACE.match(self.text, self.place):
            self.place = space.end()
        token = _TOKEN.match(self.text, self.place)
        return token[0] if token else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if expected and token != expected:
            raise NotationError(f"{expected} instead of {self.text[self.place :]!r}")
        self.place += len(token)
        return token

    def chain(self) -> list[Relation]:
        left = self.sum()
        relations = []
        while (token := self.peek()) in _RELATIONS:
            self.take()
            right = self.sum()
            relations.append(Relation(left, _RELATIONS[token], right))
            left = right
        if self.peek() or not relations:
            raise NotationError(f"no relation: {self.text[self.place :]!r}")
        return relations

    def defined(self) -> Expr:
        value = self.sum()
        while self.peek() == "=":
            self.take()
            value = self.sum()
        if self.peek():
            raise NotationError(f"no definition: {self.text[self.place :]!r}")
        return value

    def sum(self) -> Expr:
        total = S.Zero
        sign = 1
        if self.peek() in ("-", "+"):
            sign = -1 if self.take() == "-" else 1
        while True:
            total += sign * self.product()
            if self.peek() not in ("-", "+"):
                return total
            sign = -1 if self.take() == "-" else 1

    def product(self) -> Expr:
        whole = self.power()
        while True:
            token = self.peek()
            if token in (r"\cdot", r"\times"):
                self.take()
                whole = whole * self.power()
            elif token == "/":
                self.take()
                whole = whole / self.power()
            elif self.begins_factor(token):
                whole = whole * self.power()
            else:
                return whole

    def begins_factor(self, token: str) -> bool:
        ends = {"", "+", "-", ",", ")", "}", "]", "/", r"\rceil", r"\rfloor"}
        if token == "|" and self.bars[-1]:
            return False
        return token not in ends | _RELATIONS.keys()

    def power(self) -> Expr:
        base = self.atom()
        while self.peek() in ("^", "_"):
            if self.take() == "_":
                self.take("+")
                base = Max(base, 0)
            else:
                base = base ** self.group()
        return base

    def group(self) -> Expr:
        if self.peek() == "{":
            return self.between("{")[0]
        token = self.peek()
        if token.isdigit():  # one digit without braces
            self.place += 1
            return Integer(token[0])
        return self.atom()

    def between(self, opening: str) -> list[Expr]:
        self.take(opening)
        self.bars.append(False)
        parts = [self.sum()]
        while self.peek() == ",":
            self.take()
            parts.append(self.sum())
        self.bars.pop()
        self.take(_CLOSING[opening])
        return parts

    def atom(self) -> Expr:
        token = self.peek()
        if match := _DERIVATIVE.match(self.text, self.place):
            self.place = match.end()
            return self.product().diff(self.names[match[1]])
        if (value := self.name()) is not None:
            return value
        if token[:1].isdigit():
            return Rational(self.take())
        if token in _HEADS:
            return self.headed(token)
        if token in (*_CLOSING, "|") and token != "{":
            return self.bracketed(token)
        if token == r"\pi":
            self.take()
            return pi
        if token == "e" and self.text[self.place + 1 :].lstrip().startswith("^"):
            self.take()
            self.take("^")
            return exp(self.group())
        if re.fullmatch(r"[A-Za-z]|\\[A-Za-z]+", token) and token not in _WORDS:
            self.take()
            return self.any(token)
        raise NotationError(f"unknown: {self.text[self.place :]!r}")

    def headed(self, token: str) -> Expr:
        """Read a fraction, a root, a sum, a product, or a function."""
        if token in (r"\frac", r"\tfrac"):
            self.take()
            return self.group() / self.group()
        if token == r"\sqrt":
            self.take()
            return sqrt(self.group())
        if token in (r"\sum", r"\prod"):
            return self.ranged()
        if token in _FUNCTIONS:
            self.take()
            if self.peek() == "(":
                return _FUNCTIONS[token](*self.between("("))
            return _FUNCTIONS[token](self.product())
        raise NotationError(f"unknown: {token}")

    def bracketed(self, token: str) -> Expr:
        """Read a bracket, a size, a rounding, or Iverson's [a = b]."""
        if token == "(":
            (inside,) = self.between("(")
            return inside
        if token == "|":
            self.take()
            self.bars.append(True)
            inside = self.sum()
            self.bars.pop()
            self.take("|")
            return Abs(inside)
        if token in (r"\lceil", r"\lfloor"):
            return (ceiling if token == r"\lceil" else floor)(*self.between(token))
        if token == "[":
            self.take()
            left = self.sum()
            self.take("=")
            right = self.sum()
            self.take("]")
            return KroneckerDelta(left, right)
        raise NotationError(f"unknown bracket {token}")

    def any(self, name: str) -> Expr:
        """Read a name that may mean anything, with its subscript."""
        while self.text[self.place : self.place + 1] == "'":
            name += self.take()
        symbol = Symbol(name)
        if self.text[self.place : self.place + 1] != "_":
            return symbol
        return self.applied(Function(name), name)

    def name(self) -> Expr | None:
        """Read the longest name that is known, and its arguments."""
        rest = self.text[self.place :]
        for end in sorted(self.ends(rest), reverse=True):
            key = _plain(rest[:end])
            value = self.names.get(key)
            if value is None or isinstance(value, tuple):
                continue
            # A symbol with a subscript is another, and so is one with a prime.
            if isinstance(value, Expr) and re.match(r"_(?!\+)|'", rest[end:]):
                continue
            self.place += end
            return self.applied(value, key)
        return None

    def ends(self, rest: str) -> list[int]:
        """Return where a name may end: it stops neither in a word nor in a group."""
        found = []
        depth = 0
        position = 0
        while position < min(len(rest), 120):
            token = _TOKEN.match(rest, position)
            if token is None:
                break
            position = token.end()
            depth += (token[0] in "{(") - (token[0] in "})")
            if depth < 0:
                break
            if depth == 0:
                found.append(position)
        return found

    def applied(self, value: object, name: str = "") -> Expr:
        if not callable(value) or (
            isinstance(value, Expr) and not isinstance(value, Lambda)
        ):
            return sympify(value)
        arguments: list[Expr] = []
        if self.peek() == "_":
            self.take()
            if self.peek() == "{":
                arguments += self.between("{")
            else:
                arguments.append(self.group())
        if self.peek() == "(":
            arguments += self.between("(")
        if not arguments:
            return Symbol(name)
        try:
            return sympify(value(*arguments))
        except TypeError as error:
            raise NotationError(f"{name}: {error}") from error

    def ranged(self) -> Expr:
        start = self.place
        kind = Sum if self.take() == r"\sum" else Product
        for end in sorted(self.ends(self.text[start:]), reverse=True):
            key = _plain(self.text[start : start + end])
            if isinstance(self.names.get(key), tuple):
                self.place = start + end
                limits = self.names[key]
                break
        else:
            limits = (self.limit(),)
        before = dict(self.names)
        limits = limits if isinstance(limits[0], tuple) else (limits,)
        self.names.update({_plain(latex(index)): index for index, *_ in limits})
        body = self.product()
        self.names = before
        return kind(body, *limits)

    def limit(self) -> tuple[Symbol, Expr, Expr]:
        self.take("_")
        self.take("{")
        rest = self.text[self.place :]
        head, equals, _ = rest.partition("=")
        if not equals or "}" in head:
            raise NotationError(f"no range: {rest!r}")
        self.place += len(head) + 1
        low = self.sum()
        self.take("}")
        self.take("^")
        high = self.group()
        known = self.names.get(_plain(head))
        index = (
            known if isinstance(known, Symbol) else Symbol(_plain(head), integer=True)
        )
        return index, low, high
