"""Pages of the Coq development, made by coqdoc from the compiled files."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.building.api import toctree
from proofs.formal import FOLDER, files, theorems

_NOTICE = """\
:::{{admonition}} The sources are not on this copy of the site
:class: warning
{reason} [The table](theorems.md) lists the theorems, and links to them end there.
:::
"""
_TITLE = re.compile(r"^\(\*+\)\n\(\* (?P<title>.*?)\s*\*\)", re.MULTILINE)


_PLACE = re.compile(r'<a id="([^"]*)"')
_REFERENCE = re.compile(
    r'<a class="idref" href="(?P<file>[^"#]*)#(?P<name>[^"]*)">(?P<inside>.*?)</a>'
)


@dataclass(frozen=True)
class Development:
    """The Coq files, if coqdoc could read them.

    Attributes:
        bodies: HTML by the name of a file, without its ending.
        reason: Why there is none.
    """

    bodies: dict[str, str]
    reason: str = ""

    @classmethod
    def read(cls) -> "Development":
        """Compile the files and run coqdoc, on a machine that has Coq."""
        if not (shutil.which("coqc") and shutil.which("coqdoc")):
            return cls({}, "The machine that built it has no Coq.")
        compiled = subprocess.run(
            ["make", "-C", str(FOLDER), "theory"],
            capture_output=True,
            text=True,
            check=False,
        )
        if compiled.returncode:
            return cls({}, "The machine that built it lacks a library of Coq.")
        with TemporaryDirectory() as folder:
            _coqdoc(Path(folder))
            bodies = {
                path.stem: _body(Path(folder) / f"Expressivity.{path.stem}.html")
                for path in files()
            }
        return cls(linked(bodies))

    def theorem(self, file: str, line: int | None) -> str:
        """Return the address of a line of a file, below the root of the site."""
        stem = file.removesuffix(".v")
        if stem not in self.bodies:
            return "proofs/coq/theorems.html"
        named = [
            t.name for t in theorems().values() if (t.file, t.line) == (file, line)
        ]
        anchor = f"#{named[0]}" if named else ""
        return f"proofs/coq/Expressivity.{stem}.html{anchor}"

    def theorems(self) -> dict[str, str]:
        """Return the address of every theorem, below the root of the site."""
        return {
            name: self.theorem(found.file, found.line)
            for name, found in theorems().items()
        }

    def pages(self) -> Iterator[tuple[str, str]]:
        """Write a page for every file.

        Yields:
            Paths below the root of the site, and MyST.
        """
        for path in files():
            if body := self.bodies.get(path.stem):
                title = f"{path.name}: {_title(path)}"
                inside = f'<div class="coq">\n{body}\n</div>'
                yield (
                    f"proofs/coq/Expressivity.{path.stem}.md",
                    f"# {title}\n\n````{{raw}} html\n{inside}\n````\n",
                )

    def notice(self) -> str:
        """Say why there are no pages; nothing if there are."""
        return "" if self.bodies else _NOTICE.format(reason=self.reason)

    def contents(self) -> str:
        """Name the pages below that of the development."""
        names: Sequence[str] = [f"Expressivity.{name}" for name in self.bodies]
        return toctree(["theorems", *names])


def _coqdoc(folder: Path) -> None:
    options = (
        *("--html", "--utf8", "--body-only", "--no-index", "--no-externals"),
        *("--parse-comments", "-R", ".", "Expressivity"),
    )
    subprocess.run(
        ["coqdoc", *options, "-d", str(folder), *(path.name for path in files())],
        cwd=FOLDER,
        check=True,
        capture_output=True,
    )


def _body(path: Path) -> str:
    """Return what coqdoc wrote, without its own heading."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'<h1 class="libtitle">.*?</h1>', "", text, count=1)


def linked(bodies: dict[str, str]) -> dict[str, str]:
    """Leave out the links to bound variables, which coqdoc gives no place.

    Args:
        bodies: HTML by the name of a file, without its ending.

    Returns:
        The same, with text in place of such links.
    """
    places = {
        f"Expressivity.{stem}.html#{name}"
        for stem, body in bodies.items()
        for name in _PLACE.findall(body)
    }

    def checked(found: re.Match[str]) -> str:
        here = found["file"] or f"Expressivity.{stem}.html"
        exists = f"{here}#{found['name']}" in places
        return found[0] if exists else found["inside"]

    mended = {}
    for stem, body in bodies.items():
        mended[stem] = _REFERENCE.sub(checked, body)
    return mended


def _title(path: Path) -> str:
    found = _TITLE.search(path.read_text(encoding="utf-8"))
    return found["title"].rstrip(".") if found else path.stem
