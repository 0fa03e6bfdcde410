"""Many claims of one kind at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from proofs.engine.claim import Claim
from proofs.engine.verdict import Verdict


@dataclass(frozen=True)
class Every:
    """All of some claims hold.

    Attributes:
        claims: At least one.

    Example:
        >>> from sympy import Integer
        >>> from proofs.engine.constants import Below
        >>> below = [Below(Integer(n), Integer(3)) for n in range(5)]
        >>> Every(below[:3]).decide().proved, Every(below).decide().evidence
        (True, '3.0000000 is not below 3.0000000')
    """

    claims: Sequence[Claim]

    def decide(self) -> Verdict:
        """Decide one after the other.

        Returns:
            Proved if all are; refuted if one of them is.
        """
        verdicts = [claim.decide() for claim in self.claims]
        for verdict in verdicts:
            if verdict.refuted:
                return verdict
        for verdict in verdicts:
            if not verdict.proved:
                return verdict
        if not verdicts:
            return Verdict.open("nothing is claimed")
        return Verdict.proof(f"{verdicts[0].evidence}, {len(verdicts)} times")

    def latex(self) -> str:
        """Return the first claim and the last.

        Returns:
            LaTeX.
        """
        first, *others = (claim.latex() for claim in self.claims)
        return rf"{first}, \quad \dots, \quad {others[-1]}" if others else first
