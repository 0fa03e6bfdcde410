"""The picture of the project: soft heads become the taps of a convolution."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_numbers, shown
from expressivity.conversion import attention_from_conv
from expressivity.convolutions import plain_convolution
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import saturation_alpha
from expressivity.plots.error_curve import draw_errors
from expressivity.plots.head_maps import HeadMaps
from expressivity.plots.layer_maps import MARKS, draw_maps, label_colour_bar
from expressivity.plots.style import BLUE, SMALL_TEXT, TEXT, new_figure, side_by_side
from expressivity.sweep import ErrorSweep, error_sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_HEIGHT, _MAPS, _BAR, _CURVE = 2.95, 2.35, 0.6, 2.7
# Pixels around the receptive field that the maps show.
_SURROUND = 2
# Room above the curves for a letter, as a factor of the error.
_HEADROOM = 8.0


def plot_overview(
    conv: Convolution,
    x: Float[Tensor, "*batch channels height width"],
    *,
    query: Sequence[int] | None = None,
    alphas: Sequence[float | None] = (1.0, None),
) -> "Figure":
    """Draw attention maps at growing α beside the error against α.

    Args:
        conv: A convolution over 2 axes.
        x: Its input, (batch, in_channels, height, width), with or without batch.
        query: The output of the maps, (row, column); by default the middle.
        alphas: Locality strengths of the maps, 1/pixel²; ``None`` for the α at
            which attention in the dtype of the convolution is one-hot.

    Returns:
        The figure, 8 × 3 inches with the default ``alphas``.

    Raises:
        ArgumentError: If the convolution is not over 2 axes, ``alphas`` is empty or
            holds numbers that are not positive and finite, or the query is outside
            the output.
        InputError: If the input does not suit the convolution.
        MissingDependencyError: If matplotlib is not installed.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> import torch
        >>> figure = plot_overview(torch.nn.Conv2d(1, 1, 3), torch.randn(1, 8, 8))
        >>> float(figure.get_figwidth())
        8.0
    """
    conv = plain_convolution(conv)
    geometry = ConvGeometry.from_conv(conv)
    if geometry.axes != 2:
        raise ArgumentError(
            f"the overview takes a convolution over 2 axes, got {geometry.axes}"
        )
    check_numbers("x", x)
    if not isinstance(alphas, Sequence) or isinstance(alphas, str):
        raise ArgumentError(f"alphas needs a sequence of numbers, got {shown(alphas)}")
    saturated = saturation_alpha(conv.weight.dtype, axes=2)
    strengths = [saturated if alpha is None else alpha for alpha in alphas]
    points, sweep = error_sweep(conv, x, strengths), error_sweep(conv, x)
    size = tuple(x.shape[-2:])
    if query is None:
        query = [count // 2 for count in geometry.output_size(size)]
    widths = [_MAPS] * len(strengths) + [_BAR]
    figure = new_figure(sum(widths) + _CURVE, _HEIGHT)
    left, right = side_by_side(figure, [sum(widths), _CURVE])
    *places, beside = side_by_side(left, widths)
    for index, (place, strength) in enumerate(zip(places, strengths, strict=True)):
        maps = HeadMaps.of(attention_from_conv(conv, alpha=strength), size, query)
        colours, panels = draw_maps(place, maps)
        for panel in panels:
            _zoom(panel, maps, geometry)
        kind = "soft attention" if strength < saturated else "one-hot, the convolution"
        title = f"{_letter(index)}  α = {strength:.3g}: {kind}"
        place.suptitle(title, fontsize=TEXT)
    label_colour_bar(left.colorbar(colours, cax=beside.subplots()))
    left.supxlabel(f"one panel per head:   {MARKS}", fontsize=SMALL_TEXT)
    axes = right.subplots()
    draw_errors(axes, sweep)
    axes.set_ylim(top=_HEADROOM * axes.get_ylim()[1])
    _mark_points(axes, points)
    return figure


def _zoom(axes: "Axes", maps: HeadMaps, geometry: ConvGeometry) -> None:
    """Show the receptive field of the query and a little around it."""
    position = torch.tensor(maps.query, device="cpu")
    targets = position + geometry.centers()
    top, left = (targets.amin(0) - _SURROUND - 0.5).tolist()
    bottom, right = (targets.amax(0) + _SURROUND + 0.5).tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _mark_points(axes: "Axes", points: ErrorSweep) -> None:
    """Mark the points of the curve that the maps belong to."""
    for index, point in enumerate(zip(points.alphas, points.measured, strict=True)):
        axes.plot(*point, "o", color=BLUE, ms=8, mfc="none", mew=1.2)
        axes.annotate(
            _letter(index),
            point,
            xytext=(0, 15),
            textcoords="offset points",
            ha="center",
            fontsize=TEXT,
            arrowprops={"arrowstyle": "-", "color": BLUE, "shrinkA": 1, "shrinkB": 4},
        )


def _letter(index: int) -> str:
    return f"({chr(ord('a') + index)})"
