"""What all pictures share: new figures, colours, and sizes of text.

Colours are from the Okabe–Ito palette, which colour-blind readers can tell apart. Line
styles and markers differ as well, for readers of a greyscale print.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expressivity.checks import shown
from expressivity.errors import ArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

BLACK, BLUE, VERMILLION = "#000000", "#0072B2", "#D55E00"
GREEN, ORANGE, PURPLE = "#009E73", "#E69F00", "#CC79A7"
WHITE, FAINT = "#FFFFFF", "#777777"
TEXT, SMALL_TEXT = 9.0, 8.0  # points
DPI = 200


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure that keeps its parts from overlapping.

    Args:
        width: Inches.
        height: Inches.

    Returns:
        The figure, 200 dots per inch.

    Raises:
        MissingDependencyError: If matplotlib is not installed, or cannot start.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingDependencyError(
            "pictures are drawn by matplotlib, which is not installed: "
            "pip install matplotlib"
        ) from error
    except Exception as error:  # for example, its settings file is damaged
        raise MissingDependencyError(
            "pictures are drawn by matplotlib, which cannot start "
            f"({type(error).__name__}: {error}): mend its matplotlibrc, or point "
            "MATPLOTLIBRC and MPLCONFIGDIR elsewhere"
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def check_figure(figure: object) -> None:
    """Refuse an argument that is no figure.

    Args:
        figure: A figure or a part of one; ``None`` for a new one.

    Raises:
        ArgumentError: If it is anything else.
    """
    if figure is not None and not hasattr(figure, "subfigures"):
        raise ArgumentError(
            f"figure needs a matplotlib Figure or none at all, got {shown(figure)}"
        )


def side_by_side(
    place: "Figure | SubFigure", widths: Sequence[float]
) -> "list[SubFigure]":
    """Split a figure into columns.

    Args:
        place: What to split.
        widths: Inches of each column.

    Returns:
        The columns, from left to right.
    """
    return list(place.subfigures(1, len(widths), squeeze=False, width_ratios=widths)[0])
