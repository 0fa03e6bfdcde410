"""What a derivation is made of: statements, steps, and how sympy decides them."""

from proofs.engine.claim import Claim
from proofs.engine.constants import Below
from proofs.engine.equality import Equal
from proofs.engine.every import Every
from proofs.engine.induction import ByInduction
from proofs.engine.limits import Tends
from proofs.engine.rounding import Rounded
from proofs.engine.signs import Nonnegative, Positive, PositiveBetween
from proofs.engine.statement import Control, Formula, Formulas, Outcome, Statement, Step
from proofs.engine.verdict import Verdict

__all__ = [
    "Below",
    "ByInduction",
    "Claim",
    "Control",
    "Equal",
    "Every",
    "Formula",
    "Formulas",
    "Nonnegative",
    "Outcome",
    "Positive",
    "PositiveBetween",
    "Rounded",
    "Statement",
    "Step",
    "Tends",
    "Verdict",
]
