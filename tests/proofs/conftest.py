"""The statements as fixtures: collecting the tests builds none of them."""

import pytest

from proofs.catalogue import NAMES
from proofs.catalogue import statement as build
from proofs.engine import Statement


@pytest.fixture(params=NAMES)
def statement(request: pytest.FixtureRequest) -> Statement:
    """Each statement in turn."""
    return build(request.param)


@pytest.fixture(scope="session")
def statements() -> list[Statement]:
    """All statements, in reading order."""
    return [build(name) for name in NAMES]
