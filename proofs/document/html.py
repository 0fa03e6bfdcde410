"""The document as one HTML file: MathML, a style sheet, no scripts, no network."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from proofs.document.mathml import mathml
from proofs.document.parsing import ALERT, parser

_STYLE = Path(__file__).with_name("style.css")
_LABELS = ("decided", "refuted", "source", "scope", "kinds", "not")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Sections">
{sections}
</nav>
<main>
{body}</main>
</body>
</html>
"""


def to_html(markdown: str) -> str:
    """Turn the document into a page.

    Args:
        markdown: The document, as written here.

    Returns:
        HTML that needs no other files.
    """
    reader = parser(_mathml)
    reader.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = reader.parse(markdown)
    _classify(tokens)
    return _PAGE.format(
        title=escape(tokens[1].content),
        style=_STYLE.read_text(encoding="utf-8"),
        sections="\n".join(_sections(reader, tokens)),
        body=reader.renderer.render(tokens, reader.options, {}),
    )


def _mathml(latex: str, options: dict[str, Any]) -> str:
    return mathml(latex, display=options["display_mode"])


def _classify(tokens: Sequence[Token]) -> None:
    """Tell the style sheet what paragraphs and boxes are by how they begin."""
    for opening, inner, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "blockquote_open" and inline.content.startswith(ALERT):
            opening.attrSet("class", "alert")
            inline.children = (inline.children or [])[2:]
        if opening.type == "paragraph_open":
            label = re.match(r"\*+(\w+)", inner.content)
            if label and label[1].lower() in _LABELS:
                opening.attrSet("class", label[1].lower())


def _sections(reader: MarkdownIt, tokens: Sequence[Token]) -> Iterator[str]:
    """List the sections with links to them."""
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            anchor, _, *words = inline.children or []
            name = re.sub(r'.*id="(\w+)".*', r"\1", anchor.content)
            text = reader.renderer.render(words, reader.options, {})
            yield f'<a href="#{name}">{text}</a>'
