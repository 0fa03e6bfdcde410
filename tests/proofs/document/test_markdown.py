"""Markdown holds whole tables and whole formulas."""

import re

from proofs.engine import Statement
from tests.proofs.document.outcomes import DOCUMENTS, Documents, over_documents


def test_the_contents_say_how_much_coq_has_proved(statements: list[Statement]) -> None:
    rows = [
        line.strip("| ").split(" | ")
        for line in DOCUMENTS["markdown"].splitlines()
        if re.match(r"\| \d+ \| \[", line) and "proved" in line
    ]
    shares = [row[4].strip() if len(row) > 4 else "" for row in rows]
    assert shares == [statement.coverage for statement in statements]


@over_documents
def test_dollars_of_markdown_come_in_pairs(documents: Documents) -> None:
    document = documents["markdown"]
    outside = []
    for place, piece in enumerate(document.split("$$")):
        if place % 2 == 0:
            outside.append(piece)
    assert len(document.split("$$")) % 2 == 1
    for block in "\n\n".join(outside).split("\n\n"):
        assert block.count("$") % 2 == 0, block


def test_cells_of_markdown_hold_no_bars() -> None:
    for line in DOCUMENTS["markdown"].splitlines():
        if line.startswith("|"):
            assert line.count("|") in (3, 5, 6), line
