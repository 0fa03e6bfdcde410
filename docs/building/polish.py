"""What the theme leaves undone: names for screen readers, links of sources."""

import re
from functools import partial
from pathlib import Path

# Everything that may scroll is reached from the keyboard; regions and captions have
# names and levels; the lines of a long signature are no list of definitions.
_EVERYWHERE = (
    (
        r'<p class="caption" role="heading">',
        r'<p class="caption" role="heading" aria-level="2">',
    ),
    (
        r'<aside class="sidebar-drawer">',
        r'<aside class="sidebar-drawer" aria-label="Pages">',
    ),
    (
        r'<aside class="toc-drawer',
        r'<aside aria-label="On this page" class="toc-drawer',
    ),
    (r"<pre>", r'<pre tabindex="0">'),
    (r'<div class="table-wrapper', r'<div tabindex="0" class="table-wrapper'),
    (r">Variables<span", r">Attributes<span"),
    (r"<div class=\"coq\">", r'<div class="coq" tabindex="0">'),
)
_SIGNATURE = re.compile(r"<dl>\n(?P<lines>(?:<dd>.*</dd>\n)+)</dl>")
_MAIN = '<article role="main" id="furo-main-content">'
_BACK = re.compile(r'<a class="viewcode-back" href="(?P<page>[^"#]*)#(?P<name>[^"]*)">')
_ANCHOR = re.compile(r'\bid="([^"]*)"')


def polish(folder: Path) -> None:
    """Mend every page of a site.

    Args:
        folder: Where Sphinx wrote it.
    """
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for pattern, replacement in _EVERYWHERE:
            text = re.sub(pattern, replacement, text)
        text = _SIGNATURE.sub(_lines, text)
        if path.name == "search.html":
            text = text.replace(_MAIN, f"{_MAIN}\n<h1>Search</h1>")
        text = _BACK.sub(partial(_documented, path.parent), text)
        path.write_text(text, encoding="utf-8")


def _lines(found: re.Match[str]) -> str:
    lines = found["lines"].replace("<dd>", '<span class="sig-line">')
    return lines.replace("</dd>", "</span>")


def _documented(folder: Path, found: re.Match[str]) -> str:
    """Let a source link to the name under which it is documented."""
    page = (folder / found["page"]).read_text(encoding="utf-8")
    anchors = set(_ANCHOR.findall(page))
    name = found["name"]
    while name not in anchors and "." in name:
        name = name.partition(".")[2]
        name = min(
            (a for a in anchors if a.endswith(f".{name}")), key=len, default=name
        )
    return f'<a class="viewcode-back" href="{found["page"]}#{name}">'
