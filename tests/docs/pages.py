"""The built site: its pages, their links and their anchors."""

from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from tests import ROOT

SITE = ROOT / "build" / "docs"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
# Pages of one kind look alike; these are looked at more closely.
KINDS = {
    "home": "index.html",
    "text": "start/two_minutes.html",
    "formulas": "understand/smoothing.html",
    "notebook": "learn/02_convolution.html",
    "function": "lookup/api/certify.html",
    "class": "lookup/api/RelativeSelfAttention.html",
    "module": "lookup/api/accuracy.html",
    "command line": "lookup/command_line.html",
    "table": "lookup/atlas.html",
    "glossary": "lookup/glossary.html",
    "statement": "proofs/leak.html",
    "Coq": "proofs/coq/Expressivity.leak.html",
    "search": "search.html",
    "source": "_modules/expressivity/comparison.html",
}


@dataclass
class Page(HTMLParser):
    """What a page links to, and what can be linked to.

    Attributes:
        links: Addresses of links, pictures, scripts and style sheets.
        anchors: Names that a link may end in.
    """

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)


@cache
def read(path: Path) -> Page:
    """Take a page apart."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere.

    Args:
        page: The file of the page.

    Returns:
        Addresses, as they stand in the page.
    """
    found = []
    for link in read(page).links:
        if link.startswith(("http:", "https:", "data:", "mailto:")):
            continue
        address, _, anchor = link.partition("#")
        file = (page.parent / unquote(address.partition("?")[0])) if address else page
        exists = file.is_file()
        if not exists or (anchor and unquote(anchor) not in read(file).anchors):
            found.append(link)
    return found
