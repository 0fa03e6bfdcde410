"""Output for the user: results on standard output, all else on standard error."""

import errno
import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import Progress, TimeElapsedColumn
from rich.progress import track as rich_track
from rich.segment import Segment
from rich.text import Text

Item = TypeVar("Item")

# A terminal obeys the first three ranges; the others change the direction of text.
_CONTROL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the caller decide what a reader that stops means."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


class _Harmless:
    """A block without control characters."""

    def __init__(self, block: RenderableType) -> None:
        self.block = block

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        for segment in console.render(self.block, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def printable(text: str) -> str:
    r"""Replace control characters, which a terminal obeys instead of showing.

    Args:
        text: Names from files and models, messages of foreign code.

    Returns:
        The same text with a picture for each control character but the end of a line.

    Example:
        >>> printable("layer\x1b[2J")
        'layer␛[2J'
    """
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "�"


def messages() -> Console:
    """Return a console on standard error, for progress and messages."""
    return _Console(stderr=True, highlight=False)


def report_error(message: str) -> None:
    """Print an error in one unbroken line on standard error."""
    line = printable(" ".join(filter(None, map(str.strip, message.splitlines()))))
    text = Text.assemble(("error: ", "bold red"), line)
    messages().print(text, soft_wrap=True)


class _Narrator(logging.Handler):
    """Prints what the package logs, with the seconds since it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.start = time.perf_counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record in one line."""
        seconds = time.perf_counter() - self.start
        line = printable(" ".join(record.getMessage().split()))
        messages().print(Text(f"{seconds:6.1f} s  {line}"), soft_wrap=True)


@contextmanager
def narrated(*, wanted: bool) -> Iterator[None]:
    """Print what the package logs at level INFO on standard error.

    Args:
        wanted: Whether to; else nothing changes.

    Yields:
        Nothing.
    """
    if not wanted:
        yield
        return
    logger, narrator = logging.getLogger("expressivity"), _Narrator()
    level = logger.level
    logger.addHandler(narrator)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(narrator)
        logger.setLevel(level)


def track(items: Iterable[Item], description: str) -> Iterable[Item]:
    """Yield items with a length, and show a progress bar if there is a terminal."""
    console = messages()
    return rich_track(
        items,
        description,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def counter(total: int, *, shown: bool) -> Iterator[Callable[[str, int], object]]:
    """Count steps of named work on a progress bar, if there is a terminal.

    Args:
        total: Number of steps.
        shown: Whether to show the bar.

    Yields:
        A function that takes the name of the work and the number of steps done.
    """
    console = messages()
    quiet = not (shown and console.is_terminal)
    with Progress(
        *Progress.get_default_columns(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=quiet,
    ) as bar:
        task = bar.add_task("training", total=total)
        yield lambda name, steps: bar.update(task, advance=steps, description=name)


def show(stream: TextIO, *blocks: RenderableType) -> None:
    """Print tables, or lines of text that are never wrapped.

    Args:
        stream: Where to print.
        *blocks: From top to bottom.

    Raises:
        BrokenPipeError: If the reader has stopped.
    """
    console = _Console(file=stream, highlight=False)
    for block in blocks:
        text = isinstance(block, (str, Text))
        console.print(_Harmless(block), soft_wrap=text, markup=False)


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
