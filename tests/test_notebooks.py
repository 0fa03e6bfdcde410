"""Every notebook runs, and its two forms hold the same cells.

After an edit of the .py form, write the .ipynb form anew with its outputs:

    jupytext --sync notebooks/*.py && jupyter execute --inplace notebooks/*.ipynb
"""

from pathlib import Path
from typing import Any

import jupytext
import pytest
from nbclient import NotebookClient

from tests import ROOT

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
LARGEST = 400_000  # bytes


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def outputs(path: Path) -> list[Any]:
    return [
        output
        for cell in jupytext.read(path).cells
        for output in cell.get("outputs", [])
    ]


def test_there_is_a_notebook() -> None:
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_both_forms_hold_the_same_cells(source: Path) -> None:
    executed = source.with_suffix(".ipynb")
    assert cells(source) == cells(executed)
    for path in (source, executed):
        assert jupytext.read(path).metadata.jupytext.formats == "ipynb,py:percent"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_stored_outputs_are_pictures_without_errors_and_small(source: Path) -> None:
    executed = source.with_suffix(".ipynb")
    kinds = [output.output_type for output in outputs(executed)]
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for output in outputs(executed))
    assert executed.stat().st_size < LARGEST


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # the kernel's own process warns as it likes
def test_it_runs(source: Path) -> None:
    notebook = jupytext.read(source)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(source.parent)}},
    )
    client.execute()
    assert all(
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code"
    )
