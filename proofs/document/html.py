"""The document as one HTML file: MathML, a style sheet, no scripts, no network."""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token

from proofs.document.parsing import ALERT, parser

_STYLE = Path(__file__).with_name("style.css")
_LABELS = ("decided", "refuted", "source", "scope", "kinds", "not")
# What latex2mathml does not know, or does not set as LaTeX does, in its input ...
_REWRITTEN = (
    (r"\{aligned\}", "{split}"),
    (r"\\(sum|prod)_", r"\\\1\\limits_"),
    (r"\\(arg)(?![A-Za-z])", r"\\operatorname{\1}"),
    (r"\\colon(?![A-Za-z])", ":"),
    (r"\\!", ""),
)
_LIMITS_BELOW = (r"\\(lim|max|min|sup|inf)_", r"\\\1\\limits_")
# ... and in its output: the spaces around names of functions, around bars and slashes;
# a sign after a relation is no difference; a prime is raised by its font already;
# arrows are operators and infinity is none; Greek capitals are upright.
_NAME = r"<m(?:i|o|o movablelimits=\"true\")>([A-Za-z]{2,})</m[io]>"
_THIN = 'lspace="0.167em" rspace="0.167em"'
_BARS = r"(\||/|&#x0(?:007C|002F|2016);)"
_RELATIONS = r"&#x0(?:0028|002C|003C|003D|003E|2264|2265);"
_PRIME = '<mo lspace="0" rspace="0">&#x02032;</mo>'
_PART = r"(<m(?:i|n|row)>(?:(?!</?mrow).)*?</m(?:i|n|row)>)"
_CORRECTED = (
    (_NAME, rf"<mo {_THIN}>\1</mo>"),
    (
        rf"{_THIN}(>\w+</mo>(?:<mrow>)*<mo[^>]*>&#x00028;)",
        r'lspace="0.167em" rspace="0"\1',
    ),
    (r"<mi>(&#x0(?:21D|27F)\w;)</mi>", r"<mo>\1</mo>"),
    (rf"<mo(?![^>]*form)([^>]*)>{_BARS}</mo>", r'<mo lspace="0" rspace="0"\1>\2</mo>'),
    (
        rf"(<mi />|<mo[^>]*>{_RELATIONS}</mo>)<mo>&#x02212;</mo>",
        r'\1<mo form="prefix">&#x02212;</mo>',
    ),
    (
        r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>",
        rf"<mrow>\1{_PRIME}</mrow>",
    ),
    (
        rf"<msubsup>(<mi>[^<]*</mi>){_PART}<mi>&#x02032;</mi></msubsup>",
        rf"<msub><mrow>\1{_PRIME}</mrow>\2</msub>",
    ),
    (r"<mo>(&#x0221E;)</mo>", r"<mi>\1</mi>"),
    (r"<mi>(&#x003(?:9[1-9A-F]|A[0-9]);)</mi>", r'<mi mathvariant="normal">\1</mi>'),
)
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
    display = options["display_mode"]
    rewritten = (*_REWRITTEN, _LIMITS_BELOW) if display else _REWRITTEN
    mathml = convert(
        _replaced(latex, rewritten), display="block" if display else "inline"
    )
    return _replaced(mathml, _CORRECTED)


def _replaced(text: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


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
