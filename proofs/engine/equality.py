"""Two expressions are the same: one normal form."""

from dataclasses import dataclass

from sympy import Expr, simplify
from sympy.matrices import MatrixBase

from proofs.engine.printing import latex
from proofs.engine.ranges import UnsoundError, sound
from proofs.engine.sums import difference_is_zero, normal
from proofs.engine.verdict import Verdict
from proofs.engine.witness import counter_example


@dataclass(frozen=True)
class Equal:
    """Two expressions, or matrices, are the same wherever both are defined.

    Attributes:
        left: An expression or a matrix.
        right: Another of the same kind.

    Example:
        >>> from sympy.abc import x, y
        >>> Equal((x + y) ** 2, x**2 + 2 * x * y + y**2).decide().proved
        True
        >>> Equal((x + y) ** 2, x**2 + y**2).decide().evidence
        'x = 2, y = 2: 8.00000'

        What is zero up to rounding refutes nothing, as here at x = y:

        >>> from sympy import exp
        >>> Equal(1 / (1 + exp(-x)), exp(y) / (1 + exp(y))).decide().evidence
        'x = -2, y = 5/2: -0.804939'
    """

    left: Expr | MatrixBase
    right: Expr | MatrixBase

    def decide(self) -> Verdict:
        """Compare normal forms.

        Returns:
            Proved if they agree; refuted if some numbers tell the two apart.
        """
        if isinstance(self.left, MatrixBase) or isinstance(self.right, MatrixBase):
            return self._entries()
        try:
            left, right = sound(self.left), sound(self.right)
        except UnsoundError as error:
            return Verdict.open(str(error))
        gap = left - right
        if gap == 0 or difference_is_zero(left, right):
            return Verdict.proof("one normal form")
        # Before the slow search for a simpler form.
        if found := counter_example(gap, _is_not_zero):
            return Verdict.refutation(found)
        # What simplifies sums takes all factors to commute.
        if gap.is_commutative and simplify(normal(gap)) == 0:
            return Verdict.proof("simplified to zero")
        return Verdict.open(f"the difference is {normal(gap)}")

    def _entries(self) -> Verdict:
        shapes = [getattr(side, "shape", ()) for side in (self.left, self.right)]
        if shapes[0] != shapes[1]:
            return Verdict.refutation(f"{shapes[0]} and {shapes[1]}")
        verdicts = [
            Equal(*pair).decide() for pair in zip(self.left, self.right, strict=True)
        ]
        failed = [v for v in verdicts if not v.proved]
        return failed[0] if failed else Verdict.proof("one normal form, entry by entry")

    def latex(self) -> str:
        """Return an equation.

        Returns:
            LaTeX.
        """
        return f"{latex(self.left)} = {latex(self.right)}"


def _is_not_zero(number: Expr) -> bool:
    # Not comparable: sympy finds no digit of it that it is sure of.
    return bool(number.is_comparable and number.n(20) != 0)
