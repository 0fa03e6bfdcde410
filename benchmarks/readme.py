"""Sections of the README that are generated, between markers."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def write_section(name: str, inside: str) -> Path:
    """Replace what stands between the markers of a section.

    Raises:
        ValueError: If the README has no such markers, or several.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = README.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the README needs {begin} and {end}, once each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    README.write_text(f"{before}{begin}\n{inside}\n{end}{after}", encoding="utf-8")
    return README
