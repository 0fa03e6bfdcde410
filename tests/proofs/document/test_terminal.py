"""A terminal shows everything, in letters that it has."""

import re

from rich.console import Console

from proofs.document.plain import plain, words
from proofs.document.terminal import show_derivation, show_table
from proofs.engine import (
    Outcome,
    Statement,
)
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


def printed(outcomes: list[Outcome]) -> str:
    console = Console(width=200, highlight=False)
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


def test_a_terminal_shows_failures() -> None:
    text = printed([failing().check()])
    assert text.count("NOT DECIDED") == 2
    assert text.count("NOT REFUTED") == 1
    assert "1/3" in text
    assert "0 of 1 proved" in text
