r"""LaTeX as a paper would have it, where sympy's has its own habits."""

import re
from collections.abc import Sequence

from sympy import Add, Basic, Expr, Sum, Symbol
from sympy.core.function import AppliedUndef
from sympy.matrices import MatrixBase
from sympy.printing.latex import LatexPrinter


def latex(expression: Basic | MatrixBase | int) -> str:
    r"""Print a formula.

    Functions of whole numbers have their arguments as subscripts, a sum over several
    indices has one sign for each, and a sum of terms begins with a positive one.

    Args:
        expression: Any.

    Returns:
        LaTeX.

    Example:
        >>> from sympy import Function, KroneckerDelta
        >>> i, j, x = Symbol("i", integer=True), Symbol("j", integer=True), Symbol("x")
        >>> W, f = Function("W"), Function("f")
        >>> latex(Sum(W(i, j) ** 2, (j, 1, i), (i, 0, 3)))
        '\\sum_{i=0}^{3} \\sum_{j=1}^{i} W_{i,j}^{2}'
        >>> latex(x - Symbol("a")), latex(f(x) * KroneckerDelta(i, j))
        ('x - a', 'f\\left(x\\right) [i = j]')
    """
    return str(_Printer().doprint(expression))


class _Printer(LatexPrinter):  # type: ignore[misc]
    def _print_AppliedUndef(self, expr: AppliedUndef, exp: str | None = None) -> str:
        name = self._print(Symbol(expr.func.__name__))
        arguments = ",".join(
            re.sub("^- ", "-", self._print(argument)) for argument in expr.args
        )
        if "_" not in name and all(part.is_integer for part in expr.args):
            name, prime, _ = re.split("('*)$", name, maxsplit=1)
            text = f"{name}{prime}_{{{arguments}}}"
        else:
            text = rf"{name}\left({arguments}\right)"
        return text if exp is None else f"{text}^{{{exp}}}"

    def _print_Sum(self, expr: Sum) -> str:
        signs = (
            f"\\sum_{{{self._print(i)}={self._print(low)}}}^{{{self._print(high)}}}"
            for i, low, high in reversed(expr.limits)
        )
        term = self._print(expr.function)
        if isinstance(expr.function, Add):
            term = rf"\left({term}\right)"
        return " ".join((*signs, term))

    def _print_KroneckerDelta(self, expr: Expr, exp: str | None = None) -> str:
        text = f"[{self._print(expr.args[0])} = {self._print(expr.args[1])}]"
        return text if exp is None else f"{text}^{{{exp}}}"

    def _as_ordered_terms(self, expr: Add, order: str | None = None) -> Sequence[Expr]:
        terms = list(super()._as_ordered_terms(expr, order=order))
        positive = (t for t in terms if not t.could_extract_minus_sign())
        first = next(positive, terms[0])
        terms.remove(first)
        return [first, *terms]
