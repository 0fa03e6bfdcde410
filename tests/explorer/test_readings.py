"""Every live number of the page is the package's, and every edit of it is noticed."""

import shutil
from pathlib import Path
from random import Random

import pytest

from expressivity.explorer.page import FOLDER
from tests.explorer.javascript import Edit, edits
from tests.explorer.page_in_node import agrees, evaluated, needs_node, written
from tests.explorer.states import (
    TOLERANCE,
    Case,
    of_heads,
    of_layers,
    of_witnesses,
)

pytestmark = needs_node
# Random layers and states, each put to every reading; a seed is a test.
SEEDS, STATES = range(4), 50
# So many edits are tried by default; `make mutants` tries them all.
EDITS = 12
MODULES = sorted((FOLDER / "math").glob("*.js"))


def assert_agreement(cases: list[Case], folder: Path) -> None:
    found = evaluated(written(cases, folder / "cases.json"))
    assert len(found) == len(cases)
    for case, numbers in zip(cases, found, strict=True):
        for name, value in case.expected.items():
            allowed = TOLERANCE * max(abs(value), case.level)
            gap = abs(float(numbers[name]) - value)
            assert gap <= allowed, (case.reading, name, value, numbers, case.state)


@pytest.mark.parametrize("seed", SEEDS)
def test_live_numbers_are_the_packages(seed: int, tmp_path: Path) -> None:
    cases = of_layers(STATES, seed)
    readings = {case.reading for case in cases}
    assert readings == {
        "allHeads",
        "border",
        "errorCurves",
        "learnedHead",
        "oneHead",
        "painted",
        "seen",
        "twoPaths",
    }
    assert_agreement(cases, tmp_path)


def test_fewer_heads_are_the_packages(tmp_path: Path) -> None:
    assert_agreement(of_heads(5), tmp_path)


def test_witnesses_are_the_packages(tmp_path: Path) -> None:
    assert_agreement(of_witnesses(), tmp_path)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write cases of every reading, in an order in which edits are noticed soon."""
    drawn = [*of_layers(40, 99), *of_heads(2), *of_witnesses()]
    Random(0).shuffle(drawn)
    return written(drawn, tmp_path_factory.mktemp("cases") / "cases.json")


def is_noticed(edit: Edit, cases: Path, folder: Path) -> bool:
    place = folder / "page"
    shutil.copytree(FOLDER, place)
    (place / "math" / edit.path.name).write_text(edit.source, encoding="utf-8")
    try:
        return not agrees(cases, place)
    finally:
        shutil.rmtree(place)


def assert_edits_are_noticed(tried: list[Edit], cases: Path, folder: Path) -> None:
    missed = [edit.words for edit in tried if not is_noticed(edit, cases, folder)]
    assert not missed


def test_what_is_not_edited_is_not_noticed(cases: Path) -> None:
    assert agrees(cases, FOLDER)


def test_some_edits_are_noticed(cases: Path, tmp_path: Path) -> None:
    every = [edit for path in MODULES for edit in edits(path)]
    assert len(every) > 150
    assert_edits_are_noticed(Random(0).sample(every, EDITS), cases, tmp_path)


@pytest.mark.mutants
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_all_edits_are_noticed(path: Path, cases: Path, tmp_path: Path) -> None:
    assert_edits_are_noticed(list(edits(path)), cases, tmp_path)
