"""The theorems of the Coq development, and the axioms that Coq says they rest on."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parents[1] / "coq"

_THEOREM = re.compile(r"(?:Theorem|Corollary) (\w+)")
_RECORD = re.compile(r"(?P<sources>\w+) is .*?\n(?P<printed>.*)\(all listed\)\n", re.S)
_ASSUMPTIONS = re.compile(
    r"^Constant Expressivity\.(\w+)\.(\w+)\n(.*?)(?=^Constant |\Z)", re.M | re.S
)
_CLOSED = "Closed under the global context\n"
_AXIOM = re.compile(r"([\w.']+)\s*:.*", re.S)


@dataclass(frozen=True)
class Theorem:
    """A theorem that Coq has checked.

    Attributes:
        name: Its name.
        file: The file that states it, in ``proofs/coq``.
        line: Where in that file.
        axioms: What it assumes beyond its hypotheses, as ``Print Assumptions`` says.
    """

    name: str
    file: str
    line: int
    axioms: tuple[str, ...]


def files() -> tuple[Path, ...]:
    """Return the sources, in the order in which they build on each other.

    Returns:
        Paths.
    """
    lines = (FOLDER / "_CoqProject").read_text(encoding="utf-8").splitlines()
    return tuple(FOLDER / line for line in lines if line.endswith(".v"))


def digest() -> str:
    """Return what tells these sources from any others.

    Returns:
        The SHA-256 of ``_CoqProject`` and its files, one after the other.
    """
    read = (file.read_bytes() for file in (FOLDER / "_CoqProject", *files()))
    return hashlib.sha256(b"".join(read)).hexdigest()


@cache
def theorems() -> Mapping[str, Theorem]:
    """Return all theorems, with what Coq printed about them last.

    Returns:
        Theorems by name, in the order of the files.

    Raises:
        ValueError: If Coq has not yet seen the sources as they are now, if what it
            printed is not complete, or if two theorems share a name.

    Example:
        >>> theorems()["smoothing_identity"].axioms
        ()
    """
    text = (FOLDER / "assumptions.txt").read_text(encoding="utf-8")
    record = _RECORD.fullmatch(text)
    if not record or record["sources"] != digest():
        raise ValueError("assumptions.txt is not of these Coq sources: run make coq")
    axioms = {
        (file, name): _axioms(printed)
        for file, name, printed in _ASSUMPTIONS.findall(record["printed"])
    }
    found: dict[str, Theorem] = {}
    for file, name, line in _stated():
        if name in found:
            raise ValueError(f"{name} is stated in {found[name].file} and {file}.v")
        if (file, name) not in axioms:
            raise ValueError(f"{name} is not in assumptions.txt: run make coq")
        found[name] = Theorem(name, f"{file}.v", line, axioms[file, name])
    return MappingProxyType(found)


def find(name: str) -> Theorem:
    """Return a theorem.

    Args:
        name: Its name.

    Returns:
        The theorem.

    Raises:
        ValueError: If there is none of that name, or as :func:`theorems`.
    """
    if name not in theorems():
        raise ValueError(f"no file in {FOLDER.name} states a theorem {name}")
    return theorems()[name]


def _stated() -> Iterator[tuple[str, str, int]]:
    for path in files():
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            if match := _THEOREM.match(line):
                yield path.stem, match[1], number


def _axioms(printed: str) -> tuple[str, ...]:
    if printed == _CLOSED:
        return ()
    head, *entries = re.split(r"\n(?=\S)", printed.strip())
    named = [_AXIOM.fullmatch(entry) for entry in entries]
    if head != "Axioms:" or not named or not all(named):
        raise ValueError(f"not what Print Assumptions prints: {printed!r}")
    return tuple(match[1] for match in named if match)
