"""The forms of a notebook: for readers, students, instructors and the grader.

Nothing in them is written by hand, and all of them follow from the source alone.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import nbformat

from expressivity.coursework import Course
from expressivity.coursework.exercise import Exercise
from notebooks.source import Cell, Source

_HEADING_LINE = re.compile(r"^(### .*)$", re.MULTILINE)
WRITE_HERE = "*Write your answer here.*"


def reading(source: Source) -> nbformat.NotebookNode:
    """Return everything, with solutions folded."""
    return _notebook(source, (_folded(cell) for cell in _announced(source)))


def student(source: Source) -> nbformat.NotebookNode:
    """Return the tasks, with an empty place for every solution."""
    cells = (
        _emptied(cell) if cell.is_solution else _plain(cell)
        for cell in _announced(source)
    )
    return _notebook(source, cells)


def instructor(source: Source) -> nbformat.NotebookNode:
    """Return everything, with what each exercise is for."""
    return _notebook(source, _annotated(source))


def otter(source: Source) -> nbformat.NotebookNode:
    """Return the assignment as ``otter assign`` takes it."""
    return _notebook(source, _assigned(source))


FORMS: dict[str, Callable[[Source], nbformat.NotebookNode]] = {
    "student": student,
    "instructor": instructor,
    "otter": otter,
}


def _announced(source: Source) -> Iterator[Cell]:
    """Yield the cells, with minutes and points below every heading."""
    course = Course(source.student)
    for cell in source.cells:
        line = ""
        if cell.is_heading and cell.number in course:
            line = _announcement(course[cell.number])
        elif cell.is_heading:
            line = "*written, graded by the rubric*"
        text = _HEADING_LINE.sub(rf"\1\n\n{line}", cell.text, count=1)
        yield (
            cell
            if not line
            else Cell(cell.kind, text, cell.tags, cell.number, cell.answer)
        )


def _announcement(exercise: Exercise) -> str:
    return f"*{exercise.kind} · {exercise.minutes} minutes · {exercise.points} points*"


def _annotated(source: Source) -> Iterator[dict[str, Any]]:
    course = Course(source.student)
    for cell in _announced(source):
        yield _plain(cell)
        if cell.is_heading and cell.number in course:
            exercise = course[cell.number]
            note = (
                f"> **For instructors.** Covers statement `{exercise.statement}`. "
                f"Who fails may believe: {exercise.misconception}"
            )
            yield {"kind": "markdown", "text": note, "metadata": {}}


def _assigned(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the cells with the marks of Otter Assign around every question."""
    course = Course(source.student)
    config = (
        "# ASSIGNMENT CONFIG\n"
        "export_cell: false\n"
        "check_all_cell: false\n"
        "tests:\n"
        "    ok_format: false\n"
    )
    yield _raw(config)
    open_question = ""
    for cell in _announced(source):
        if open_question and (cell.is_heading or cell.number != open_question):
            yield _raw("# END QUESTION")
            open_question = ""
        if cell.is_heading and cell.number in course:
            open_question = cell.number
            points = course[cell.number].points
            name = "q" + cell.number.replace(".", "_")
            yield _raw(f"# BEGIN QUESTION\nname: {name}\npoints: {points}")
        if cell.is_solution and cell.kind == "code":
            yield _raw("# BEGIN SOLUTION NO PROMPT")
            yield {"kind": "code", "text": _solution(cell), "metadata": {}}
            yield _raw("# END SOLUTION")
        elif cell.is_solution:
            yield _emptied(cell)
        elif "check" in cell.tags:
            yield _raw("# BEGIN TESTS")
            yield {"kind": "code", "text": _test(cell, source.student), "metadata": {}}
            yield _raw("# END TESTS")
        else:
            yield _plain(cell)
    if open_question:
        yield _raw("# END QUESTION")


def _solution(cell: Cell) -> str:
    """Return a solution with the empty place that students get instead."""
    prompt = f'""" # BEGIN PROMPT\n{_place(cell)}\n""" # END PROMPT'
    return f"{prompt}\n# BEGIN SOLUTION\n{cell.text}\n# END SOLUTION"


def _test(cell: Cell, name: str) -> str:
    """Return a test that trusts nothing but the answer."""
    return (
        f"def test_{cell.number.replace('.', '_')}({cell.answer}):\n"
        "    from expressivity.coursework import Course\n"
        f"    verdict = Course({json.dumps(name, ensure_ascii=False)}).check("
        f'"{cell.number}", {cell.answer})\n'
        "    assert verdict.passed, verdict\n"
    )


def _place(cell: Cell) -> str:
    return f"{cell.answer} = ...  # your answer"


def _emptied(cell: Cell) -> dict[str, Any]:
    text = _place(cell) if cell.kind == "code" else WRITE_HERE
    return {"kind": cell.kind, "text": text, "metadata": {"tags": ["answer"]}}


def _plain(cell: Cell) -> dict[str, Any]:
    tags = {"tags": sorted(cell.tags)} if cell.tags else {}
    return {"kind": cell.kind, "text": cell.text, "metadata": tags}


def _folded(cell: Cell) -> dict[str, Any]:
    """Return a cell, folded for Jupyter Book and for JupyterLab if it is a solution."""
    plain = _plain(cell)
    if cell.is_solution:
        plain["metadata"] = {
            "tags": sorted([*cell.tags, "hide-cell"]),
            "jupyter": {"source_hidden": True},
        }
    return plain


def _raw(text: str) -> dict[str, Any]:
    return {"kind": "raw", "text": text, "metadata": {}}


def _notebook(source: Source, cells: Iterator[dict[str, Any]]) -> nbformat.NotebookNode:
    """Return a notebook whose cells are numbered, so that it is the same every time."""
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }
    made = [
        make[cell["kind"]](
            cell["text"], metadata=cell["metadata"], id=f"{source.name[:2]}-{index:03}"
        )
        for index, cell in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(
        cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
