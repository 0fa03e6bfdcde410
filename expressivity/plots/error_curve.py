"""Error against α on one logarithmic plot."""

from typing import TYPE_CHECKING

from expressivity.checks import check_instance
from expressivity.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    SMALL_TEXT,
    TEXT,
    VERMILLION,
    WHITE,
    check_figure,
    new_figure,
)
from expressivity.sweep import ErrorSweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Only the theory continues below the rounding level; a little of it is enough.
_BELOW, _ABOVE = 30.0, 4.0
_DOT = 3.6


def plot_error_vs_alpha(
    sweep: ErrorSweep, *, figure: "Figure | None" = None
) -> "Figure":
    """Draw measured error, first-order prediction, worst case and rounding level.

    Args:
        sweep: The numbers, from :func:`expressivity.error_sweep`.
        figure: Where to draw; by default a new figure of 6 × 4 inches.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from expressivity import error_sweep
        >>> sweep = error_sweep(torch.nn.Conv2d(1, 1, 3), torch.randn(1, 1, 6, 6))
        >>> plot_error_vs_alpha(sweep).axes[0].get_yscale()
        'log'
    """
    check_instance("sweep", sweep, ErrorSweep, "Make one with error_sweep")
    check_figure(figure)
    figure = new_figure(6.0, 4.0) if figure is None else figure
    draw_errors(figure.subplots(), sweep)
    return figure


def draw_errors(axes: "Axes", sweep: ErrorSweep) -> None:
    """Draw a sweep on given axes.

    Args:
        axes: Where to draw.
        sweep: The numbers.
    """
    alphas = sweep.alphas
    axes.plot(alphas, sweep.worst_case, color=BLACK, lw=1.2, label="exact worst case")
    first_order = "first order  $\\propto e^{-\\alpha}$"
    axes.plot(
        alphas, sweep.predicted, "--", color=VERMILLION, lw=1.4, label=first_order
    )
    axes.plot(alphas, sweep.measured, "o", color=BLUE, ms=_DOT, label="measured")
    _draw_zeros(axes, sweep)
    rounding = f"{sweep.dtype} rounding"
    axes.axhline(sweep.rounding_floor, color=FAINT, ls=":", lw=1.4, label=rounding)
    _set_limits(axes, sweep)
    axes.set_xlabel("locality strength α  (1/pixel²)", fontsize=TEXT)
    axes.set_ylabel("largest absolute error", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL_TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, alpha=0.2, linewidth=0.5)
    # Every curve falls from the upper left: the upper right is free.
    axes.legend(loc="upper right", fontsize=SMALL_TEXT, frameon=False, borderpad=0)


def _draw_zeros(axes: "Axes", sweep: ErrorSweep) -> None:
    """Put errors of exactly 0 on the lower edge, as they have no logarithm."""
    zeros = [
        alpha
        for alpha, error in zip(sweep.alphas, sweep.measured, strict=True)
        if error == 0
    ]
    if zeros:
        (dots,) = axes.plot(zeros, [0] * len(zeros), "o", label="measured, exactly 0")
        dots.set(transform=axes.get_xaxis_transform(), clip_on=False, zorder=3)
        dots.set(markersize=_DOT, color=BLUE, markerfacecolor=WHITE)


def _set_limits(axes: "Axes", sweep: ErrorSweep) -> None:
    """Show everything above the rounding level, and a little below it."""
    curves = (sweep.measured, sweep.predicted, sweep.worst_case)
    positive = [error for curve in curves for error in curve if error > 0] or [1.0]
    levels = [error for error in (*sweep.measured, sweep.rounding_floor) if error > 0]
    axes.set_ylim(min(levels or positive) / _BELOW, max(positive) * _ABOVE)
    axes.set_yscale("log", nonpositive="mask")
