"""The limit of an expression."""

from dataclasses import dataclass

from sympy import Add, Basic, Expr, Limit, Symbol, limit, oo, sympify

from proofs.engine.equality import Equal
from proofs.engine.leading_terms import UnknownLimitError, limit_with_parameters
from proofs.engine.printing import latex
from proofs.engine.ranges import UnsoundError, sound
from proofs.engine.verdict import Verdict


@dataclass(frozen=True)
class Tends:
    """An expression has a limit.

    Attributes:
        expression: What tends.
        variable: The variable that moves.
        to: Where to.
        value: The limit.
    """

    expression: Expr
    variable: Symbol
    to: Expr
    value: Expr

    def decide(self) -> Verdict:
        """Compute the limit: by leading terms if there are parameters, else Gruntz.

        Returns:
            Proved if it is the value; refuted if it is another.
        """
        try:
            outcome = self._from_all_sides()
        except (NotImplementedError, UnknownLimitError, UnsoundError) as error:
            return Verdict.open(str(error))
        if outcome.has(Limit):
            return Verdict.open(f"no limit found: {outcome}")
        if outcome in (oo, -oo) or self.value in (oo, -oo):
            same = outcome == self.value
            return (
                Verdict.proof("limit computed")
                if same
                else Verdict.refutation(f"the limit is {outcome}")
            )
        verdict = Equal(outcome, self.value).decide()
        if verdict.refuted:
            return Verdict.refutation(f"the limit is {outcome}")
        return Verdict.proof("limit computed") if verdict.proved else verdict

    def _from_all_sides(self) -> Expr:
        """Return the limit, taken where the variable can be; open if it has two."""
        to = sympify(self.to)
        positive = to == 0 and self.variable.is_nonnegative
        sides = "-" if to is oo else "+" if positive or to is -oo else "+-"
        if self.variable.is_nonnegative and not (positive or to.is_extended_positive):
            raise UnsoundError(f"{self.variable} does not come close to {to}")
        if self.variable.is_nonpositive and not to.is_extended_nonpositive:
            raise UnsoundError(f"{self.variable} does not come close to {to}")
        outcome, *others = (
            self._from(sound(self.expression), to, side) for side in sides
        )
        if any(other != outcome for other in others):
            raise NotImplementedError("the two sides have different limits")
        return outcome

    def _from(self, expression: Expr, to: Expr, side: str) -> Expr:
        if expression.free_symbols <= {self.variable}:
            return limit(expression, self.variable, to, side)
        return limit_with_parameters(expression, self.variable, to, side)

    def arrow(self) -> str:
        """Return what moves, and where to.

        Returns:
            LaTeX.
        """
        return rf"\lim_{{{latex(self.variable)} \to {latex(self.to)}}}"

    def latex(self) -> str:
        """Return a limit and its value.

        Returns:
            LaTeX.
        """
        return rf"{self.arrow()} {_wrapped(self.expression)} = {latex(self.value)}"


def _wrapped(expression: Basic) -> str:
    text = latex(expression)
    return rf"\left({text}\right)" if isinstance(expression, Add) else text
