"""Outcomes to print: some where all is proved, and some where it is not."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from sympy import Symbol, exp, symbols

from proofs.catalogue import NAMES, statement
from proofs.document import FORMATS, write
from proofs.engine import Control, Equal, Nonnegative, Outcome, Statement, Step, Verdict

x, r = Symbol("x"), symbols("r", real=True)


def taken_for_granted(stated: Statement) -> Outcome:
    """Give every step and control the verdict it should have, in no time."""
    proof = Verdict.proof("one normal form")
    refutation = Verdict.refutation("x = 1/2, f(1, 2) = 3: -0.0449532")
    return Outcome(
        stated,
        (proof,) * len(stated.steps),
        (refutation,) * len(stated.controls),
        0.25,
    )


class Documents(dict[str, str]):
    """Documents by their format, each written when a test first asks for it."""

    def __init__(self, check: Callable[[], list[Outcome]]) -> None:
        self.check = check

    def __missing__(self, style: str) -> str:
        self[style] = write(self.check(), style)
        return self[style]


@cache
def failing() -> Statement:
    """Return a statement with a false step, an open one, and a true control."""
    first = statement(NAMES[0])
    steps = (
        *first.steps[:1],
        Step("A *bold* <claim> & 100 % of_it_all #1.", Equal(x**2, x)),
        Step("An open one.", Nonnegative(exp(r) - 1 - r)),
    )
    return replace(first, steps=steps, controls=(Control("True.", Equal(x, x)),))


def all_proved() -> list[Outcome]:
    return [taken_for_granted(statement(name)) for name in NAMES]


def one_failed() -> list[Outcome]:
    return [failing().check(), taken_for_granted(statement(NAMES[1]))]


DOCUMENTS = Documents(all_proved)


FAILED = Documents(one_failed)


over_formats = pytest.mark.parametrize("style", FORMATS)


over_documents = pytest.mark.parametrize(
    "documents", [DOCUMENTS, FAILED], ids=["proved", "failed"]
)


def formulas(stated: Statement) -> list[str]:
    """Return all that is displayed of a statement."""
    return [
        stated.formula,
        *(step.latex() for step in stated.steps),
        *(control.latex() for control in stated.controls),
        *(formula.latex() for formula in stated.formulas.values()),
    ]


def texts(stated: Statement) -> list[str]:
    """Return all words of a statement."""
    return [
        stated.title,
        stated.words,
        stated.source,
        stated.scope,
        *stated.hypotheses,
        *(step.reason for step in stated.steps),
        *(control.wrong for control in stated.controls),
        *stated.remarks,
        *stated.formal,
        *stated.formal.values(),
        stated.informal,
    ]


def letters(text: str) -> str:
    """Keep the ASCII letters and digits: what no format changes."""
    return "".join(re.findall(r"[a-z0-9]", text.lower()))
