"""A terminal shows everything, in letters that it has."""

import re

import pytest
from rich.console import Console

from proofs.document.plain import plain, words
from proofs.document.terminal import show_derivation, show_table
from proofs.engine import Outcome, Statement
from tests.proofs.document.outcomes import (
    failing,
    formulas,
    letters,
    taken_for_granted,
    texts,
)


def test_a_terminal_shows_no_latex(statement: Statement) -> None:
    for text in texts(statement):
        assert not set("\\$") & set(words(text))
    for formula in formulas(statement):
        assert not set("\\$") & set(plain(formula))


def printed(outcomes: list[Outcome], width: int = 200) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        for outcome in outcomes:
            show_derivation(outcome, console)
        show_table(outcomes, console)
    return capture.get()


def test_a_terminal_shows_everything(statements: list[Statement]) -> None:
    text = printed([*map(taken_for_granted, statements)])
    shown = letters(text)
    for statement in statements:
        assert letters(words(statement.title)) in shown
        assert statement.name in text
        for name, what in statement.formal.items():
            assert letters(f"In Coq, {name}: {words(what)}") in shown
        left = statement.informal or ("" if statement.formal else "all of it")
        assert not left or letters(f"Not in Coq: {words(left)}") in shown
        row = (
            rf"^ *{statement.name} .*\d\.\d\d +{statement.coverage or 'All|Any|The'}\b"
        )
        assert re.search(row, text, re.M), statement.name
    steps = sum(len(statement.steps) for statement in statements)
    assert f"{steps}/{steps}" in text
    assert f"{len(statements)} of {len(statements)} proved" in text
    assert "NOT" not in text


@pytest.mark.parametrize("width", [12, 40, 80, 99, 100, 120])
def test_a_terminal_of_any_width_shows_every_column(
    width: int, statements: list[Statement]
) -> None:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        show_table([*map(taken_for_granted, statements)], console)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    begins = 0
    for statement in statements:
        steps, controls = len(statement.steps), len(statement.controls)
        numbers = rf"{steps}{steps}(steps)?{controls}{controls}(controls)?025(seconds)?"
        coverage = f"(coq)?{statement.coverage}" if statement.coverage else ""
        name, scope = letters(statement.name), letters(words(statement.scope))
        row = re.compile(f"{name}{numbers}{coverage}{scope}")
        place = row.search(letters(text), begins)
        assert place, statement.name
        begins = place.end()


def test_a_terminal_shows_failures() -> None:
    text = printed([failing().check()])
    assert "NOT PROVED" in printed([failing().check()], width=40)
    assert text.count("NOT DECIDED") == 2
    assert text.count("NOT REFUTED") == 1
    assert "1/3" in text
    assert "0 of 1 proved" in text
