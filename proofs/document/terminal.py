"""The verdicts as a table, and a derivation step by step, in a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from proofs.document.evidence import refutation
from proofs.document.plain import plain, words
from proofs.engine import Outcome

_WIDEST = 100
_NARROWEST = 100  # of a table: below, the scope would be a column of single words
_AROUND = (("", " steps"), ("", " controls"), ("", " seconds"), ("Coq: ", ""))
_ALARM = "bold reverse"


def show_table(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print what became of each statement, and of all: a table if it fits, else blocks.

    Args:
        outcomes: Statements, and what became of them.
        console: Where to.
    """
    rows = [*map(_row, outcomes), _total(outcomes)]
    if console.width < _NARROWEST:
        for name, *numbers, scope in rows:
            parts = zip(_AROUND, numbers, strict=True)
            line = Text(", ").join(
                Text.assemble(before, number, after)
                for (before, after), number in parts
                if number
            )
            console.print(name, Padding(Group(line, scope, ""), (0, 0, 0, 2)), sep="\n")
        return
    table = Table(
        Column("Statement", no_wrap=True),
        Column("Steps", justify="right", no_wrap=True),
        Column("Controls", justify="right", no_wrap=True),
        Column("Seconds", justify="right", no_wrap=True),
        Column("Coq", no_wrap=True),
        Column("Scope", ratio=1),
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*row, end_section=row is rows[-2])
    console.print(table)


def _row(outcome: Outcome) -> Sequence[Text]:
    scope = Text(words(outcome.statement.scope))
    if not (outcome.proved and outcome.controlled):
        scope = Text("NOT PROVED", _ALARM)
    return (
        Text(outcome.statement.name, overflow="fold"),
        _count([verdict.proved for verdict in outcome.steps]),
        _count([verdict.refuted for verdict in outcome.controls]),
        Text(f"{outcome.seconds:.2f}"),
        Text(outcome.statement.coverage),
        scope,
    )


def _total(outcomes: Sequence[Outcome]) -> Sequence[Text]:
    proved = sum(outcome.proved and outcome.controlled for outcome in outcomes)
    return (
        Text("total"),
        _count([verdict.proved for outcome in outcomes for verdict in outcome.steps]),
        _count([
            verdict.refuted for outcome in outcomes for verdict in outcome.controls
        ]),
        Text(f"{sum(outcome.seconds for outcome in outcomes):.2f}"),
        Text(),
        Text(f"{proved} of {len(outcomes)} proved"),
    )


def _count(held: Sequence[bool]) -> Text:
    return Text(f"{sum(held)}/{len(held)}", "" if all(held) else _ALARM)


def show_derivation(outcome: Outcome, console: Console) -> None:
    """Print a statement, what it assumes, its steps and its controls.

    Args:
        outcome: A statement, and what became of it.
        console: Where to.
    """
    statement = outcome.statement
    width = min(console.width, _WIDEST)
    page = Table.grid(padding=(0, 1))
    page.add_column(justify="right", min_width=3)
    page.add_column(ratio=1)
    _heading(page, words(statement.title))
    page.add_row("", Text(words(statement.words)))
    page.add_row("", _formula(statement.formula))
    page.add_row("", Text(f"Source: {words(statement.source)}"))
    page.add_row("", Text(f"Scope: {words(statement.scope)}"))
    for name, what in statement.formal.items():
        page.add_row("", Text(f"In Coq, {name}: {words(what)}"))
    if statement.informal or not statement.formal:
        page.add_row(
            "", Text(f"Not in Coq: {words(statement.informal or 'all of it')}")
        )
    _heading(page, "Hypotheses")
    for hypothesis in statement.hypotheses:
        page.add_row("·", Text(words(hypothesis)))
    _heading(page, "Derivation")
    steps = zip(statement.steps, outcome.steps, strict=True)
    for number, (step, verdict) in enumerate(steps, start=1):
        reason, claim = Text(words(step.reason)), _formula(step.latex())
        evidence = (
            refutation(step.claim, verdict) if verdict.refuted else verdict.evidence
        )
        mark = _mark("decided", words(evidence), held=verdict.proved)
        page.add_row(f"{number}.", Group(reason, claim, mark, ""))
    _heading(page, "Negative controls")
    controls = zip(statement.controls, outcome.controls, strict=True)
    for number, (control, verdict) in enumerate(controls, start=1):
        wrong, claim = Text(words(control.wrong)), _formula(control.latex())
        example = words(refutation(control.claim, verdict)).rstrip(".")
        mark = _mark("refuted", example, held=verdict.refuted)
        page.add_row(f"{number}.", Group(wrong, claim, mark, ""))
    console.print(page, width=width)


def _heading(page: Table, text: str) -> None:
    page.add_row("", "")
    page.add_row("", Text(text, "bold"))


def _formula(latex: str) -> RenderableType:
    return Padding(Text(plain(latex), "cyan"), (0, 0, 0, 4))


def _mark(what: str, evidence: str, *, held: bool) -> Text:
    if held:
        return Text(f"{what}: {evidence}", "dim")
    return Text(f"NOT {what.upper()}: {evidence}", _ALARM)
