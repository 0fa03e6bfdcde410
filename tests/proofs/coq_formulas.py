"""Formulas of the Coq sources as functions of numbers.

A formula is read as it stands in a statement: with the notation of MathComp, in which
``%:R`` makes a number of a natural number, ``^+`` is a power, and a function stands
before its arguments without parentheses.
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce

from mpmath import mpf

from proofs.formal import FOLDER

_REWRITTEN = (
    (r"%:R", ""),
    (r"\\sum_\((\w+) < (\w+)\) (.*)", r"total(lambda \1: \3, \2)"),
    (r"\(tokens m\)\.-1", "(N - 1)"),
    (r"\(tokens m\)", "N"),
    (r"weight_sum W o", "S"),
    (r"(\w+)\.\+1", r"(\1 + 1)"),
    (r"leak_bound (e|\(E \(- alpha\)\)) d", "leak_bound(d)"),
    (r"theta (\w+)", r"theta(\1)"),
    (r"\^-", "** -"),
    (r"\^\+?", "**"),
)


def source(file: str) -> str:
    """Return a Coq file."""
    return (FOLDER / f"{file}.v").read_text(encoding="utf-8")


def definition(text: str, name: str) -> str:
    """Return what stands behind ``:=`` in a definition."""
    (found,) = re.findall(
        rf"^Definition {name}\b[^.]*?:=\s+(.*?)\.$", text, re.M | re.S
    )
    return " ".join(found.split())


def conclusion(text: str, name: str) -> str:
    """Return what stands behind the last ``<=`` of a statement."""
    (found,) = re.findall(
        rf"^(?:Theorem|Corollary) {name}\b(.*?)\.\nProof", text, re.M | re.S
    )
    return " ".join(found.split("<=")[-1].split())


def evaluate(formula: str, values: Mapping[str, object]) -> mpf:
    """Return the value of a formula.

    Args:
        formula: As Coq has it.
        values: Numbers, and functions, by their names there.

    Raises:
        NameError: If the formula has names that are not among them.
    """
    python = reduce(lambda text, rule: re.sub(*rule, text), _REWRITTEN, formula)
    names = {"total": _total, **values}
    return mpf(eval(python, {"__builtins__": {}, **names}))  # our own sources


def _total(term: Callable[[int], mpf], count: int) -> mpf:
    return sum((term(j) for j in range(count)), mpf(0))
