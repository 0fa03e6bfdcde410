"""Two expressions in n are the same for every n."""

from dataclasses import dataclass

from sympy import Dummy, Expr, S, Symbol, fraction, latex, together

from proofs.engine.equality import Equal
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
        first = Equal(*(self._at(side, self.start) for side in (self.left, self.right)))
        if not first.decide().proved:
            return self._refuted() or Verdict.open(f"the case n = {self.start} is open")
        beyond = self.start + Dummy(integer=True, nonnegative=True)
        divisor = fraction(together(self.multiplier))[1].subs(self.variable, beyond)
        if not divisor.is_nonzero:
            return Verdict.open("the multiplier may have a pole")
        gap = self.left - self.right
        try:
            grown = peeled(self.left, self.variable) - peeled(self.right, self.variable)
        except ValueError as error:
            return self._refuted() or Verdict.open(str(error))
        # With the hypothesis that the gap is zero at n, it is zero at n + 1.
        if difference_is_zero(grown, self.multiplier * gap):
            return Verdict.proof("induction: first case and step")
        return self._refuted() or Verdict.open(f"the step leaves {normal(grown - gap)}")

    def _at(self, side: Expr, value: int) -> Expr:
        return side.subs(self.variable, value).doit()

    def _refuted(self) -> Verdict | None:
        for value in _SMALL:
            case = Equal(
                *(self._at(s, self.start + value) for s in (self.left, self.right))
            )
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
