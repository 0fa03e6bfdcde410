"""The attention probabilities of each head over the canvas."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_numbers
from expressivity.errors import InputError
from expressivity.plots.head_maps import HeadMaps
from expressivity.plots.style import (
    BLACK,
    SMALL_TEXT,
    TEXT,
    WHITE,
    check_figure,
    new_figure,
    side_by_side,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

MARKS = "+ the query    ○ its target"

# Inches: least size of a panel and of all panels, a line of text, a colour bar.
_PANEL, _PANELS, _LINE, _BAR = 0.95, 1.8, 0.2, 0.7
_IMAGE, _BAR_ASPECT = 2.2, 8
# Pixels: the radius of a ring around a whole pixel, and half a plus.
_RING, _ARM = 0.85, 0.42
# A canvas of more pixels than this gets larger marks.
_PIXELS = 14


def plot_attention_maps(
    attention: RelativeSelfAttention,
    size: Sequence[int],
    query: Sequence[int],
    *,
    image: Float[Tensor, "*channels height width"] | None = None,
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw what every head attends to from one query.

    There is one panel a head, laid out like the taps of the kernel. A plus marks the
    query, and a ring the target of the head. A dashed frame surrounds the input;
    padding tokens are outside.

    Args:
        attention: A layer over 2 axes.
        size: Pixels of the input, (height, width).
        query: Which output, (row, column), counted from 0.
        image: The input, drawn as a first panel (the mean of its channels); a layer
            with content terms needs it, as its attention depends on it.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        ArgumentError: If the layer does not work over 2 axes, the query is outside
            the output, or a layer with content terms is given no image.
        InputError: If the size or the image does not suit the layer.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        Nine heads, and the bar that says what the colours mean.

        >>> from expressivity import ConvGeometry
        >>> geometry = ConvGeometry.create((3, 3), padding=1)
        >>> layer = RelativeSelfAttention(1, 1, geometry)
        >>> len(plot_attention_maps(layer, size=(8, 8), query=(4, 4)).axes)
        10
    """
    check_figure(figure)
    if image is not None and check_numbers("image", image).dim() not in (2, 3):
        raise InputError(
            f"image needs (channels, height, width), got {tuple(image.shape)}"
        )
    maps = HeadMaps.of(attention, size, query, image)
    first, (width, height) = 0.0 if image is None else _IMAGE, _inches(maps)
    if figure is None:
        figure = new_figure(first + width, max(first, height))
    place: Figure | SubFigure = figure
    if image is not None:
        left, place = side_by_side(figure, [first, width])
        _draw_image(left.subplots(), attention, image, maps)
    colours, panels = draw_maps(place, maps)
    for center, axes in zip(maps.centers, panels, strict=True):
        axes.set_title(f"Δ = ({_signed(center)})", fontsize=SMALL_TEXT, pad=3)
    place.supxlabel(MARKS, fontsize=SMALL_TEXT)
    aspect = _BAR_ASPECT * max(2, maps.grid[0])
    label_colour_bar(place.colorbar(colours, ax=panels, shrink=0.8, aspect=aspect))
    return figure


def draw_maps(
    place: "Figure | SubFigure", maps: HeadMaps
) -> "tuple[AxesImage, list[Axes]]":
    """Draw one panel a head.

    Colours follow the square root of the probability, since soft heads would otherwise
    be hard to see beside one-hot heads.

    Args:
        place: Where to draw.
        maps: What to draw.

    Returns:
        One of the images, for a colour bar, and the panels in the order of the heads.
    """
    from matplotlib.colors import PowerNorm

    panels = list(place.subplots(*maps.grid, squeeze=False).flat)
    heads = len(maps.centers)
    for head, axes in enumerate(panels[:heads]):
        probabilities = maps.probabilities[head].numpy()
        colours = axes.imshow(probabilities, "cividis", PowerNorm(0.5, 0, 1))
        mark(axes, maps, head)
    for spare in panels[heads:]:
        spare.remove()
    return colours, panels[:heads]


def label_colour_bar(bar: "Colorbar") -> None:
    """Say what the colours of the maps mean.

    Args:
        bar: Their colour bar.
    """
    bar.set_label("attention probability", fontsize=TEXT)
    bar.set_ticks([0, 0.1, 0.3, 0.6, 1], labels=["0", "0.1", "0.3", "0.6", "1"])
    bar.ax.tick_params(labelsize=SMALL_TEXT)
    bar.outline.set_visible(False)


def _draw_image(
    axes: "Axes",
    attention: RelativeSelfAttention,
    image: Float[Tensor, "*channels height width"],
    maps: HeadMaps,
) -> None:
    """Draw the input on the canvas, with the targets of all heads."""
    planes = image.detach().float().cpu().reshape(1, -1, *image.shape[-2:])
    canvas = attention.geometry.canvas(planes.mean(1, keepdim=True))
    axes.imshow(canvas[0, 0].numpy(), cmap="gray")
    mark(axes, maps)
    targets = [maps.target(head) for head in range(len(maps.centers))]
    rows, columns = zip(*targets, strict=True)
    axes.plot(columns, rows, ".", ms=6, color=WHITE, mec=BLACK, mew=0.6)
    axes.set_title("input, targets dotted", fontsize=SMALL_TEXT, pad=3)


def mark(axes: "Axes", maps: HeadMaps, head: int | None = None) -> None:
    """Mark the query, a head's target and the border of the input; hide the ticks."""
    from matplotlib.patches import Circle, Rectangle
    from matplotlib.patheffects import withStroke

    axes.set(xticks=[], yticks=[], autoscale_on=False)
    outlined = [withStroke(linewidth=2.2, foreground=BLACK)]
    line: dict[str, Any] = {"color": WHITE, "lw": 1.0, "path_effects": outlined}
    scale = max(1.0, max(maps.probabilities.shape[1:]) / _PIXELS)
    (row, column), arm = maps.query, scale * _ARM
    across = [column - arm, column + arm, column, column, column]
    axes.plot(across, [row, row, row, row - arm, row + arm], **line)
    if head is not None:
        down, right = maps.target(head)
        axes.add_patch(Circle((right, down), scale * _RING, fill=False, **line))
    if tuple(maps.probabilities.shape[1:]) != maps.size:
        (top, left), (height, width) = maps.corner, maps.size
        frame = Rectangle((left - 0.5, top - 0.5), width, height, fill=False)
        frame.set(edgecolor=WHITE, linestyle=(0, (3, 3)), linewidth=0.6)
        axes.add_patch(frame)


def _inches(maps: HeadMaps) -> tuple[float, float]:
    """Return the width and height that panels, titles and colour bar take."""
    rows, columns = maps.grid
    panel = max(_PANEL, _PANELS / max(rows, columns))
    tall, wide = maps.probabilities.shape[1:]
    height = panel * min(max(tall / wide, 0.5), 2.0)
    return columns * panel + _BAR, max(rows * (height + _LINE), _PANELS) + _LINE


def _signed(center: tuple[float, float]) -> str:
    steps = (f"{step:+.{0 if step.is_integer() else 1}f}" for step in center)
    return ", ".join("0" if step == "+0" else step for step in steps).replace("-", "−")
