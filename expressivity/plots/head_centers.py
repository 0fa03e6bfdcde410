"""Where the heads of a network look: their centers, and how far around them."""

import math
from typing import TYPE_CHECKING

from torch import nn

from expressivity.errors import ArgumentError
from expressivity.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SMALL_TEXT,
    VERMILLION,
    check_figure,
    new_figure,
)
from expressivity.training import HeadReport, head_report
from expressivity.training.report import LayerHeads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE)
_MARKERS = "os^Dv"
_PALE = "#eeeeee"
_LEGEND = "pixels from the query +\ncircles: — 50 %, ··· 90 % of a head"
_COLUMNS = 4
_INCHES = 2.3  # a side of a panel
_SOFTEST = 1e-3  # 1/pixel²; below it the circles are larger than any image
_MARGIN = 1.0  # pixels


def plot_heads(
    model: nn.Module | HeadReport, *, figure: "Figure | SubFigure | None" = None
) -> "Figure | SubFigure":
    """Draw the attention center of every head, with circles of 50 and 90 % of its mass.

    A panel a layer, in pixels from the query, which is the cross in the middle; rows
    grow downward as in an image. Gray squares are the taps of the layer's kernel. Radii
    are √(ln 2 / α) and √(ln 10 / α), those of the Gaussian that the head samples at
    whole pixels: a sharp head has all of its mass on the pixel nearest to its center,
    however small its circles are. Heads with tables, and with an α below 0.001, have no
    circles.

    Args:
        model: A network with attention layers over 2 axes, a layer, or a report of one.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure.

    Raises:
        ArgumentError: If no layer works over 2 axes.
        MissingDependencyError: If matplotlib is not installed.
        UnsupportedModuleError: If the model holds no attention layer.

    Reference:
        Cordonnier, Loukas and Jaggi (2020), figure 3.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 1, 3), alpha=2.0)
        >>> plot_heads(layer).savefig("heads.png")  # doctest: +SKIP
    """
    report = model if isinstance(model, HeadReport) else head_report(model)
    check_figure(figure)
    layers = [layer for layer in report.layers if len(layer.taps[0]) == 2]
    if not layers:
        raise ArgumentError(
            "centers are drawn over 2 axes, got layers over "
            f"{sorted({len(layer.taps[0]) for layer in report.layers})}: print "
            "head_report(model)"
        )
    columns = min(_COLUMNS, len(layers))
    rows = math.ceil(len(layers) / columns)
    if figure is None:
        figure = new_figure(_INCHES * columns, (_INCHES + 0.3) * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel, layer in zip(panels.flat, layers, strict=False):
        _draw(panel, layer)
    for panel in panels.flat[len(layers) :]:
        panel.set_axis_off()
    figure.supxlabel(_LEGEND, fontsize=SMALL_TEXT)
    return figure


def radius(alpha: float, mass: float) -> float:
    """Return the radius, in pixels, of a circle with a share of a head's mass.

    Example:
        >>> round(radius(1.0, 0.5) ** 2, 4)  # ln 2
        0.6931
    """
    return math.sqrt(-math.log1p(-mass) / alpha)


def _draw(panel: "Axes", layer: LayerHeads) -> None:
    from matplotlib.patches import Circle, Rectangle

    for tap in layer.taps:
        corner = (tap[1] - 0.5, tap[0] - 0.5)
        panel.add_patch(Rectangle(corner, 1, 1, fc=_PALE, ec=FAINT, lw=0.4))
    panel.plot([0], [0], "+", color=BLACK, markersize=9, zorder=3)
    for index, head in enumerate(layer.heads):
        row, column = head.center
        colour = _COLOURS[index % len(_COLOURS)]
        marker = _MARKERS[index // len(_COLOURS) % len(_MARKERS)]
        panel.plot([column], [row], marker, color=colour, markersize=3.5, zorder=4)
        if head.alpha < _SOFTEST:
            continue
        for mass, line in ((0.5, "-"), (0.9, ":")):
            size = radius(head.alpha, mass)
            panel.add_patch(
                Circle(
                    (column, row), size, fill=False, edgecolor=colour, ls=line, lw=0.9
                )
            )
    reach = _reach(layer)
    panel.set_xlim(-reach, reach)
    panel.set_ylim(reach, -reach)
    panel.set_aspect("equal")
    panel.tick_params(labelsize=SMALL_TEXT)
    panel.set_title(
        f"{layer.name or 'layer'}: {len(layer.heads)} heads", fontsize=SMALL_TEXT
    )


def _reach(layer: LayerHeads) -> float:
    """Return how far a panel reaches: to all centers, taps and half of all mass."""
    places = [*layer.taps, *(head.center for head in layer.heads)]
    farthest = max(abs(number) for place in places for number in place)
    soft = [head.alpha for head in layer.heads if head.alpha >= _SOFTEST]
    around = radius(min(soft), 0.5) if soft else 0.0
    return farthest + max(_MARGIN, around)
