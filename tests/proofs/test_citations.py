"""Statements that the package and the decisions cite exist in the proofs."""

import re

from proofs.catalogue import NAMES
from tests import ROOT

SOURCES = sorted((ROOT / "expressivity").rglob("*.py"))


def cited(text: str) -> set[str]:
    """Return the names after the word "statement", in double backticks."""
    flat = re.sub(r"\s+", " ", text)
    lists = re.findall(r"[Ss]tatements? ((?:``\w+``(?:,? (?:and )?)?)+)", flat)
    return {name for names in lists for name in re.findall(r"``(\w+)``", names)}


def test_statements_that_are_cited_exist() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert cited(text) <= set(NAMES), path
        assert "DESIGN" not in text, path


def test_every_statement_in_the_decisions_exists() -> None:
    text = (ROOT / "docs" / "understand" / "decisions.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\(`(\w+)`\)", text))
    assert names
    assert names <= set(NAMES)


def test_many_statements_are_cited_and_a_wrong_name_is_noticed() -> None:
    everything = set().union(
        *(cited(path.read_text(encoding="utf-8")) for path in SOURCES)
    )
    assert len(everything) > 10
    text = "Statements ``leak``, ``worst_case`` and\n    ``no_such_statement`` hold."
    assert cited(text) - set(NAMES) == {"no_such_statement"}
