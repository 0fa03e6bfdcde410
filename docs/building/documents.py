"""Documents of the repository as pages: pieces are put in, links lead to pages."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docs.building.navigation import DOCUMENTS
from proofs.document.myst import TARGET

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs"
EXPLORER = "explorer.html"

_FENCE = re.compile(r"(^```.*?^```$|^~~~.*?^~~~$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s]+)\)")
_INCLUDE = re.compile(r"^<!-- include: (?P<path>\S+) (?P<piece>\S+) -->$", re.MULTILINE)
_MARKER = re.compile(r"^<!-- \S+: (begin|end) -->\n", re.MULTILINE)
_STATEMENT = re.compile(r"proofs/statements/\w+/(?P<name>\w+)\.py")
_COQ = re.compile(r"proofs/coq/(?P<name>\w+)\.v")


def piece(text: str, name: str) -> str:
    r"""Return what stands between the markers of a piece.

    Args:
        text: A document.
        name: The name of the piece.

    Returns:
        The text between the markers.

    Raises:
        ValueError: If the document does not have it, once.

    Example:
        >>> piece("<!-- a: begin -->\\nhere\\n<!-- a: end -->\\n", "a")
        'here'
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the document needs {begin.strip()} and {end}, once each")
    return text.partition(begin)[2].partition(end)[0].strip("\n")


def hand_written() -> dict[str, str]:
    """Return the documents of the site, and the file that each becomes.

    Returns:
        Paths in the repository, and paths below the folder that Sphinx reads.
    """
    own = {
        path.relative_to(ROOT).as_posix(): path.relative_to(FOLDER).as_posix()
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in (".md", ".png")
    }
    return {**DOCUMENTS, **own}


@dataclass(frozen=True)
class Site:
    """Where everything of the repository is on the site.

    Attributes:
        places: Documents by their path in the repository, as :func:`hand_written`.
        theorem: The address of a line of a Coq file, below the root of the site.
    """

    places: Mapping[str, str]
    theorem: Callable[[str, int | None], str]

    def page(self, path: str) -> str:
        """Return a document as a page.

        Args:
            path: In the repository.

        Returns:
            MyST, or a notebook.
        """
        text = (ROOT / path).read_text(encoding="utf-8")
        here = self.places[path]
        if not path.endswith(".ipynb"):
            text = _INCLUDE.sub(lambda found: self._included(found, here), text)
            return _MARKER.sub("", self.linked(text, path, here))
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = self.linked("".join(cell["source"]), path, here)
        return json.dumps(notebook)

    def linked(self, text: str, path: str, here: str) -> str:
        """Let the links of a text lead to pages.

        Args:
            text: Markdown, outside of fences.
            path: The document in the repository that it stands in.
            here: The page that it becomes a part of.

        Returns:
            The text with other links. What the site does not have is no link.
        """
        pieces = _FENCE.split(text)
        for place in range(0, len(pieces), 2):
            pieces[place] = _LINK.sub(
                lambda found: self._link(found, path, here), pieces[place]
            )
        return "".join(pieces)

    def _included(self, found: re.Match[str], here: str) -> str:
        text = (ROOT / found["path"]).read_text(encoding="utf-8")
        return self.linked(piece(text, found["piece"]), found["path"], here)

    def _link(self, found: re.Match[str], path: str, here: str) -> str:
        text, target = found["text"], found["target"]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        name, _, anchor = target.partition("#")
        where = PurePosixPath(os.path.normpath(PurePosixPath(path).parent / name))
        place = self.places.get(str(where))
        if place is None and where.parts[0] == "docs" and where.suffix == ".md":
            place = str(where.relative_to("docs"))  # it is generated
        if place is not None:
            after = f"#{anchor}" if anchor else ""
            return f"{text}({_from(here, place)}{after})"
        shown = text.removeprefix("[").removesuffix("]")
        if statement := _STATEMENT.fullmatch(str(where)):
            return f"{text}(#{TARGET}{statement['name']})"
        if _COQ.fullmatch(str(where)):
            line = int(anchor.removeprefix("L")) if anchor else None
            return anchor_tag(_from(here, self.theorem(where.name, line)), shown)
        if where.name == EXPLORER:
            return anchor_tag(_from(here, EXPLORER), shown)
        return shown


def anchor_tag(address: str, text: str) -> str:
    """Return a link to what Sphinx does not know, such as a line of a Coq file."""
    words = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    return f'<a class="reference internal" href="{address}">{words}</a>'


def _from(here: str, target: str) -> str:
    return PurePosixPath(os.path.relpath(target, PurePosixPath(here).parent)).as_posix()
