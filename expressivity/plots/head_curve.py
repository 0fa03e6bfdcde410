"""The error against the number of heads, beside what no layer can beat."""

from typing import TYPE_CHECKING

from expressivity.checks import check_instance
from expressivity.conversion import HeadCurve
from expressivity.plots.style import (
    BLACK,
    BLUE,
    SMALL_TEXT,
    TEXT,
    check_figure,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_head_curve(curve: HeadCurve, *, figure: "Figure | None" = None) -> "Figure":
    """Draw the error of truncated heads and the bound of Eckart and Young.

    Args:
        curve: From :func:`expressivity.head_curve`.
        figure: Where to draw; by default a new figure of 4 × 2.8 inches.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from expressivity import head_count
        >>> curve = head_count(torch.nn.Conv2d(1, 8, 3)).curve()
        >>> plot_head_curve(curve).axes[0].get_xlabel()
        'heads with free relative tables'
    """
    check_instance("curve", curve, HeadCurve, "Make one with head_count(conv).curve()")
    check_figure(figure)
    figure = figure or new_figure(4.0, 2.8)
    axes = figure.subplots()
    axes.plot(
        curve.heads, curve.errors, color=BLUE, marker="o", markersize=3, label="built"
    )
    axes.plot(
        curve.heads, curve.bounds, color=BLACK, linestyle=":", label="no layer is below"
    )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("heads with free relative tables", fontsize=SMALL_TEXT)
    axes.set_ylabel("relative error of the kernel", fontsize=SMALL_TEXT)
    axes.set_title("fewer heads than taps", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL_TEXT)
    axes.legend(fontsize=SMALL_TEXT, frameon=False)
    return figure
