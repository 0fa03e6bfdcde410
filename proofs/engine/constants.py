"""Two constants compared, in interval arithmetic, rounded outward."""

from dataclasses import dataclass

from mpmath import iv
from sympy import (
    Add,
    Dummy,
    E,
    Expr,
    Float,
    Mul,
    Number,
    NumberSymbol,
    Pow,
    Rational,
    cos,
    exp,
    lambdify,
    log,
    pi,
    preorder_traversal,
)
from sympy.core.function import AppliedUndef

from proofs.engine.printing import latex
from proofs.engine.verdict import Verdict

_DIGITS = 60


@dataclass(frozen=True)
class Below:
    """A constant is less than another.

    Attributes:
        left: Without symbols.
        right: Without symbols.
    """

    left: Expr
    right: Expr

    def decide(self) -> Verdict:
        """Compare in interval arithmetic, rounded outward.

        Returns:
            Proved or refuted where the intervals are apart.
        """
        sides = self.left, self.right
        if any(side.free_symbols or side.atoms(AppliedUndef) for side in sides):
            return Verdict.open("these are no constants")
        if not all(side.is_real and _is_enclosable(side) for side in sides):
            return Verdict.open("these are no real numbers that intervals can enclose")
        before, iv.dps = iv.dps, _DIGITS
        try:
            low, high = map(_enclosed, sides)
        finally:
            iv.dps = before
        if low.b < high.a:
            return Verdict.proof(f"intervals of {_DIGITS} digits are apart")
        if low.a >= high.b:
            return Verdict.refutation(
                f"{self.left.n(8)} is not below {self.right.n(8)}"
            )
        return Verdict.open("the intervals overlap")

    def latex(self) -> str:
        """Return an inequality.

        Returns:
            LaTeX.
        """
        return f"{latex(self.left)} < {latex(self.right)}"


def _is_enclosable(constant: Expr) -> bool:
    known = (Add, Mul, Pow, exp, log, cos, Number, NumberSymbol)
    return all(isinstance(part, known) for part in preorder_traversal(constant))


def _enclosed(constant: Expr) -> "iv.mpf":
    """Return an interval that holds a constant.

    Fractions inside become intervals too: Python would round them to floats.

    Example:
        >>> from sympy import Rational, log
        >>> Below(log(2) - Rational(1, 10), log(2) - Rational(0.1)).decide().refuted
        True
    """
    if constant in (E, pi):
        return iv.e if constant is E else iv.pi
    if constant.is_Float:
        constant = Rational(constant)  # what it is in binary
    if constant.is_Rational:
        return iv.mpf(int(constant.p)) / int(constant.q)
    fractions = [part for part in constant.atoms(Rational) if not part.is_Integer]
    fractions += constant.atoms(NumberSymbol, Float)
    names = [Dummy() for _ in fractions]
    evaluated = lambdify(
        names,
        constant.xreplace(dict(zip(fractions, names, strict=True))),
        [{"log": iv.log, "exp": iv.exp, "sqrt": iv.sqrt, "cos": iv.cos}],
    )
    return evaluated(*map(_enclosed, fractions))
