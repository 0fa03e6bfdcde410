"""Time and memory of every evaluation against the number of tokens."""

from typing import TYPE_CHECKING, NamedTuple

from expressivity.bench import Document, growth_exponent
from expressivity.bench.contenders import DENSE, FUSED, HARD, SATURATED, SOFT
from expressivity.bench.document import BASELINE
from expressivity.bench.suites import GROWTH
from expressivity.errors import InputError
from expressivity.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SMALL_TEXT,
    TEXT,
    VERMILLION,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MIB = 2**20
_MARKER, _WIDTH = 4.5, 1.4
_ROOM, _APART = 6.0, 1.5


class _Line(NamedTuple):
    color: str
    marker: str
    dashes: str
    label: str


# The steepest first, as the legend lists them.
_LINES = {
    DENSE: _Line(VERMILLION, "s", "-", "dense attention"),
    FUSED: _Line(ORANGE, "D", "--", "fused attention"),
    SOFT: _Line(BLUE, "o", "-", "separable, α = 1"),
    HARD: _Line(GREEN, "^", ":", "separable, α = 4"),
    SATURATED: _Line(PURPLE, "v", "--", "separable, saturated"),
    BASELINE: _Line(BLACK, "x", "-", "nn.Conv2d"),
}


def plot_growth(document: Document, *, figure: "Figure | None" = None) -> "Figure":
    """Draw time and memory of one layer against the number of tokens.

    Args:
        document: The raw numbers, from ``expressivity bench``.
        figure: Where to draw; by default a new figure of 8 × 3.4 inches.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        InputError: If the document holds no growth curve.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        A document is what ``expressivity bench --output run.json`` wrote.

        >>> from expressivity.bench import read_document
        >>> plot_growth(read_document("run.json")).savefig("g.png")  # doctest: +SKIP
    """
    sides = sorted({
        round(m.tokens**0.5) for m in document.measurements if m.suite == GROWTH
    })
    if not sides:
        raise InputError("the document needs a growth curve, got none: measure again")
    figure = new_figure(8.0, 3.4) if figure is None else figure
    named = _apart(sides)
    time, memory = figure.subplots(1, 2)
    for name, line in _LINES.items():
        rows = list(document.of(GROWTH, name))
        tokens = [m.tokens for m in rows]
        exponent = growth_exponent(document, name)
        power = "" if exponent is None else f": time $\\propto N^{{{exponent:.2f}}}$"
        seconds = [m.seconds or 0.0 for m in rows]
        mebibytes = [(m.bytes or 0) / _MIB for m in rows]
        _draw(time, line, tokens, seconds, line.label)
        _draw(memory, line, tokens, mebibytes, line.label + power)
    time.set_ylabel("time of one call  (s)", fontsize=TEXT)
    memory.set_ylabel("memory of one call  (MiB)", fontsize=TEXT)
    for axes in (time, memory):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([side * side for side in named])
        axes.set_xticklabels([f"{side}²" for side in named])
        axes.minorticks_off()
        axes.set_xlabel("tokens  (pixels)", fontsize=TEXT)
        axes.tick_params(labelsize=SMALL_TEXT)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=FAINT, alpha=0.2, linewidth=0.5)
    # Every curve rises to the right, so that the lower right is free.
    memory.set_ylim(bottom=memory.get_ylim()[0] / _ROOM)
    memory.legend(loc="lower right", fontsize=SMALL_TEXT - 1, frameon=False)
    return figure


def _apart(sides: list[int]) -> list[int]:
    """Return the largest sizes whose labels do not touch."""
    named: list[int] = []
    for side in reversed(sides):
        if not named or named[-1] >= _APART * side:
            named.append(side)
    return named[::-1]


def _draw(
    axes: "Axes",
    line: _Line,
    tokens: list[int],
    values: list[float],
    label: str,
) -> None:
    axes.plot(
        tokens,
        values,
        color=line.color,
        marker=line.marker,
        linestyle=line.dashes,
        ms=_MARKER,
        lw=_WIDTH,
        label=label,
    )
