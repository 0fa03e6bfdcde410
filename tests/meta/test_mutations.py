"""No edit of a formula escapes both its proof and its bridge."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from random import Random
from types import ModuleType

import pytest

from proofs.catalogue import MODULES
from proofs.engine import Equal, Formula
from tests.meta.mutants import mutants

# So many edits of a formula are tried by default; `make mutants` tries them all.
EDITS = 3


def is_noticed(module: ModuleType, formulas: Mapping[str, Formula]) -> bool:
    """Whether the bridge or a step of the proof fails."""
    bridge = import_module(f"tests.bridges.{module.STATEMENT.name}")
    try:
        bridge.check(formulas)
        steps = module.build(formulas).steps
        return any(not step.claim.decide().proved for step in steps)
    except (AssertionError, ArithmeticError, ValueError, TypeError):
        return True


def assert_edits_are_noticed(module: ModuleType, most: int | None) -> None:
    tried = 0
    for name, formula in module.FORMULAS.items():
        edits = list(mutants(formula.expression))
        left = most or len(edits)
        for edit, expression in Random(0).sample(edits, len(edits)):
            if left == 0:
                break
            changed = replace(formula, expression=expression)
            if is_noticed(module, {**module.FORMULAS, name: changed}):
                tried, left = tried + 1, left - 1
            else:  # then the edit changes nothing
                same = Equal(expression, formula.expression).decide()
                assert same.proved, (name, edit)
    assert tried >= 3


over_statements = pytest.mark.parametrize(
    "module", MODULES, ids=lambda module: module.STATEMENT.name
)


@over_statements
def test_some_edits_are_noticed(module: ModuleType) -> None:
    assert_edits_are_noticed(module, EDITS)


@pytest.mark.mutants
@over_statements
def test_all_edits_are_noticed(module: ModuleType) -> None:
    assert_edits_are_noticed(module, None)


@over_statements
def test_what_is_not_edited_is_not_noticed(module: ModuleType) -> None:
    assert not is_noticed(module, module.FORMULAS)
