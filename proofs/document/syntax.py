"""Pieces of GitHub-flavoured markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence

from proofs.document.formulas import displayed, tidy
from proofs.document.plain import GREEK

LEFT, RIGHT = "---", "---:"

_LETTERS = {letter: name for name, letter in GREEK.items()}
_SPECIAL = re.compile(r"([\\`*_<\[\]])")


def prose(text: str) -> str:
    r"""Protect words from being read as markdown, and tidy the formulas in them.

    Args:
        text: Plain words, with formulas between dollars.

    Returns:
        Markdown on one line.

    Example:
        >>> prose(r"2*x*y for every α and $e^{- \alpha}$")
        '2\\*x\\*y for every $\\alpha$ and $e^{-\\alpha}$'
    """
    pieces = " ".join(text.split()).split("$")
    return "".join(
        f"${tidy(piece)}$" if place % 2 else _escaped(piece)
        for place, piece in enumerate(pieces)
    )


def _escaped(words: str) -> str:
    words = _SPECIAL.sub(r"\\\1", words)
    return "".join(rf"$\{_LETTERS[c]}$" if c in _LETTERS else c for c in words)


def sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop.

    Args:
        text: Plain words, with formulas between dollars.

    Returns:
        Markdown on one line.

    Example:
        >>> sentence("all sizes")
        'All sizes.'
    """
    text = prose(text)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", ":")) else f"{text}."


def formula(latex: str) -> str:
    """Display a formula.

    Args:
        latex: The formula.

    Returns:
        A block.
    """
    return f"$$\n{displayed(latex)}\n$$"


def link(name: str, text: str) -> str:
    """Point to a heading.

    Args:
        name: Of the heading.
        text: What is shown, as markdown.

    Returns:
        Markdown on one line.
    """
    return f"[{text}](#{name})"


def heading(name: str, text: str) -> str:
    """Begin a section that links point to.

    Args:
        name: What links call it.
        text: What is shown, as markdown.

    Returns:
        A block.
    """
    return f'## <a id="{name}"></a>{text}'


def table(columns: Mapping[str, str], rows: Iterable[Sequence[str]]) -> str:
    r"""Set rows in columns.

    Args:
        columns: Their headers, ``LEFT`` or ``RIGHT``.
        rows: Cells, as markdown.

    Returns:
        A block.

    Example:
        >>> print(table({"a": LEFT, "b": RIGHT}, [("$|x|$", "1")]))
        | a | b |
        | --- | ---: |
        | $\vert x\vert $ | 1 |
    """
    lines = [columns, columns.values(), *(map(_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Write bars as commands: a bar ends a cell."""
    return text.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def item(marker: str, *blocks: str) -> str:
    """Set blocks as one item of a list.

    Args:
        marker: A dash, or a number and a point.
        blocks: Markdown.

    Returns:
        A block.

    Example:
        >>> print(item("-", "x", "y"))
        - x
        <BLANKLINE>
          y
    """
    text = "\n\n".join(blocks)
    indent = "\n" + " " * (len(marker) + 1)
    return f"{marker} {text}".replace("\n", indent).replace(f"{indent}\n", "\n\n")


def quote(*blocks: str) -> str:
    """Set blocks in a box.

    Args:
        blocks: Markdown.

    Returns:
        A block.

    Example:
        >>> print(quote("x", "y"))
        > x
        >
        > y
    """
    lines = "\n\n".join(blocks).split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def alert(text: str) -> str:
    """Set a text in a box that nobody overlooks.

    Args:
        text: Markdown.

    Returns:
        A block.
    """
    return f"> [!CAUTION]\n> {text}"
