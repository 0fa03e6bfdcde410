"""The document as a LaTeX article."""

import re

from markdown_it.tree import SyntaxTreeNode

from proofs.document.parsing import ALERT, parser
from proofs.document.plain import GREEK, SCRIPTS, SIGNS, words

_ESCAPED = {character: rf"\{character}" for character in "%&#_${}"}
_ESCAPED |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_ESCAPED |= {"^": r"\textasciicircum{}", "<": r"\ensuremath{<}", ">": r"\ensuremath{>}"}
_ESCAPED |= {"“": "``", "”": "''", "‘": "`", "’": "'", "–": "--", "—": "---"}
_ESCAPED |= {
    sign.strip(): rf"\ensuremath{{\{name}}}"
    for name, sign in (*SIGNS.items(), *GREEK.items())
    if not sign.strip().isascii()
}
_ESCAPED |= {
    chr(small): rf"\ensuremath{{{mark}{{{chr(normal)}}}}}"
    for mark, letters in SCRIPTS.items()
    for normal, small in letters.items()
    if chr(normal).isascii()
}
_LISTS = {"bullet_list": "itemize", "ordered_list": "enumerate"}
_MARKS = {"strong": "textbf", "em": "emph"}
# Table columns, in letters, and what a letter and a gap take of a line.
_SHORT, _LONGEST = 20, 90
_LETTER, _PADDING = 0.013, 0.03
_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern,microtype}
\usepackage{amsmath,amssymb,amsthm}
\usepackage{array,booktabs,longtable}
\usepackage[margin=28mm]{geometry}
\usepackage[hidelinks]{hyperref}
\newtheorem{statement}{Statement}
\allowdisplaybreaks
\setlength{\emergencystretch}{3em}
"""


def to_latex(markdown: str) -> str:
    """Turn the document into an article.

    Args:
        markdown: The document, as written here.

    Returns:
        LaTeX for pdflatex, with packages that every installation has.
    """
    body = _blocks(SyntaxTreeNode(parser().parse(markdown)))
    body = body.replace("\n\n\\[", "\n\\[")  # a formula is part of its paragraph
    return f"{_PREAMBLE}\\begin{{document}}\n\n{body}\n\\end{{document}}\n"


def _blocks(node: SyntaxTreeNode) -> str:
    return "\n".join(_block(child) for child in node.children)


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            return _heading(node)
        case "blockquote":
            return _box(node)
        case "bullet_list" | "ordered_list":
            name = _LISTS[node.type]
            items = "".join(f"\\item {_blocks(entry)}" for entry in node.children)
            return f"\\begin{{{name}}}\n{items}\\end{{{name}}}\n"
        case "math_block":
            lines = (line.strip() for line in node.content.strip().splitlines())
            return "\n".join(("\\[", *lines, "\\]\n"))
        case "table":
            return _table(node)
        case _:
            return f"{_inline(node.children[0])}\n"


def _heading(node: SyntaxTreeNode) -> str:
    text = _inline(node.children[0])
    if node.tag == "h1":
        return f"\\title{{{text}}}\n\\author{{}}\n\\date{{}}\n\\maketitle\n"
    if node.tag == "h3":
        return f"\\subsection*{{{text}}}\n"
    anchor = re.search(r'id="(\w+)"', node.children[0].content)
    label = f"\\phantomsection\\label{{{anchor[1]}}}" if anchor else ""
    title, numbered = re.subn(r"^\d+\. ", "", text)
    return f"\\section{'' if numbered else '*'}{{{title}}}{label}\n"


def _box(node: SyntaxTreeNode) -> str:
    """Set a statement, or an alarm."""
    first, *others = node.children
    inline = first.children[0]
    rest = "\n".join(_block(child) for child in others)
    if inline.content.startswith(ALERT):
        text = _children(inline, skipped=2)
        framed = f"\\fbox{{\\parbox{{0.9\\linewidth}}{{{text}}}}}"
        return f"\\begin{{center}}\n{framed}\n\\end{{center}}\n{rest}"
    # The lead, "Statement 3 (Title).", is what the environment writes itself.
    title = re.search(r" \((.*)\)\.", _inline(inline.children[1]))
    name = f"[{title[1]}]" if title else ""
    text = _children(inline, skipped=2).strip()
    return f"\\begin{{statement}}{name}\n{text}\n{rest}\\end{{statement}}\n"


def _inline(node: SyntaxTreeNode) -> str:
    if node.type == "text":
        return "".join(_ESCAPED.get(c, c) for c in node.content)
    if node.type == "math_inline":
        return f"${node.content}$"
    if node.type in _MARKS:
        return f"\\{_MARKS[node.type]}{{{_children(node)}}}"
    if node.type == "link":
        return f"\\hyperref[{str(node.attrs['href'])[1:]}]{{{_children(node)}}}"
    return " " if node.type == "softbreak" else _children(node)


def _children(node: SyntaxTreeNode, skipped: int = 0) -> str:
    return "".join(_inline(child) for child in node.children[skipped:])


def _table(node: SyntaxTreeNode) -> str:
    rows = [row for part in node.children for row in part.children]
    cells = [[_children(cell.children[0]) for cell in row.children] for row in rows]
    header, *body = (f"{' & '.join(row)} \\\\" for row in cells)
    lines = ["\\toprule", header, "\\midrule", "\\endhead", *body, "\\bottomrule"]
    columns = _columns(rows)
    return "\n".join((
        f"\\begin{{longtable}}{{{columns}}}",
        *lines,
        "\\end{longtable}\n",
    ))


def _columns(rows: list[SyntaxTreeNode]) -> str:
    """Give long texts a share of the line, as they need it; numbers go to the right."""
    columns = list(zip(*(row.children for row in rows), strict=True))
    lengths = [max(_length(cell) for cell in column) for column in columns]
    long = [min(length, _LONGEST) for length in lengths if length > _SHORT]
    left = 1 - sum(_PADDING + _LETTER * n for n in lengths if n <= _SHORT)
    kinds = []
    for column, length in zip(columns, lengths, strict=True):
        if length > _SHORT:
            share = left * min(length, _LONGEST) / sum(long)
            size = rf"\dimexpr{share:.3f}\linewidth-2\tabcolsep"
            kinds.append(rf">{{\raggedright\arraybackslash}}p{{{size}}}")
        else:
            kinds.append("r" if "right" in str(column[0].attrs.get("style")) else "l")
    return f"@{{}}{''.join(kinds)}@{{}}"


def _length(cell: SyntaxTreeNode) -> int:
    text = re.sub(r"\[(.*)\]\(#.*\)|\*\*", r"\1", cell.children[0].content)
    return len(words(text))
