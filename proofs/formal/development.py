"""The theorems of the Coq development, and the axioms that Coq says they rest on."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "coq"

_THEOREM = re.compile(r"(?:Theorem|Corollary) (\w+)")
_ASSUMPTIONS = re.compile(
    r"^Constant Expressivity\.(\w+)\.(\w+)\n(.*?)(?=^Constant |\Z)", re.M | re.S
)
_CLOSED = "Closed under the global context\n"
_AXIOM = re.compile(r"^([\w.]+)\s*:", re.M)


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
def theorems() -> dict[str, Theorem]:
    """Return all theorems, with what Coq printed about them last.

    Returns:
        Theorems by name, in the order of the files.

    Raises:
        ValueError: If Coq has not yet seen the sources as they are now, or if two
            theorems share a name.

    Example:
        >>> theorems()["smoothing_identity"].axioms
        ()
    """
    printed = (FOLDER / "assumptions.txt").read_text(encoding="utf-8")
    if not printed.startswith(digest()):
        raise ValueError("assumptions.txt is of other Coq sources: run make coq")
    axioms = {
        (file, name): _axioms(text)
        for file, name, text in _ASSUMPTIONS.findall(printed)
    }
    found: dict[str, Theorem] = {}
    for path in files():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if not (match := _THEOREM.match(line)):
                continue
            name = match[1]
            if name in found:
                raise ValueError(
                    f"{name} is stated in {found[name].file} and {path.name}"
                )
            found[name] = Theorem(name, path.name, number, axioms[path.stem, name])
    return found


def _axioms(printed: str) -> tuple[str, ...]:
    if printed == _CLOSED:
        return ()
    head, _, listed = printed.partition("\n")
    names = tuple(_AXIOM.findall(listed))
    if head != "Axioms:" or not names:
        raise ValueError(f"not what Print Assumptions prints: {printed!r}")
    return names
