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
EDITS = 6


def is_noticed(module: ModuleType, formulas: Mapping[str, Formula]) -> bool:
    """Whether the bridge or the proof fails."""
    bridge = import_module(f"tests.bridges.{module.STATEMENT.name}")
    try:
        bridge.check(formulas)
        return not module.build(formulas).check().proved
    except (AssertionError, ArithmeticError, ValueError, TypeError):
        return True


def assert_edits_are_noticed(module: ModuleType, most: int | None) -> None:
    tried = 0
    for name, formula in module.FORMULAS.items():
        edits = list(mutants(formula.expression))
        if most is not None and len(edits) > most:
            edits = Random(0).sample(edits, most)
        for edit, expression in edits:
            if Equal(expression, formula.expression).decide().proved:
                continue  # the edit changes nothing
            changed = replace(formula, expression=expression)
            assert is_noticed(module, {**module.FORMULAS, name: changed}), (name, edit)
            tried += 1
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
