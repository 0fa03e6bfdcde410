"""Edits of JavaScript: one sign, factor or index of the page's functions at a time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Comments, imports and texts are no formulas.
_QUIET = re.compile(
    r"/\*.*?\*/|//[^\n]*|^import .*?;$|'[^']*'|`[^`]*`", re.DOTALL | re.MULTILINE
)
_EDITS = (
    (re.compile(r"(?<= )\+(?= )"), "-"),
    (re.compile(r"(?<= )-(?= )"), "+"),
    (re.compile(r"(?<= )\*(?= )"), "/"),
    (re.compile(r"(?<= )/(?= )"), "*"),
    (re.compile(r"(?<= )\+="), "-="),
    (re.compile(r"(?<= )-="), "+="),
    (re.compile(r"(?<=[(\[ ])-(?=[\w(])"), ""),  # the sign of one term
    (re.compile(r"Math\.max"), "Math.min"),
    (re.compile(r"Math\.min"), "Math.max"),
)
_NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(?![\w.])")


@dataclass(frozen=True)
class Edit:
    """A module with one edit."""

    path: Path
    words: str
    source: str


def edits(path: Path) -> Iterator[Edit]:
    """Yield what one edit makes of a module."""
    source = path.read_text(encoding="utf-8")
    quiet = [match.span() for match in _QUIET.finditer(source)]

    def is_code(place: int) -> bool:
        return not any(start <= place < end for start, end in quiet)

    for pattern, other in _EDITS:
        for match in pattern.finditer(source):
            if is_code(match.start()):
                yield _edit(path, source, match, other)
    for match in _NUMBER.finditer(source):
        if is_code(match.start()):
            value = float(match[0]) + 1
            yield _edit(path, source, match, f"{value:g}")


def _edit(path: Path, source: str, match: re.Match[str], other: str) -> Edit:
    line = source.count("\n", 0, match.start()) + 1
    words = f"{path.name}:{line}: {other or 'nothing'} for {match[0]}"
    changed = source[: match.start()] + other + source[match.end() :]
    return Edit(path, words, changed)
