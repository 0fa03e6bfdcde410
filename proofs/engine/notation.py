r"""Formulas in the notation of a paper, read back into what they say.

A name is what the claim beside the formula means by that name; ``where`` says it for
all others.
"""

import re
from typing import Any

from sympy import Basic, Symbol, latex
from sympy.core.function import AppliedUndef

from proofs.engine.reader import Reader, Relation
from proofs.engine.tokens import Names, plain

_APART = re.compile(
    r",?\s*(?:\\q?quad(?![a-zA-Z])\s*)+(?:\\text\{\w+\}\s*(?:\\q?quad\s*)+)?"
)
_CONDITION = re.compile(r"\(.*(?:<|>|=|\\to|\\[lg]e).*\)")
_GROUP = r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[A-Za-z0-9+])"


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
            names[plain(latex(symbol))] = symbol
        for applied in expression.atoms(AppliedUndef):
            name = latex(Symbol(applied.func.__name__))
            names[plain(name)] = applied.func
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
    names = {plain(name): value for name, value in names.items()}
    chains = []
    for piece in reversed(pieces(formula)[0]):
        name, _, meaning = piece.partition("=")
        name = plain(name)
        if re.fullmatch(rf"(?:\\[A-Za-z]+|[A-Za-z])(?:_{_GROUP})?", name) and (
            name not in names
        ):
            reader = Reader(meaning, names)
            names[name] = reader.defined()
            continue
        chains.append(Reader(piece, names).chain())
    return chains[::-1]
