"""The tables of README.md: syllabus and exercises, from the package itself."""

import re

from expressivity.coursework import Course
from notebooks.source import FOLDER, SOURCES, Source

_README = FOLDER / "README.md"
_HOURS = {"1": 1.25, "2": 1.5, "3": 1.25, "4": 1.25, "5": 1.25, "6": 1.5, "7": 1.25}
_NEEDS = {"1": "—", "2": "1", "3": "1, 2", "4": "1–3", "5": "1, 2", "6": "1–3"}
_WRITTEN = 4  # points of every written exercise


def tables() -> dict[str, str]:
    """Return the tables by their marks."""
    course = Course()
    notebooks = [
        "| | notebook | hours | needs | points |",
        "| --- | --- | --- | --- | --- |",
    ]
    exercises = [
        "| | exercise | kind | minutes | points | statement | for those who believe |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    total = 0
    for path in SOURCES:
        source = Source.read(path)
        number = str(int(source.name[:2]))
        title = source.cells[0].text.splitlines()[0].removeprefix("# ")
        points = _WRITTEN
        for each in source.numbers:
            if each not in course:
                continue
            task = course[each]
            points += task.points
            exercises.append(
                f"| {each} | {task.title} | {task.kind} | {task.minutes} | "
                f"{task.points} | `{task.statement}` | {task.misconception} |"
            )
        total += points
        needs = _NEEDS.get(number, "1, 2, 4")
        link = f"[{title}]({source.name}.ipynb)"
        notebooks.append(
            f"| {number} | {link} | {_HOURS[number]:g} | {needs} | {points} |"
        )
    notebooks.append(f"| | together | {sum(_HOURS.values()):g} | | {total} |")
    return {"syllabus": "\n".join(notebooks), "exercises": "\n".join(exercises)}


def filled(text: str) -> str:
    """Return a document with its tables replaced."""
    for name, table in tables().items():
        pattern = rf"(<!-- {name} -->\n)(?:\|.*\n)*(<!-- end -->)"
        text = re.sub(pattern, rf"\g<1>{table}\n\g<2>", text)
    return text


def write_tables() -> None:
    """Write the tables into README.md."""
    _README.write_text(filled(_README.read_text(encoding="utf-8")), encoding="utf-8")
