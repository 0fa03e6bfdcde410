"""Tidying and breaking a formula changes nothing that it says."""

import re

from proofs.document.formulas import WIDE, displayed, tidy, width
from proofs.document.plain import plain
from proofs.engine import Statement
from tests.proofs.document.outcomes import formulas


def on_one_line(formula: str) -> str:
    """Return what is left of a formula without its layout."""
    layout = r"\\begin\{aligned\}|\\end\{aligned\}|\\\\\n|&"
    aligned = r"\begin{aligned}" in formula
    return plain(re.sub(layout, "", formula) if aligned else formula).replace(" ", "")


def test_tidying_and_breaking_change_no_formula(statement: Statement) -> None:
    for formula in formulas(statement):
        assert on_one_line(tidy(formula)) == on_one_line(formula)
        assert on_one_line(displayed(formula)) == on_one_line(formula)


def test_tidying_removes_brackets_in_pairs_only(statement: Statement) -> None:
    for formula in formulas(statement):
        for bracket in "()[]|":
            assert tidy(formula).count(bracket) == formula.count(bracket)
        braces = tidy(formula).replace(r"\{", "").replace(r"\}", "")
        assert braces.count("{") == braces.count("}")


def test_wide_formulas_are_broken() -> None:
    terms = " + ".join(f"x_{{{n}}}" for n in range(60))
    rows = displayed(f"{terms} = {terms}").splitlines()
    assert len(rows) > 6
    assert all(width(row) <= WIDE + 12 for row in rows)
