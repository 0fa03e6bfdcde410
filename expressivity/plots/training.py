"""What training found: curves with their spread, and where heads went."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
    check_figure,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Course = tuple[Sequence[float], Sequence[Sequence[float]]]
_LOOKS = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (GREEN, "^", "-."),
    (ORANGE, "D", ":"),
    (BLACK, "x", "-"),
    (PURPLE, "v", "--"),
)
_MARKERS, _SHADE = 8, 0.15
# A head has half of its weight within this distance of its center, times 1/√α.
_HALF = math.sqrt(math.log(2))
_COLUMNS = 3


def plot_courses(
    courses: Mapping[str, Course],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw numbers over steps or sizes: the mean over seeds, and their range.

    Args:
        courses: By name: where numbers were taken, and a list of them for each seed.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        logarithmic: Whether the horizontal axis is.
        figure: Where to draw; by default a new figure of 6 × 3.6 inches.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: If ``figure`` is no figure.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> courses = {"one": ([1, 2], [[0.5, 0.7], [0.6, 0.9]])}
        >>> plot_courses(courses, x="epochs", y="accuracy").axes[0].get_xlabel()
        'epochs'
    """
    check_figure(figure)
    figure = figure or new_figure(6.0, 3.6)
    draw_courses(figure, courses, x=x, y=y, logarithmic=logarithmic)
    return figure


def draw_courses(
    place: "Figure | SubFigure",
    courses: Mapping[str, Course],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
) -> None:
    """Draw what :func:`plot_courses` draws into a part of a figure.

    Args:
        place: A figure or a part of one.
        courses: As there. A single one has no legend.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        logarithmic: Whether the horizontal axis is.
    """
    axes = place.subplots()
    for number, (name, (places, runs)) in enumerate(courses.items()):
        color, marker, dashes = _LOOKS[number % len(_LOOKS)]
        columns = list(zip(*runs, strict=True))
        means = [math.fsum(column) / len(column) for column in columns]
        axes.plot(
            places,
            means,
            color=color,
            linestyle=dashes,
            marker=marker,
            markersize=3.5,
            markevery=max(1, len(places) // _MARKERS),
            linewidth=1.2,
            label=name,
        )
        lowest, highest = (list(map(end, columns)) for end in (min, max))
        axes.fill_between(
            places, lowest, highest, color=color, alpha=_SHADE, linewidth=0
        )
    if logarithmic:
        axes.set_xscale("log")
        axes.minorticks_off()
        places = sorted({place for points, _ in courses.values() for place in points})
        axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    axes.tick_params(labelsize=SMALL_TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, alpha=0.2, linewidth=0.5)
    if len(courses) > 1:
        place.legend(
            *axes.get_legend_handles_labels(),
            loc="outside right upper",
            fontsize=SMALL_TEXT,
            frameon=False,
            title="mean, and range over seeds",
            title_fontsize=SMALL_TEXT,
            alignment="left",
        )


def plot_centers(
    paths: Sequence[Sequence[Sequence[Sequence[float]]]],
    alphas: Sequence[Sequence[float]],
    *,
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw where the heads of every layer went, and where they are.

    Args:
        paths: (times, layers, heads, 2) centers in tokens, rows and columns.
        alphas: (layers, heads) locality strengths at the end, 1/token².
        figure: Where to draw; by default a new one, 2.2 inches a layer.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: If ``figure`` is no figure.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> plot_centers([[[[0.0, 0.0]]], [[[1.0, 0.5]]]], [[2.0]]).axes[0].get_title()
        'layer 1'
    """
    check_figure(figure)
    layers = len(alphas)
    columns = min(layers, _COLUMNS)
    rows = -(-layers // columns)
    figure = figure or new_figure(2.2 * columns + 0.4, 2.3 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    reach = max(
        2.5,
        *(abs(part) for time in paths for layer in time for c in layer for part in c),
    )
    for layer, axes in enumerate(panels.flat):
        if layer >= layers:
            axes.set_visible(False)
            continue
        _draw_layer(axes, [time[layer] for time in paths], alphas[layer])
        axes.set_title(f"layer {layer + 1}", fontsize=SMALL_TEXT)
        axes.set(xlim=(-reach - 0.5, reach + 0.5), ylim=(reach + 0.5, -reach - 0.5))
    figure.supxlabel("shift of columns  (tokens)", fontsize=TEXT)
    figure.supylabel("shift of rows  (tokens)", fontsize=TEXT)
    return figure


def _draw_layer(
    axes: "Axes", path: Sequence[Sequence[Sequence[float]]], alphas: Sequence[float]
) -> None:
    from matplotlib.patches import Circle

    axes.set_aspect("equal")
    axes.axhline(0, color=FAINT, alpha=0.3, linewidth=0.6)
    axes.axvline(0, color=FAINT, alpha=0.3, linewidth=0.6)
    axes.tick_params(labelsize=SMALL_TEXT)
    for head, alpha in enumerate(alphas):
        rows, columns = zip(*(time[head] for time in path), strict=True)
        axes.plot(columns, rows, color=BLUE, linewidth=0.6, alpha=0.7)
        axes.plot(columns[-1], rows[-1], ".", color=VERMILLION, markersize=5)
        if alpha > 0:
            axes.add_patch(
                Circle(
                    (columns[-1], rows[-1]),
                    _HALF / math.sqrt(alpha),
                    fill=False,
                    color=VERMILLION,
                    linewidth=0.6,
                    alpha=0.6,
                )
            )
