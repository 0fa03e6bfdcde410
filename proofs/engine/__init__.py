"""What a derivation is made of: statements, steps, and how sympy decides them."""

from proofs.engine.claims import (
    Below,
    ByInduction,
    Claim,
    Equal,
    Nonnegative,
    Positive,
    PositiveBetween,
    Tends,
)
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
