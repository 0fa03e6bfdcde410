"""Make every form of the notebooks: ``python -m notebooks``.

``--execute`` runs the reading forms, which takes minutes. ``--student NAME`` with
``--output DIR`` makes the forms of one student.
"""

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from notebooks.forms import FORMS, reading
from notebooks.sheet import write_tables
from notebooks.source import FOLDER, SOURCES, Source


def executed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run a notebook with this checkout and return it with its outputs.

    Args:
        notebook: The notebook; a copy is run.

    Returns:
        The copy.
    """
    root = str(FOLDER.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    client = NotebookClient(
        nbformat.from_dict(notebook),
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    # Times would make every run differ.
    client.record_timing = False
    return client.execute(env={**os.environ, "PYTHONPATH": path})


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def main(arguments: list[str] | None = None) -> None:
    """Make the forms."""
    parser = argparse.ArgumentParser("python -m notebooks", description=__doc__)
    parser.add_argument("--student", default="", help="draw the exercises of a name")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--execute", action="store_true", help="run reading forms")
    parser.add_argument("--only", default="", help="the number of one notebook, as 02")
    options = parser.parse_args(arguments)
    if options.student and options.output == FOLDER:
        parser.error("--student needs --output: the forms here are everybody's")
    for path in SOURCES:
        if not path.stem.startswith(options.only):
            continue
        source = Source.read(path, options.student)
        for name, form in FORMS.items():
            write(form(source), options.output / name / f"{source.name}.ipynb")
        if options.execute:
            notebook = executed(reading(source))
            write(notebook, options.output / f"{source.name}.ipynb")
            print(f"{source.name}: executed")
    if options.output == FOLDER:
        write_tables()
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
