"""A whole number is what an expression rounds to."""

from dataclasses import dataclass

from sympy import Dummy, Expr, ceiling, floor, solve

from proofs.engine.equality import Equal
from proofs.engine.printing import latex
from proofs.engine.ranges import UnsoundError, sound
from proofs.engine.signs import Nonnegative, Positive
from proofs.engine.verdict import Verdict


@dataclass(frozen=True)
class Rounded:
    """An expression with one floor or ceiling in it is equal to another.

    What the floor would have to be is solved for; it is the floor if it is a whole
    number, no more than what is rounded, and less than one below it.

    Attributes:
        left: With one floor or ceiling.
        right: Without any.

    Example:
        >>> from sympy import symbols
        >>> a, c, e = symbols("a c e", integer=True, nonnegative=True)
        >>> Rounded(floor(a + c / (c + e + 1)), a).decide().proved
        True
        >>> Rounded(ceiling(a + c / (c + e + 1)), a).decide().refuted
        True
    """

    left: Expr
    right: Expr

    def decide(self) -> Verdict:
        """Solve for the rounded number and bracket what is rounded.

        Returns:
            Proved if sympy's assumptions show the brackets; refuted if some numbers
            tell the two sides apart.
        """
        try:
            left, right = sound(self.left), sound(self.right)
        except UnsoundError as error:
            return Verdict.open(str(error))
        rounded = left.atoms(floor, ceiling)
        if len(rounded) != 1:
            return Equal(self.left, self.right).decide()
        (found,) = rounded
        unknown = Dummy(integer=True)
        solutions = solve(left.xreplace({found: unknown}) - right, unknown)
        if len(solutions) == 1 and _is_rounded(found, solutions[0]):
            return Verdict.proof("a whole number between the bounds of the rounding")
        verdict = Equal(self.left, self.right).decide()
        return verdict if verdict.refuted else Verdict.open("the rounding is not known")

    def latex(self) -> str:
        """Return an equation.

        Returns:
            LaTeX.
        """
        return f"{latex(self.left)} = {latex(self.right)}"


def _is_rounded(found: Expr, number: Expr) -> bool:
    """Whether a number is what a floor or a ceiling rounds its argument to."""
    (inside,) = found.args
    cut = inside - number if isinstance(found, floor) else number - inside
    return bool(
        number.is_integer
        and inside.is_real
        and Nonnegative(cut).decide().proved
        and Positive(1 - cut).decide().proved
    )
