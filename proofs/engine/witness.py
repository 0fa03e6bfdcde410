"""Counter-examples: numbers at which a claim is false."""

from collections.abc import Callable, Iterator
from random import Random

from sympy import Basic, Expr, Integer, Rational, Sum, Symbol, srepr
from sympy.core.function import AppliedUndef

_TRIES = 60
_NUMBERS = (
    *map(Integer, (2, 3, 1, 5, 0, -1, -2, 4)),
    *(Rational(*pair) for pair in ((1, 2), (1, 3), (-1, 2), (3, 4), (5, 2))),
)
_FACTS = ("integer", "positive", "negative", "nonnegative", "nonzero", "zero", "even")


def counter_example(
    expression: Expr, wrong: Callable[[Expr], bool | None]
) -> str | None:
    """Search for values at which an expression is what it ought not to be.

    Args:
        expression: With symbols, functions that stand for any sequence, and sums.
        wrong: Whether a number contradicts the claim.

    Returns:
        The values in words; ``None`` if none was found.
    """
    free = sorted(expression.free_symbols, key=srepr)
    for values in _assignments(free, seed=0):
        evaluation = _evaluated(expression, values)
        if evaluation is not None and wrong(evaluation[0]):
            value, assignment = evaluation
            where = ", ".join(
                f"{name} = {number}" for name, number in assignment.items()
            )
            return f"{where or 'always'}: {value.n(6)}"
    return None


def _evaluated(
    expression: Expr, values: dict[Basic, Expr]
) -> tuple[Expr, dict[Basic, Expr]] | None:
    """Put numbers in; return the value and all that was put in."""
    assignment = dict(values)
    number = expression.subs(values).doit()
    unknown = sorted(number.atoms(AppliedUndef), key=srepr)
    for place, function in enumerate(unknown):
        fitting = [n for n in _NUMBERS if _suits(function, n)]
        if not fitting:
            return None
        assignment[function] = fitting[(3 * place + 1) % len(fitting)]
    number = number.subs(assignment).doit()
    if number.free_symbols or number.atoms(AppliedUndef) or number.has(Sum):
        return None
    if not number.is_finite:
        return None
    return number, assignment


def _assignments(free: list[Symbol], seed: int) -> Iterator[dict[Basic, Expr]]:
    random = Random(seed)
    fitting = {symbol: [n for n in _NUMBERS if _suits(symbol, n)] for symbol in free}
    if all(fitting.values()):
        yield {symbol: numbers[0] for symbol, numbers in fitting.items()}
        for _ in range(_TRIES if free else 0):
            yield {
                symbol: random.choice(numbers) for symbol, numbers in fitting.items()
            }


def _suits(symbol: Basic, number: Expr) -> bool:
    """Whether a number has all the properties that are assumed of a symbol."""
    return all(
        getattr(symbol, f"is_{fact}") in (None, getattr(number, f"is_{fact}"))
        for fact in _FACTS
    )
