"""How results show themselves: in one line, as text, and in a notebook."""

import base64
import io
from collections.abc import Iterable
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, cast

from rich.console import Console, RenderableType

from expressivity.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_DPI = 90  # of pictures in a notebook


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


def plotted_html(name: str, *arguments: object, **options: object) -> str:
    """Return a picture of a result for a notebook, or what is missing for it.

    Args:
        name: A function of :mod:`expressivity.plots`.
        *arguments: What it is given.
        **options: Its options.

    Returns:
        An ``img`` element with the picture in it; a sentence without matplotlib.
    """
    try:
        figure = plotted(name, *arguments, **options)
    except MissingDependencyError as error:
        return f"<p>{escape(str(error))}</p>"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{data}">'


def card(title: str, rows: Iterable[tuple[str, str]], text: str = "") -> str:
    """Return a small table for a notebook.

    Args:
        title: What stands above.
        rows: Names and values.
        text: What can be unfolded below.

    Returns:
        HTML.
    """
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th>'
        f'<td style="text-align: left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    more = (
        f"<details><summary>in full</summary><p>{escape(text)}</p></details>"
        if text
        else ""
    )
    return f"<div><strong>{escape(title)}</strong><table>{cells}</table>{more}</div>"
