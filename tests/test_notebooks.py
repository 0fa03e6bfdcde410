"""Every notebook runs, and all of its forms follow from its source.

After an edit of a source, make its forms anew: ``python -m notebooks --execute``.
"""

import resource
from typing import Any

import nbformat
import pytest

from notebooks.__main__ import executed
from notebooks.forms import FORMS, WRITE_HERE, reading, student
from notebooks.sheet import filled
from notebooks.source import FOLDER, SOURCES, Source
from tests.coursework.answers import ANSWERS

LARGEST = 600_000  # bytes
LONGEST = 60  # seconds
NAMES = [path.stem for path in SOURCES]
sources = pytest.mark.parametrize("path", SOURCES, ids=NAMES)


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, Any]]:
    return [(c.cell_type, c.source, dict(c.metadata)) for c in notebook.cells]


def stored(path: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / path, as_version=4)


def outputs(notebook: nbformat.NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def run(notebook: nbformat.NotebookNode, *, reading_too: bool = False) -> list[Any]:
    """Run the cells of exercises in this process, and return all verdicts."""
    verdicts: list[Any] = []
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not (tags or reading_too):
            continue
        code = cell.source.replace("%matplotlib inline\n", "")
        code = code.replace("import matplotlib.pyplot as plt\n", "")
        if "check" in tags:
            verdicts.append(eval(code, names))
        else:
            exec(code, names)
    return verdicts


def seconds_of_children() -> float:
    """Return the processor time of finished kernels: others' load does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_there_are_seven_notebooks() -> None:
    assert len(SOURCES) == 7
    numbers = [n for path in SOURCES for n in Source.read(path).numbers]
    assert len(numbers) == len(ANSWERS) + 7  # one written exercise each
    assert set(ANSWERS) <= set(numbers)


@sources
@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_what_its_source_makes(path: Any, name: str) -> None:
    source = Source.read(path)
    made = FORMS[name](source)
    assert nbformat.writes(made) == nbformat.writes(
        stored(f"{name}/{source.name}.ipynb")
    )
    nbformat.validate(made)


@sources
def test_the_reading_form_holds_the_cells_of_its_source(path: Any) -> None:
    notebook = stored(f"{path.stem}.ipynb")
    assert cells(notebook) == cells(reading(Source.read(path)))
    folded = [c for c in notebook.cells if "solution" in c.metadata.get("tags", [])]
    assert len(folded) >= 4
    for cell in folded:
        assert "hide-cell" in cell.metadata.tags
        assert cell.metadata.jupyter.source_hidden


@sources
def test_stored_outputs_are_pictures_and_verdicts_and_small(path: Any) -> None:
    notebook = stored(f"{path.stem}.ipynb")
    found = outputs(notebook)
    assert "error" not in [output.output_type for output in found]
    assert any("image/png" in output.get("data", {}) for output in found)
    assert (FOLDER / f"{path.stem}.ipynb").stat().st_size < LARGEST
    for cell in notebook.cells:
        if "check" in cell.metadata.get("tags", []):
            assert "✓" in cell.outputs[0].data["text/plain"]


@sources
def test_no_line_of_a_solution_is_in_the_student_form(path: Any) -> None:
    source = Source.read(path)
    text = "\n".join(cell.source for cell in student(source).cells)
    kept = {line.strip() for line in text.splitlines()}
    secret = source.solution_lines()
    assert len(secret) > 10
    assert not secret & kept
    assert WRITE_HERE in text


@sources
@pytest.mark.parametrize("name", ["", "Ada", "Emmy"])
def test_solutions_are_accepted_whoever_the_student_is(path: Any, name: str) -> None:
    verdicts = run(reading(Source.read(path, name)))
    assert len(verdicts) >= 3
    assert all(verdict.passed for verdict in verdicts), verdicts


@sources
def test_an_empty_student_form_runs_and_passes_no_check(path: Any) -> None:
    verdicts = run(student(Source.read(path)))
    assert len(verdicts) >= 3
    assert not any(verdict.passed for verdict in verdicts)


def test_a_form_has_the_name_of_its_student() -> None:
    ada, emmy = (
        "\n".join(c.source for c in FORMS["otter"](Source.read(SOURCES[1], name)).cells)
        for name in ("Ada", 'Em"my')
    )
    assert 'course = Course("Ada")' in ada
    assert 'Course("Ada").check("2.2", layer)' in ada
    assert r'Course("Em\"my")' in emmy


@pytest.mark.notebooks
@pytest.mark.filterwarnings("default")  # the kernel's own process warns as it likes
@sources
def test_it_runs_in_under_a_minute(path: Any) -> None:
    start = seconds_of_children()
    notebook = executed(reading(Source.read(path)))
    assert all(c.execution_count for c in notebook.cells if c.cell_type == "code")
    assert seconds_of_children() - start < LONGEST


def test_the_sheet_says_what_the_package_says() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert filled(text) == text
    written = [n for path in SOURCES for n in Source.read(path).numbers]
    for number in set(written) - set(ANSWERS):
        assert f"| {number} |" in text
