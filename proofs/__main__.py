"""Check every statement: ``python -m proofs``."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from proofs.catalogue import STATEMENTS
from proofs.document import FORMATS, write
from proofs.engine import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Check statements and print a table, or write a document.

    Args:
        arguments: Of the command line; by default its own.

    Returns:
        0 if every step is proved and every control refuted, else 1.
    """
    options = _parser().parse_args(arguments)
    chosen = [s for s in STATEMENTS if options.only in (None, s.name)]
    outcomes = [statement.check() for statement in chosen]
    if options.format:
        sys.stdout.write(write(outcomes, options.format))
    else:
        _print(outcomes, explain=options.only is not None)
    held = all(outcome.proved and outcome.controlled for outcome in outcomes)
    return 0 if held else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs", description=__doc__)
    parser.add_argument(
        "--only",
        metavar="NAME",
        choices=[s.name for s in STATEMENTS],
        help="One statement, step by step: %(choices)s.",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="Write a document to standard output instead of the table.",
    )
    return parser


def _print(outcomes: Sequence[Outcome], *, explain: bool) -> None:
    console = Console(highlight=False)
    table = Table("statement", "decided", "controls", "scope", "seconds")
    for outcome in outcomes:
        statement = outcome.statement
        table.add_row(
            statement.name,
            f"{sum(v.proved for v in outcome.steps)} of {len(outcome.steps)}",
            f"{sum(v.refuted for v in outcome.controls)} of {len(outcome.controls)}",
            statement.scope,
            f"{outcome.seconds:.2f}",
        )
    console.print(table)
    for outcome in outcomes:
        if explain or not (outcome.proved and outcome.controlled):
            _explain(console, outcome)


def _explain(console: Console, outcome: Outcome) -> None:
    statement = outcome.statement
    for number, (step, verdict) in enumerate(
        zip(statement.steps, outcome.steps, strict=True), start=1
    ):
        console.print(f"{number}. {step.reason}\n   {step.latex()}", markup=False)
        mark = "proved" if verdict.proved else "NOT PROVED"
        console.print(f"   {mark}: {verdict.evidence}", markup=False)
    for control, verdict in zip(statement.controls, outcome.controls, strict=True):
        mark = "refuted" if verdict.refuted else "NOT REFUTED"
        console.print(
            f"control: {control.wrong}\n   {mark}: {verdict.evidence}", markup=False
        )


if __name__ == "__main__":
    sys.exit(main())
