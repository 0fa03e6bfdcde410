"""The document is complete in every format, and loud about failures."""

import re
from collections import Counter

from proofs.document.formulas import displayed
from proofs.engine import Statement
from tests.proofs.document.outcomes import (
    DOCUMENTS,
    FAILED,
    formulas,
    letters,
    over_formats,
    texts,
)
from tests.proofs.document.page import page_of


@over_formats
def test_every_word_is_in_every_format(style: str, statements: list[Statement]) -> None:
    document = DOCUMENTS[style]
    if style == "html":
        document = "".join(page_of(DOCUMENTS).text)
    document = letters(document)
    for statement in statements:
        for text in texts(statement):
            for piece in text.split("$")[::2]:
                assert letters(piece) in document, (statement.name, piece)


@over_formats
def test_every_formula_is_in_every_format(
    style: str, statements: list[Statement]
) -> None:
    shown = [formula for statement in statements for formula in formulas(statement)]
    if style == "html":
        assert page_of(DOCUMENTS).count("math", display="block") == len(shown)
        return
    document = "".join(re.sub(r"(?m)^> ?", "", DOCUMENTS[style]).split())
    for formula in shown:
        assert "".join(displayed(formula).split()) in document


@over_formats
def test_every_statement_says_how_much_of_it_coq_has_proved(
    style: str, statements: list[Statement]
) -> None:
    document = DOCUMENTS[style]
    counts = Counter(statement.coverage for statement in statements)
    assert document.count("Kinds of proof:") == len(statements)
    assert document.count("none in Coq") == counts[""]
    for share in ("part", "full"):
        assert document.count(f"in {share}, Coq:") == counts[share]
    left = sum(bool(statement.informal) for statement in statements)
    assert document.count("Not in Coq:") == left


@over_formats
def test_every_step_and_control_has_its_verdict(
    style: str, statements: list[Statement]
) -> None:
    document = DOCUMENTS[style]
    steps = sum(len(statement.steps) for statement in statements)
    controls = sum(len(statement.controls) for statement in statements)
    assert len(re.findall(r"Decided:", document)) == steps
    assert len(re.findall(r"Refuted:", document)) == controls
    assert "NOT" not in document.replace("NOTATION", "")


@over_formats
def test_what_is_not_proved_is_marked_loudly(style: str) -> None:
    document = FAILED[style]
    assert "NOT EVERYTHING HERE IS PROVED" in document
    # In the contents, above the statement, and at both of its steps.
    assert document.count("NOT PROVED") == 4
    assert "Steps not decided: 2, 3." in document
    assert "Controls not refuted: 1." in document
    assert document.count("NOT REFUTED") == 1
    assert "1 of 3" in document


def test_words_are_not_taken_for_markup() -> None:
    assert "A *bold* <claim> & 100 % of_it_all #1." in "".join(page_of(FAILED).text)
    assert r"\& 100 \% of\_it\_all \#1." in FAILED["latex"]
    assert r"A \*bold\* \<claim> & 100 % of\_it\_all" in FAILED["markdown"]
