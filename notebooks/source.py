"""The source of a notebook: cells with tags, and the exercises that they belong to.

A cell has the tag ``exercise`` if it belongs to the task, ``solution`` if a student
should write it, ``check`` if it judges, ``predict`` or ``written`` for those kinds, and
``setup`` for the imports and the course.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
_HEADING = re.compile(r"^### Exercise (\d\.\d+)( \(written\))?: (.*)$", re.MULTILINE)
_CHECK = re.compile(r'course\.check\("(\d\.\d+)", (\w+)\)')
_COURSE = "course = Course()"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        kind: ``"markdown"`` or ``"code"``.
        text: What stands in it.
        tags: Its tags.
        number: The exercise that it belongs to; empty for the text around.
        answer: The variable that the exercise checks; empty for written ones.
    """

    kind: str
    text: str
    tags: frozenset[str] = frozenset()
    number: str = ""
    answer: str = ""

    @property
    def is_solution(self) -> bool:
        """Whether a student should write it."""
        return "solution" in self.tags

    @property
    def is_heading(self) -> bool:
        """Whether an exercise begins here."""
        return self.kind == "markdown" and _HEADING.match(self.text) is not None


@dataclass(frozen=True)
class Source:
    """A notebook as its source has it.

    Attributes:
        name: Name of the file, without its ending.
        cells: The cells.
        student: Whose exercises these are; empty for everybody's.
    """

    name: str
    cells: tuple[Cell, ...] = field(repr=False)
    student: str = ""

    @classmethod
    def read(cls, path: Path, student: str = "") -> "Source":
        """Read a source.

        Args:
            path: The file.
            student: Whose exercises it should have.

        Returns:
            The source.

        Raises:
            ValueError: If a solution or a check stands outside of an exercise, or the
                course is not where it should be.
        """
        cells, number = [], ""
        raw = jupytext.read(path, fmt="py:percent").cells
        for cell in raw:
            tags = frozenset(cell.metadata.get("tags", ()))
            heading = _HEADING.match(cell.source)
            if cell.cell_type == "markdown" and heading:
                number = heading[1]
            elif not tags - {"setup"}:
                number = ""
            if not number and tags & {"solution", "check"}:
                raise ValueError(f"{path.name}: a solution needs an exercise before it")
            text = cell.source
            if "setup" in tags:
                if _COURSE not in text:
                    raise ValueError(f"{path.name}: the setup needs {_COURSE!r}")
                name = json.dumps(student, ensure_ascii=False) if student else ""
                text = text.replace(_COURSE, f"course = Course({name})")
            cells.append(Cell(cell.cell_type, text, tags, number))
        return cls(path.stem, _with_answers(cells), student)

    @property
    def numbers(self) -> list[str]:
        """The exercises, written ones too, in order."""
        return [cell.number for cell in self.cells if cell.is_heading]

    def solution_lines(self) -> set[str]:
        """Return the lines that stand in solutions and nowhere else."""
        solutions: set[str] = set()
        others: set[str] = set()
        for cell in self.cells:
            lines = {line.strip() for line in cell.text.splitlines()}
            (solutions if cell.is_solution else others).update(lines)
        return {line for line in solutions - others if len(line) > 5}


def _with_answers(cells: list[Cell]) -> tuple[Cell, ...]:
    """Let every cell of an exercise know which variable is checked."""
    answers = dict(
        match.groups()
        for cell in cells
        if "check" in cell.tags and (match := _CHECK.search(cell.text))
    )
    return tuple(
        Cell(c.kind, c.text, c.tags, c.number, answers.get(c.number, "")) for c in cells
    )
