"""No edit of a formula escapes both its proof and its bridge."""

from dataclasses import replace
from importlib import import_module
from random import Random
from types import ModuleType

import pytest

from proofs.catalogue import NAMES, module, path
from proofs.engine import Equal, Formulas
from tests.meta.mutants import mutants

# So many edits of a formula are tried by default; `make mutants` tries them all.
EDITS = 3


def bridge(name: str) -> ModuleType:
    """Import the module that compares the package with a statement."""
    place = path(name).removesuffix(".py").replace("statements", "bridges", 1)
    return import_module(f"tests.proofs.{place.replace('/', '.')}")


def is_noticed(name: str, formulas: Formulas, *, by_proof: bool = True) -> bool:
    """Whether the bridge fails, or a step of the proof."""
    try:
        bridge(name).check(formulas)
        if not by_proof:
            return False
        steps = module(name).build(formulas).steps
        return any(not step.claim.decide().proved for step in steps)
    except (AssertionError, ArithmeticError, ValueError, TypeError):
        return True


def assert_edits_are_noticed(name: str, most: int | None) -> None:
    tried = 0
    proved = module(name).FORMULAS
    for part, formula in proved.items():
        edits = list(mutants(formula.expression))
        left = most or len(edits)
        for edit, expression in Random(0).sample(edits, len(edits)):
            if left == 0:
                break
            changed = replace(formula, expression=expression)
            if is_noticed(name, {**proved, part: changed}):
                tried, left = tried + 1, left - 1
            else:  # then the edit changes nothing
                same = Equal(expression, formula.expression).decide()
                assert same.proved, (part, edit)
    assert tried >= 3


over_statements = pytest.mark.parametrize("name", NAMES)


@over_statements
def test_some_edits_are_noticed(name: str) -> None:
    assert_edits_are_noticed(name, EDITS)


@pytest.mark.mutants
@over_statements
def test_all_edits_are_noticed(name: str) -> None:
    assert_edits_are_noticed(name, None)


@over_statements
def test_what_is_not_edited_is_not_noticed(name: str) -> None:
    # That every step is proved is tests/proofs/test_statements.py's to say.
    assert not is_noticed(name, module(name).FORMULAS, by_proof=False)
