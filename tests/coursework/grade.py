"""Grade right and wrong submissions with Otter Grader: ``make grade``.

The solution of every notebook gets full marks. Each of three wrong answers to every
exercise gets none. Two students get full marks from their own graders and fewer from
the other's.
"""

import argparse
import tempfile
import time
from pathlib import Path

import nbformat

from notebooks.forms import otter
from notebooks.grading import Assignment, assign, grade, scores
from notebooks.source import SOURCES, Source
from tests.coursework.answers import ANSWERS

WRONG = 3
STUDENTS = ("Ada", "Emmy")
Scores = dict[str, tuple[float, float]]


def assigned(source: Source, folder: Path) -> Assignment:
    form = folder / f"{source.name}.ipynb"
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(otter(source), form)
    return assign(form, folder / "dist")


def wrong_submission(source: Source, which: int, path: Path) -> None:
    """Write a notebook with a wrong answer to every exercise, and no text around."""
    setup = next(cell.text for cell in source.cells if "setup" in cell.tags)
    setup += "\nfrom tests.coursework.answers import ANSWERS"
    setup += f'\nimport otter\ngrader = otter.Notebook("{path.name}")'
    cells = [setup]
    for cell in source.cells:
        if "check" in cell.tags:
            task = f'course["{cell.number}"]'
            call = f'ANSWERS["{cell.number}"].wrong[{which}]({task})'
            cells.append(f"{cell.answer} = {call}")
            cells.append(f'grader.check("q{cell.number.replace(".", "_")}")')
    made = [nbformat.v4.new_code_cell(text) for text in cells]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def report(what: str, result: Scores, expected: bool, start: float) -> None:
    """Print a line, and stop where a score is not as it should be."""
    got, most = (sum(pair[part] for pair in result.values()) for part in (0, 1))
    print(f"{what}: {got:g} of {most:g} ({time.time() - start:.0f} s)", flush=True)
    if not expected or not result:
        raise SystemExit(f"{what}: these scores are wrong: {result}")


def grade_notebook(path: Path, folder: Path) -> None:
    source, start = Source.read(path), time.time()
    assignment = assigned(source, folder)
    handed_out = nbformat.read(assignment.student, as_version=4)
    lines = {line for cell in handed_out.cells for line in cell.source.splitlines()}
    if leaked := source.solution_lines() & {line.strip() for line in lines}:
        raise SystemExit(f"{source.name}: the students' form holds {leaked}")
    result = scores(
        grade(assignment.solution, assignment.autograder, folder / "solution")
    )
    names = {f"q{n.replace('.', '_')}" for n in source.numbers if n in ANSWERS}
    full = all(score == most > 0 for score, most in result.values())
    report(f"{source.name}, solution", result, full and set(result) == names, start)
    for which in range(WRONG):
        start = time.time()
        submission = folder / "wrong" / f"{source.name}.ipynb"
        wrong_submission(source, which, submission)
        result = scores(grade(submission, assignment.autograder, submission.parent))
        none = all(score == 0 for score, _ in result.values())
        report(
            f"{source.name}, wrong answers {which + 1}",
            result,
            none and set(result) == names,
            start,
        )


def grade_students(path: Path, folder: Path) -> None:
    """Let two students be graded by their own grader, and by the other's."""
    assignments = {
        name: assigned(Source.read(path, name), folder / name) for name in STUDENTS
    }
    for name, own in assignments.items():
        for grader, other in assignments.items():
            start = time.time()
            results = grade(own.solution, other.autograder, folder / "students")
            result = scores(results)
            full = all(score == most for score, most in result.values())
            report(
                f"{path.stem}, {name}'s solution by {grader}'s grader",
                result,
                full == (name == grader),
                start,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.coursework.grade", description=__doc__
    )
    parser.add_argument("--only", default="", help="the number of one notebook, as 02")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in SOURCES:
            if path.stem.startswith(options.only):
                grade_notebook(path, folder / path.stem)
        if not options.only or options.only == "03":
            grade_students(SOURCES[2], folder / "students")


if __name__ == "__main__":
    main()
