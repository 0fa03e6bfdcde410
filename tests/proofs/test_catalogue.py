"""The catalogue names every file, and builds a statement on first use."""

import subprocess
import sys
from pathlib import Path

import pytest

import proofs
from proofs import catalogue
from proofs.catalogue import NAMES, SUBJECTS
from proofs.engine import Statement

FOLDER = Path(proofs.__file__).parent
ROOT = FOLDER.parent
BRIDGES = ROOT / "tests/proofs/bridges"
STATEMENTS = FOLDER / "statements"
# Every module that pytest imports to collect the tests of the proofs.
COLLECTED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (
        *FOLDER.rglob("[!_]*.py"),
        *(ROOT / "tests/proofs").rglob("*.py"),
        ROOT / "tests/meta/test_mutations.py",
    )
]


def listed(folder: Path) -> set[str]:
    """Return the files below a folder, from there, without their suffix."""
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))
    return {str(path) for path in paths if path.stem != "__init__"}


@pytest.mark.parametrize("folder", [STATEMENTS, BRIDGES], ids=lambda path: path.name)
def test_every_statement_has_its_file_and_its_bridge(folder: Path) -> None:
    named = [
        f"{subject}/{name}" for subject, names in SUBJECTS.items() for name in names
    ]
    assert listed(folder) == set(named)
    assert len(named) == len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_the_files(name: str) -> None:
    assert catalogue.statement(name).name == name
    assert (FOLDER / catalogue.path(name)).samefile(catalogue.module(name).__file__)


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_built_once_and_by_the_catalogue_alone(name: str) -> None:
    assert catalogue.statement(name) is catalogue.statement(name)
    held = vars(catalogue.module(name)).values()
    assert not any(isinstance(value, Statement) for value in held)


def test_collecting_the_tests_builds_no_statement() -> None:
    script = f"""
from importlib import import_module
from proofs.engine import Statement
built = []
def recorded(self, init=Statement.__init__, **parts):
    built.append(parts["name"])
    init(self, **parts)
Statement.__init__ = recorded
for name in {COLLECTED}:
    import_module(name)
from proofs.catalogue import NAMES, statement
print(*(name for name in built if name in NAMES))
statement("leak")
print(*(name for name in built if name in NAMES))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n") == ["", "leak", ""]
