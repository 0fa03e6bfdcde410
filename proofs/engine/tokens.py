r"""The tokens of a formula in LaTeX, and the names that it may begin with."""

import re
from collections.abc import Mapping
from typing import Any

Names = Mapping[str, Any]

_SPACE = re.compile(r"(?:\\[,;:! ]|\\q?quad(?![a-zA-Z])|\s|~)+")
_SIZE = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\s*")
_TOKEN = re.compile(
    r"\\(?:mathrm|operatorname|text)\{[^{}]*\}|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|."
)


class NotationError(ValueError):
    """A formula that cannot be read."""


def plain(text: str) -> str:
    r"""Write a name in one way, without sizes, spaces and needless braces.

    Args:
        text: A name, in LaTeX.

    Returns:
        The name.

    Example:
        >>> plain(r"W_{i} \, \big(k \big)")
        'W_i(k)'
    """
    text = _SIZE.sub("", text)
    text = re.sub(r"\s+", "", _SPACE.sub(" ", text).strip())
    return re.sub(r"_\{(\w|\\[A-Za-z]+)\}", r"_\1", text)


class Scanner:
    """Steps through a formula, token by token.

    Attributes:
        text: The formula, its brackets without sizes.
        place: Where the next token begins, or the space before it.
    """

    def __init__(self, text: str) -> None:
        self.text = _SIZE.sub("", text)
        self.place = 0

    def peek(self) -> str:
        """Return the next token; nothing at the end."""
        if space := _SPACE.match(self.text, self.place):
            self.place = space.end()
        token = _TOKEN.match(self.text, self.place)
        return token[0] if token else ""

    def take(self, expected: str = "") -> str:
        """Return the next token and step over it.

        Args:
            expected: What it has to be; anything, if empty.

        Returns:
            The token.

        Raises:
            NotationError: If it is another.
        """
        token = self.peek()
        if expected and token != expected:
            raise NotationError(f"{expected} instead of {self.text[self.place :]!r}")
        self.place += len(token)
        return token

    def ends(self, rest: str) -> list[int]:
        """Return where a name may end: neither in a word nor in a group."""
        places = []
        depth = 0
        position = 0
        while position < min(len(rest), 120):
            token = _TOKEN.match(rest, position)
            if token is None:
                break
            position = token.end()
            depth += (token[0] in "{(") - (token[0] in "})")
            if depth < 0:
                break
            if depth == 0:
                places.append(position)
        return places
