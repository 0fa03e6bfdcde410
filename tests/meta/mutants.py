"""Formulas edited by one sign, factor or index."""

from collections.abc import Iterator

from sympy import Add, Basic, Expr, Integer, Pow, Sum, Symbol
from sympy.core.function import AppliedUndef

Path = tuple[int, ...]


def mutants(expression: Expr) -> Iterator[tuple[str, Expr]]:
    """Yield what one edit makes of a formula, with the edit in words.

    Every term of every sum has its sign flipped and its size doubled, every whole
    number and every integer symbol is moved by one; one place at a time.
    """
    for path, part in _parts(expression):
        for edit, changed in _edits(part):
            mutant = _replaced(expression, path, changed)
            if mutant != expression:
                yield f"{edit} in {part}", mutant


def _edits(part: Basic) -> Iterator[tuple[str, Basic]]:
    if isinstance(part, Add):
        for term in part.args:
            yield f"sign of {term}", part - 2 * term
            yield f"factor of {term}", part + term
    elif isinstance(part, Integer):
        yield f"{part + 1} for {part}", part + 1
    elif isinstance(part, Symbol) and part.is_integer:
        yield f"{part} + 1 for {part}", part + 1
    elif isinstance(part, Pow | AppliedUndef | Symbol):
        yield f"factor of {part}", 2 * part
    if isinstance(part, Expr) and not part.is_Number:
        yield "sign", -part


def _parts(expression: Basic, path: Path = ()) -> Iterator[tuple[Path, Basic]]:
    yield path, expression
    # Bounds and indices of sums are names, not numbers to be edited.
    places = range(1) if isinstance(expression, Sum) else range(len(expression.args))
    for place in places:
        yield from _parts(expression.args[place], (*path, place))


def _replaced(expression: Basic, path: Path, part: Basic) -> Basic:
    if not path:
        return part
    place, *rest = path
    arguments = list(expression.args)
    arguments[place] = _replaced(arguments[place], tuple(rest), part)
    return expression.func(*arguments)
