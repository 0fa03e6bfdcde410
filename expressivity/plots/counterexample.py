"""The input on which an answer fails, channel by channel."""

from typing import TYPE_CHECKING, Protocol

from jaxtyping import Float
from torch import Tensor

from expressivity.plots.style import BLACK, SMALL_TEXT, TEXT, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _MOST = 1.9, 6  # inches, and panels in a row


class Shown(Protocol):
    """What there is to draw."""

    @property
    def counterexample(self) -> Float[Tensor, "inputs in_channels ..."] | None:
        """The input, or several."""

    @property
    def output(self) -> tuple[int, ...] | None:
        """The output that shows it."""


def plot_counterexample(verdict: Shown, *, figure: "Figure | None" = None) -> "Figure":
    """Draw an input on which an answer fails, with the output that shows it framed.

    Args:
        verdict: A verdict with a counter-example.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    x = verdict.counterexample
    images = [] if x is None else [image for each in x for image in each][:_MOST]
    figure = figure or new_figure(_PANEL * max(1, len(images)) + 0.6, _PANEL + 0.3)
    largest = max((float(image.abs().max()) for image in images), default=1.0) or 1.0
    places = figure.subplots(1, max(1, len(images)), squeeze=False)[0]
    channels = 1 if x is None else x.shape[1]
    picture = None
    for index, (axes, image) in enumerate(zip(places, images, strict=False)):
        flat = image[None] if image.dim() == 1 else image
        flat = flat[flat.shape[0] // 2] if flat.dim() == 3 else flat
        picture = axes.imshow(flat.numpy(), cmap="PuOr", vmin=-largest, vmax=largest)
        _frame(axes, verdict.output, flat.shape)
        axes.set_title(_title(index, channels, len(images)), fontsize=TEXT)
        axes.set_xticks([])
        axes.set_yticks([])
    if picture is not None:
        bar = figure.colorbar(picture, ax=list(places), shrink=0.7)
        bar.set_ticks([-largest, 0, largest])
        bar.ax.tick_params(labelsize=SMALL_TEXT)
    return figure


def _title(index: int, channels: int, count: int) -> str:
    if count == 1:
        return "the input"
    if channels == 1:
        return f"input {index + 1}"
    return f"channel {index % channels}"


def _frame(axes: "Axes", output: tuple[int, ...] | None, size: tuple[int, ...]) -> None:
    """Frame the output, where outputs and pixels are counted alike."""
    if output is None:
        return
    row, column = (0, *output)[-2:]
    if row < size[0] and column < size[1]:
        axes.plot(column, row, "s", markersize=11, fillstyle="none", color=BLACK)
