"""Sections of documents that are generated, between markers."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from expressivity.machine.files import written_together

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def publish(docstring: str | None, write: Callable[[], Iterable[Path]]) -> None:
    """Run a module that writes files; with ``--help`` print its docstring instead.

    Args:
        docstring: The docstring of the module.
        write: Writes files and returns their names.
    """
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for path in write():
        print(f"wrote {path.relative_to(ROOT)}")


def write_section(path: Path, name: str, inside: str) -> Path:
    """Replace what stands between the markers of a section.

    Args:
        path: The document.
        name: The name of the section.
        inside: What to write.

    Returns:
        The document.

    Raises:
        ValueError: If the document has no such markers, or several.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path.name} needs {begin} and {end}, once each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    with written_together([path], force=True) as [draft]:
        draft.write_text(f"{before}{begin}\n{inside}\n{end}{after}", encoding="utf-8")
    return path
