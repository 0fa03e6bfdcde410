"""What became of a claim."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Verdict:
    """Proved, refuted, or neither.

    Attributes:
        proved: Whether sympy derived the claim, for everything it quantifies over.
        refuted: Whether there is a counter-example.
        evidence: How it was decided, or the counter-example.
    """

    proved: bool
    refuted: bool
    evidence: str

    @classmethod
    def proof(cls, evidence: str) -> Self:
        """Return the verdict of a claim that holds.

        Args:
            evidence: How that was derived.

        Returns:
            The verdict.
        """
        return cls(proved=True, refuted=False, evidence=evidence)

    @classmethod
    def refutation(cls, evidence: str) -> Self:
        """Return the verdict of a claim that fails.

        Args:
            evidence: The counter-example.

        Returns:
            The verdict.
        """
        return cls(proved=False, refuted=True, evidence=evidence)

    @classmethod
    def open(cls, evidence: str) -> Self:
        """Return the verdict of a claim that nothing is known about.

        Args:
            evidence: What was left.

        Returns:
            The verdict.
        """
        return cls(proved=False, refuted=False, evidence=evidence)
