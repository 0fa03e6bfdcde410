"""Build an assignment and grade submissions, offline and without Docker.

    python -m notebooks.grading assign otter/02_convolution.ipynb DIR
    python -m notebooks.grading grade SUBMISSION.ipynb AUTOGRADER.zip DIR

Otter Grader runs a submission as it is: **that is no sandbox**. Here it runs in a
process of its own with limits of time and memory. They stop endless loops, and nothing
that means harm. Grade strangers' work in a container or on a machine of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from notebooks.source import FOLDER

OTTER = Path(sys.executable).with_name("otter")
SECONDS, GIB = 300, 24
# Sets the limit and becomes the command, whose processes inherit it.
_LIMITING = """
import os, resource, sys
room = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (room, room))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class LimitError(Exception):
    """A process took more time than it may, or it failed."""


@dataclass(frozen=True)
class Assignment:
    """What ``otter assign`` makes of a form.

    Attributes:
        autograder: The archive that grades, on Gradescope too.
        student: The notebook for students.
        solution: The notebook with the solutions.
    """

    autograder: Path
    student: Path
    solution: Path


def limited(
    command: Sequence[str], *, seconds: float = SECONDS, gib: float = GIB
) -> str:
    """Run a command with limits of time and of virtual memory.

    Args:
        command: The command; it and all that it starts are ended at the limit.
        seconds: Wall-clock time.
        gib: Address space of every process, in GiB; torch reserves several.

    Returns:
        What it printed.

    Raises:
        LimitError: If it took too long or failed, with the end of what it printed.
    """
    path = os.pathsep.join(
        filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    )
    process = subprocess.Popen(
        [sys.executable, "-c", _LIMITING, str(int(gib * 2**30)), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"},
    )
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        # Kernels are in sessions of their own.
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()
        raise LimitError(f"it took more than {seconds:g} seconds") from error
    if process.returncode:
        raise LimitError(f"it failed: {printed[-2000:]}")
    return printed


def assign(form: Path, folder: Path) -> Assignment:
    """Make an assignment of the otter form of a notebook.

    Args:
        form: The form, which ``python -m notebooks`` made.
        folder: Where to write; otter empties it.

    Returns:
        The files of the assignment.
    """
    limited([str(OTTER), "assign", str(form), str(folder), "--no-run-tests"])
    (archive,) = (folder / "autograder").glob("*.zip")
    return Assignment(
        archive, folder / "student" / form.name, folder / "autograder" / form.name
    )


def grade(
    submission: Path,
    autograder: Path,
    folder: Path,
    *,
    seconds: float = SECONDS,
    gib: float = GIB,
) -> dict[str, Any]:
    """Grade a submission and write Gradescope's ``results.json``.

    Args:
        submission: The notebook.
        autograder: The archive.
        folder: Where ``results.json`` goes.
        seconds: Limit of the time.
        gib: Limit of the memory.

    Returns:
        The results. A submission that exceeds a limit gets no points, and the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    results.unlink(missing_ok=True)
    command = [str(OTTER), "run", "--no-logo", "-a", autograder, "-o", folder]
    try:
        limited([*map(str, command), str(submission)], seconds=seconds, gib=gib)
        return json.loads(results.read_text(encoding="utf-8"))
    except (LimitError, FileNotFoundError) as error:
        failed = {"score": 0, "output": f"The submission did not run: {error}."}
        results.write_text(json.dumps(failed), encoding="utf-8")
        return failed


def scores(results: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the score and the most for every question of some results."""
    return {
        test["name"]: (float(test["score"]), float(test["max_score"]))
        for test in results.get("tests", [])
        if test.get("max_score") is not None
    }


def main(arguments: list[str] | None = None) -> None:
    """Assign or grade."""
    parser = argparse.ArgumentParser("python -m notebooks.grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    assigning = commands.add_parser(
        "assign", help="make an assignment of an otter form"
    )
    assigning.add_argument("form", type=Path)
    assigning.add_argument("folder", type=Path)
    grading = commands.add_parser("grade", help="grade one submission")
    grading.add_argument("submission", type=Path)
    grading.add_argument("autograder", type=Path)
    grading.add_argument("folder", type=Path)
    grading.add_argument("--seconds", type=float, default=SECONDS)
    grading.add_argument("--gib", type=float, default=GIB)
    options = parser.parse_args(arguments)
    if options.command == "assign":
        print(assign(options.form, options.folder))
        return
    results = grade(
        options.submission,
        options.autograder,
        options.folder,
        seconds=options.seconds,
        gib=options.gib,
    )
    for name, (score, most) in scores(results).items():
        print(f"{name}: {score:g} of {most:g}")
    print(f"written to {options.folder / 'results.json'}")


if __name__ == "__main__":
    main()
