"""Who proves what: statements and public functions beside the theorems of Coq."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from proofs.catalogue import NAMES, path, statement
from proofs.document.plain import words
from proofs.document.syntax import LEFT, table
from proofs.engine import Statement
from proofs.formal.development import FOLDER, Theorem, find, theorems
from proofs.formal.reliance import FAMILIES, FUNCTIONS, MAIN, Reliance

TABLE: Path = FOLDER / "THEOREMS.md"

_HEADING = """\
# Theorems, and what rests on them

Written by `make coq`. [README.md](README.md) says what this is about; *assumes* is
what Coq's `Print Assumptions` prints, and a dash stands for "Closed under the global
context": nothing is assumed but the hypotheses that the theorem states."""
_MAIN_HEADING = "## The main theorem"
_STATEMENTS_HEADING = """\
## Statements

Every statement of `proofs/` has a derivation that sympy decides. Beside it stands what
Coq has proved of it."""
_FUNCTIONS_HEADING = """\
## Public functions

The statements that a function of the package rests on, with those in *italics* that Coq
has proved in part and those in **bold** that it has proved in full; and theorems about
what the function computes."""
_FAMILIES_HEADING = """\
## Families of the atlas

Those that a theorem speaks of, as a softmax over all tokens of one canvas; the others
have derivations."""
_OTHERS_HEADING = """\
## Further theorems

Steps towards those above, and variants. The files say in words what they state."""


def write_table() -> str:
    """Write the tables.

    Returns:
        Markdown.

    Raises:
        ValueError: If Coq has not seen the sources as they are now, or if a theorem
            that is named does not exist.
    """
    shown = {*MAIN}
    shown.update(theorem for name in NAMES for theorem in statement(name).formal)
    for reliance in (*FUNCTIONS.values(), *FAMILIES.values()):
        shown.update(reliance.theorems)
    blocks = [
        _HEADING,
        _MAIN_HEADING,
        _table(
            ("Theorem", "What it says", "Assumes"),
            (_theorem(name, what) for name, what in MAIN.items()),
        ),
        _STATEMENTS_HEADING,
        _table(
            ("Statement", "In Coq", "What it says", "Assumes"),
            (row for name in NAMES for row in _statement(statement(name))),
        ),
        _FUNCTIONS_HEADING,
        _table(
            ("Function", "Rests on", "In Coq", "Assumes"),
            (_reliance(*entry) for entry in FUNCTIONS.items()),
        ),
        _FAMILIES_HEADING,
        _table(
            ("Family", "Rests on", "In Coq", "Assumes"),
            (_reliance(*entry) for entry in FAMILIES.items()),
        ),
        _OTHERS_HEADING,
        _table(
            ("Theorem", "File", "Assumes"),
            (
                (_link(theorem), theorem.file, _assumed([theorem]))
                for name, theorem in theorems().items()
                if name not in shown
            ),
        ),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    return table(dict.fromkeys(columns, LEFT), rows)


def _theorem(name: str, what: str) -> Sequence[str]:
    theorem = find(name)
    return _link(theorem), _plain(what), _assumed([theorem])


def _statement(stated: Statement) -> Iterator[Sequence[str]]:
    title = f"[{stated.name}](../{path(stated.name)})"
    for name, what in stated.formal.items():
        yield title, *_theorem(name, what)
        title = ""
    if not stated.formal:
        yield title, "none", "", ""
    elif stated.informal:
        yield "", "not in Coq", _plain(stated.informal), ""


def _reliance(name: str, reliance: Reliance) -> Sequence[str]:
    proving = [find(theorem) for theorem in reliance.theorems]
    statements = ", ".join(map(_marked, reliance.statements))
    return f"`{name}`", statements, ", ".join(map(_link, proving)), _assumed(proving)


def _marked(name: str) -> str:
    mark = {"": "", "part": "*", "full": "**"}[statement(name).coverage]
    return f"{mark}{name}{mark}"


def _plain(text: str) -> str:
    """Write formulas without LaTeX, which tables of Markdown garble."""
    escaped = re.sub(r"([\\`*_<\[\]])", r"\\\1", words(text))
    return escaped.replace("|", "&#124;")  # a bar would end the cell


def _link(theorem: Theorem) -> str:
    return f"[{theorem.name}]({theorem.file}#L{theorem.line})"


def _assumed(proving: Iterable[Theorem]) -> str:
    axioms = dict.fromkeys(axiom for theorem in proving for axiom in theorem.axioms)
    return ", ".join(f"`{axiom}`" for axiom in axioms) or "–"
