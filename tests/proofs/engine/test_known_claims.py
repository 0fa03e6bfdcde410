"""The engine refuses false claims, and proves true ones much like them."""

from collections.abc import Mapping

import pytest

from proofs.engine import Claim
from tests.proofs.false_claims import FALSE, KNOWN, OWN, Falsehood
from tests.proofs.literal import fails
from tests.proofs.true_claims import TRUE

over_false = pytest.mark.parametrize("falsehood", FALSE.values(), ids=FALSE.keys())


def test_there_are_many_of_many_kinds() -> None:
    assert len(KNOWN) == 16
    assert len(OWN) >= 100
    assert len(FALSE) == len(KNOWN) + len(OWN)
    for claims in ((falsehood.claim for falsehood in FALSE.values()), TRUE.values()):
        assert len({type(claim) for claim in claims}) == 9


@over_false
def test_false_claims_are_false(falsehood: Falsehood) -> None:
    at = falsehood.at
    failed = fails(falsehood.claim, at) if isinstance(at, Mapping) else at()
    assert failed, falsehood.reason


@over_false
def test_false_claims_are_refused(falsehood: Falsehood) -> None:
    verdict = falsehood.claim.decide()
    assert not verdict.proved, (falsehood.reason, verdict.evidence)


@pytest.mark.parametrize("claim", TRUE.values(), ids=TRUE.keys())
def test_true_claims_are_proved(claim: Claim) -> None:
    verdict = claim.decide()
    assert verdict.proved, verdict.evidence
    assert not verdict.refuted
