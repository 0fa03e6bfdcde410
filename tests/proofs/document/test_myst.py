"""MyST has a target for every link, and one for every statement."""

import re

from proofs.document.myst import TARGET, to_myst
from proofs.engine import Statement
from tests.proofs.document.outcomes import DOCUMENTS


def test_every_link_has_a_target(statements: list[Statement]) -> None:
    document = DOCUMENTS["myst"]
    targets = re.findall(r"^\(([\w-]+)\)=$", document, re.MULTILINE)
    assert len(targets) == len(set(targets))
    assert set(re.findall(r"\]\(#([^)]+)\)", document)) <= set(targets)
    assert {f"{TARGET}{statement.name}" for statement in statements} <= set(targets)
    assert "<a id=" not in document


def test_an_alert_is_a_directive() -> None:
    assert to_myst("> [!CAUTION]\n> **NOT**") == ":::{caution}\n**NOT**\n:::"
