r"""Formulas as sympy prints them, made fit to be read.

``tidy`` removes what is there for sympy's sake. ``displayed`` breaks what is too wide
for a page at its relations, and then at its plus and minus signs.
"""

import re
from collections.abc import Callable, Iterator

from proofs.document.plain import plain

WIDE = 68
_SHORT = WIDE // 3
_TINY = 8
_TIDY = (
    # Braces around what is one letter.
    (r"\|\{([^{}|]*)\}\|", r"|\1|"),
    (r"\{(\\[A-Za-z]+|\w)\}_\{", r"\1_{"),
    (r"\\operatorname\{(max|min|det|exp|log)\}", r"\\\1"),
    # A sign in front, and spaces before a bracket.
    (r"([({^_]) *- ", r"\1-"),
    (r"((?:^|=|<|>|\\[lg]e) *)- ", r"\1-"),
    (r" +\)", ")"),
)
_TALL = re.compile(r"\\(left|begin|frac|sum|prod|lim|max|min|int|binom|substack)")
_RELATION = re.compile(r"[=<>]|\\(le|ge|leq|geq|ne|neq|lt|gt|approx|to)")
_ARROW = re.compile(r"\\(implies|iff|Rightarrow|Longrightarrow|Leftrightarrow)")
_TOKEN = re.compile(
    r"(?P<open>\\left(?![A-Za-z])\s*(?:\\[A-Za-z]+|\\?.)|\\begin\{\w+\}|\\\{|[{(\[])"
    r"|(?P<close>\\right(?![A-Za-z])\s*(?:\\[A-Za-z]+|\\?.)|\\end\{\w+\}|\\\}|[})\]])"
    r"|\\[A-Za-z]+|\\.|."
)


def tidy(latex: str) -> str:
    r"""Remove what sympy writes for its own sake.

    Args:
        latex: As sympy prints it.

    Returns:
        The same formula.

    Example:
        >>> tidy(r"- {\delta}_{i} s{\left(k \right)} + e^{- \alpha}")
        '-\\delta_{i} s{(k)} + e^{-\\alpha}'
    """
    latex = _with_small_brackets(latex)
    for pattern, replacement in _TIDY:
        latex = re.sub(pattern, replacement, latex)
    return latex


def _with_small_brackets(latex: str) -> str:
    """Let brackets grow around what is tall only."""
    pieces: list[str] = []
    opened: list[int] = []
    for token in _TOKEN.finditer(latex):
        pieces.append(token[0])
        if (token["open"] or "").startswith(r"\left"):
            opened.append(len(pieces) - 1)
        elif (token["close"] or "").startswith(r"\right"):
            start = opened.pop()
            left, right = pieces[start][5:].strip(), pieces[-1][6:].strip()
            if "." not in (left, right) and not _TALL.search(
                "".join(pieces[start + 1 :])
            ):
                pieces[start], pieces[-1] = left, right
    return "".join(pieces)


def displayed(latex: str) -> str:
    r"""Break a formula that is too wide.

    Args:
        latex: A formula.

    Returns:
        The formula, tidied, in several aligned rows if it needs them.

    Example:
        >>> displayed("x = y")
        'x = y'
        >>> print(displayed("x = " + " + ".join(["long"] * 8) + r" \ge " + "y" * 60))
        \begin{aligned}
        x &= long + long + long + long + long + long + long + long \\
        &\ge yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
        \end{aligned}
    """
    formula = tidy(latex).strip()
    if width(formula) <= WIDE or r"\begin{aligned}" in formula:
        return formula
    parts = [
        _sides(re.sub(r"^\\q?quad\s*", "", part.strip()))
        for part in _split(formula, _is_gap)
    ]
    aligned = all(
        len(part) > 1 and width(part[0]) <= _SHORT and not _ARROW.match(part[1])
        for part in parts
    )
    rows: list[str] = []
    for part in parts:
        is_range = len(part) == 1 and part[0].startswith("(")
        if is_range and rows and width(rows[-1] + part[0]) <= WIDE:
            rows[-1] += rf"\quad {part[0]}"
        else:
            rows += _rows(part, aligned=aligned)
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def width(latex: str) -> int:
    """Estimate how wide a formula is.

    Args:
        latex: A formula.

    Returns:
        A number of letters.
    """
    text = plain(latex, fraction=lambda above, below: max(above, below, key=len))
    return len(re.sub(r"[^\w\s]?\[[^]]*…[^]]*\]", "Σ ", text))


def _sides(formula: str) -> list[str]:
    """Cut a formula at its arrows, or else at its relations."""
    pieces = _split(formula, _is_arrow)
    return pieces if len(pieces) > 1 else _split(formula, _is_relation)


def _rows(sides: list[str], *, aligned: bool) -> Iterator[str]:
    """Set one formula, cut at its relations, in rows that fit."""
    first, *others = (side.strip() for side in sides)
    if aligned:
        first, *others = f"{first} &{others[0]}", *others[1:]
    else:
        first = f"&{first}"
    row, fits = first, width("".join(sides)) <= WIDE
    for side in others:
        joined = fits or not aligned or width(side) < _TINY
        if joined and width(row + side) <= WIDE:
            row += f" {side}"
        else:
            yield from _sums(row)
            row = f"&{side}" if aligned else rf"&\quad {side}"
    yield from _sums(row)


def _sums(row: str) -> Iterator[str]:
    """Break a row that is still too wide before its terms, then before its factors."""
    terms = _packed(_split(row, _is_sign))
    first, *others = (
        line for term in terms for line in _packed(_split(term, _is_factor))
    )
    yield first
    yield from (rf"&\qquad {line}" for line in others)


def _packed(pieces: list[str]) -> Iterator[str]:
    """Join pieces as long as they fit."""
    line = ""
    for piece in pieces:
        if line and width(line + piece) > WIDE:
            yield line.strip()
            line = ""
        line += piece
    yield line.strip()


def _split(latex: str, begins: Callable[[str, str], bool]) -> list[str]:
    """Cut a formula where something begins, but inside no brackets.

    Args:
        latex: The formula.
        begins: Whether a token is the first of a piece, given the text before it.

    Returns:
        The pieces.
    """
    depth, pieces = 0, [""]
    for token in _TOKEN.finditer(latex):
        depth -= token["close"] is not None
        if depth == 0 and begins(token[0], pieces[-1].strip()):
            pieces.append("")
        depth += token["open"] is not None
        pieces[-1] += token[0]
    return pieces


def _is_gap(token: str, before: str) -> bool:
    return token in (r"\quad", r"\qquad") and bool(before)


def _is_relation(token: str, before: str) -> bool:
    return bool(before and _RELATION.fullmatch(token))


def _is_arrow(token: str, before: str) -> bool:
    return bool(before and _ARROW.fullmatch(token))


def _is_sign(token: str, before: str) -> bool:
    signed = re.search(r"(^|[=<>&(,+-]|\\(le|ge|leq|geq|quad|cdot|times))$", before)
    return token in ("+", "-") and not signed


def _is_factor(token: str, before: str) -> bool:
    return token in ("(", r"\left(") and before.endswith(")")
