"""Every statement holds, and says what it rests on."""

import ast
from functools import cache
from pathlib import Path

import pytest

import proofs
from proofs import catalogue
from proofs.engine import Outcome, Statement

FOLDER = Path(proofs.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))


@cache
def outcome(name: str) -> Outcome:
    return catalogue.statement(name).check()


def test_every_step_is_proved(statement: Statement) -> None:
    for step, verdict in zip(
        statement.steps, outcome(statement.name).steps, strict=True
    ):
        assert verdict.proved, (step.reason, verdict.evidence)
    assert outcome(statement.name).proved


def test_every_control_is_refuted(statement: Statement) -> None:
    verdicts = outcome(statement.name).controls
    for control, verdict in zip(statement.controls, verdicts, strict=True):
        assert verdict.refuted, (control.wrong, verdict.evidence)
        assert not verdict.proved
        assert verdict.evidence
    assert outcome(statement.name).controlled


def test_every_statement_says_what_it_rests_on(statement: Statement) -> None:
    for text in (statement.title, statement.source, statement.words, statement.scope):
        assert text.strip()
    assert statement.formula.strip()
    assert statement.hypotheses
    assert len(statement.steps) >= 2
    assert len(statement.controls) >= 2
    assert statement.formulas


def test_every_text_has_its_mathematics_between_dollars(statement: Statement) -> None:
    texts = [
        statement.title,
        statement.words,
        statement.source,
        statement.scope,
        *statement.hypotheses,
        *statement.remarks,
        *(step.reason for step in statement.steps),
        *(control.wrong for control in statement.controls),
    ]
    for text in texts:
        words = text.split("$")
        assert len(words) % 2 == 1, text
        assert not any(mark in "".join(words[::2]) for mark in "\\^_{}"), text


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {path: n for path, n in lengths.items() if n > 350} == {}


def test_titles_tell_statements_apart(statements: list[Statement]) -> None:
    assert len({statement.title for statement in statements}) == len(statements)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_proofs_import_nothing_from_the_package(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & {"expressivity", "torch", "numpy", "tests"}
