"""What a derivation is made of: statements, steps, and how sympy decides them."""

from proofs.engine.claim import Claim
from proofs.engine.constants import Below
from proofs.engine.equality import Equal
from proofs.engine.induction import ByInduction
from proofs.engine.limits import Tends
from proofs.engine.signs import Nonnegative, Positive, PositiveBetween
from proofs.engine.statement import Control, Formula, Outcome, Statement, Step
from proofs.engine.verdict import Verdict

__all__ = [
    "Below",
    "ByInduction",
    "Claim",
    "Control",
    "Equal",
    "Formula",
    "Nonnegative",
    "Outcome",
    "Positive",
    "PositiveBetween",
    "Statement",
    "Step",
    "Tends",
    "Verdict",
]
