"""What sympy can be asked to decide.

No claim is decided by sampling. Numbers serve only to refute: there one exact value is
a proof.
"""

from typing import Protocol

from proofs.engine.verdict import Verdict


class Claim(Protocol):
    """A statement in symbols that can be decided."""

    def decide(self) -> Verdict:
        """Return whether it holds for everything it quantifies over."""

    def latex(self) -> str:
        """Return the claim as a formula."""
