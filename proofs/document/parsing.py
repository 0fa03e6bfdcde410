"""The markdown that the other formats are made from, taken apart."""

from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ALERT = "[!CAUTION]"


def parser(renderer: Callable[[str, dict[str, Any]], str] | None = None) -> MarkdownIt:
    """Return a parser of the markdown that is written here.

    Args:
        renderer: Turns formulas into HTML.

    Returns:
        A parser that knows tables and formulas between dollars.
    """
    options = {"typographer": True, "quotes": "“”‘’"}
    markdown = MarkdownIt("commonmark", options).enable(["table", "smartquotes"])
    return markdown.use(
        dollarmath_plugin, double_inline=False, allow_labels=False, renderer=renderer
    )
