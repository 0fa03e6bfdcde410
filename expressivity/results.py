"""How results show themselves: in one line, as text, and in a notebook."""

import io
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, cast

from rich.console import Console, RenderableType

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Result:
    """A result with a short ``repr`` and a readable ``str``, which notebooks show."""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def as_text(renderable: RenderableType, width: int = 100) -> str:
    """Return a table as text.

    Args:
        renderable: What rich can print.
        width: Characters in a line.

    Returns:
        The lines.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_jupyter=False)
    console.print(renderable)
    return buffer.getvalue()


def plotted(name: str, *arguments: object, **options: object) -> "Figure":
    """Draw a picture of a result.

    The rooms of results lie below the one of pictures, and matplotlib is an extra: the
    picture is imported when somebody wants it.

    Args:
        name: A function of :mod:`expressivity.plots`.
        *arguments: What it is given.
        **options: Its options.

    Returns:
        The figure.
    """
    draw = getattr(import_module("expressivity.plots"), name)
    return cast("Figure", draw(*arguments, **options))
