"""Two expressions in n are the same for every n."""

from dataclasses import dataclass

from sympy import Expr, Integer, S, Symbol, fraction, together

from proofs.engine.equality import Equal
from proofs.engine.printing import latex
from proofs.engine.ranges import UnsoundError, check_assumptions, integer_from, sound
from proofs.engine.sums import difference_is_zero, normal, peeled
from proofs.engine.verdict import Verdict

_SMALL = range(4)


@dataclass(frozen=True)
class ByInduction:
    """Two expressions in n are equal for every n from a first one on.

    Attributes:
        left: An expression with sums up to n, or n plus a number.
        right: Another.
        variable: n, an integer symbol.
        start: The first n.
        multiplier: What left − right is multiplied by from n to n + 1.
    """

    left: Expr
    right: Expr
    variable: Symbol
    start: int = 0
    multiplier: Expr = S.One

    def decide(self) -> Verdict:
        """Decide the first case, and that both grow alike from n to n + 1.

        Returns:
            Proved if both steps are; refuted if a small n tells the two apart.
        """
        start = Integer(self.start)
        past = integer_from(S.Zero, self.variable.name)
        try:
            check_assumptions(self.variable, integer_from(start), f"from {start} on")
            left, right, multiplier = (
                sound(part, {self.variable: start + past})
                for part in (self.left, self.right, S(self.multiplier))
            )
        except UnsoundError as error:
            return Verdict.open(str(error))
        return self._decided(left, right, multiplier, past)

    def _decided(
        self, left: Expr, right: Expr, multiplier: Expr, past: Symbol
    ) -> Verdict:
        """Decide by induction on how far n is past the first one."""
        cases = [Equal(_at(left, past, n), _at(right, past, n)) for n in _SMALL]
        if not cases[0].decide().proved:
            return self._refuted(cases) or Verdict.open(
                f"the case n = {self.start} is open"
            )
        if not fraction(together(multiplier))[1].is_nonzero:
            return Verdict.open("the multiplier may have a pole")
        gap = left - right
        try:
            growth = peeled(left, past) - peeled(right, past)
        except ValueError as error:
            return self._refuted(cases) or Verdict.open(str(error))
        # With the hypothesis that the gap is zero at n, it is zero at n + 1.
        if difference_is_zero(growth, multiplier * gap):
            return Verdict.proof("induction: first case and step")
        return self._refuted(cases) or Verdict.open(
            f"the step leaves {normal(growth - gap)}"
        )

    def _refuted(self, cases: list[Equal]) -> Verdict | None:
        for value, case in enumerate(cases):
            verdict = case.decide()
            if verdict.refuted:
                return Verdict.refutation(
                    f"n = {self.start + value}, {verdict.evidence}"
                )
        return None

    def latex(self) -> str:
        """Return an equation and its range.

        Returns:
            LaTeX.
        """
        where = rf"{latex(self.variable)} \ge {self.start}"
        return rf"{latex(self.left)} = {latex(self.right)} \quad ({where})"


def _at(side: Expr, past: Symbol, value: int) -> Expr:
    return side.subs(past, value).doit()
