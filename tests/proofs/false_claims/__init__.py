"""Claims that are false, and that the engine of ``proofs`` must not prove.

Each says why, and where it fails: numbers for its symbols, or the failure itself in
plain Python, where sympy evaluates the claim on sight or nothing finite shows it. An
empty sum is 0 and an empty product is 1, as in loops.
"""

from tests.proofs.false_claims.indices import BRANCHES, INDICES, KINKS, RANGES
from tests.proofs.false_claims.kinds import CONSTANTS, INDUCTIONS, LIMITS, SIGNS
from tests.proofs.false_claims.known import KNOWN
from tests.proofs.false_claims.operations import CALCULUS, MATRICES, PRODUCTS
from tests.proofs.false_claims.symbols import Falsehood

__all__ = ["FALSE", "KNOWN", "OWN", "Falsehood"]

OWN = {
    name: falsehood
    for kind in (
        BRANCHES,
        KINKS,
        RANGES,
        INDUCTIONS,
        LIMITS,
        SIGNS,
        CONSTANTS,
        MATRICES,
        INDICES,
        CALCULUS,
        PRODUCTS,
    )
    for name, falsehood in kind.items()
}
FALSE = {**KNOWN, **OWN}
