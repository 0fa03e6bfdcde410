"""What the user sees: results on standard output, all else on standard error."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import typer
from rich.console import Console, RenderableType
from rich.progress import track as rich_track
from rich.text import Text

Item = TypeVar("Item")


def results() -> Console:
    """Return the console for results.

    Returns:
        A console on standard output.
    """
    return Console(highlight=False)


def messages() -> Console:
    """Return the console for progress and messages.

    Returns:
        A console on standard error.
    """
    return Console(stderr=True, highlight=False)


def report_error(message: str) -> None:
    """Print an error in one unbroken line.

    Args:
        message: What was required, what came, what to do.
    """
    text = Text.assemble(("error: ", "bold red"), message)
    messages().print(text, soft_wrap=True)


def track(items: Iterable[Item], description: str) -> Iterable[Item]:
    """Show a progress bar on a terminal while iterating.

    Args:
        items: Anything with a length.
        description: What is being done.

    Returns:
        The same items.
    """
    console = messages()
    return rich_track(
        items,
        description,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show(*blocks: RenderableType) -> None:
    """Print tables, or lines of text that are never wrapped.

    Args:
        *blocks: From top to bottom.
    """
    console = results()
    for block in blocks:
        text = isinstance(block, (str, Text))
        console.print(block, soft_wrap=text, markup=False)


def show_json(document: Mapping[str, object]) -> None:
    """Print one JSON object.

    Args:
        document: As :func:`to_json` takes it.
    """
    typer.echo(to_json(document), nl=False)


def to_json(document: Mapping[str, object]) -> str:
    """Write a document as JSON that every reader accepts.

    Args:
        document: Mappings, sequences, strings, numbers, paths and ``None``.

    Returns:
        Indented JSON with a final newline. It has no numbers for NaN and the
        infinities: they become the strings that Python's ``float`` reads.

    Example:
        >>> json.loads(to_json({"error": float("inf"), "heads": (9, 1)}))
        {'error': 'inf', 'heads': [9, 1]}
    """
    return json.dumps(_plain(document), indent=2, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, int) else str(value)
