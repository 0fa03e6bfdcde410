"""Inputs that show where an answer fails, or what a family cannot tell apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from jaxtyping import Float
from torch import Tensor

from expressivity.atlas.witness import Witness
from expressivity.errors import ArgumentError
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
        ArgumentError: If there is no counter-example.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> from expressivity import attention_from_conv
        >>> from expressivity.coursework import Course
        >>> course = Course("Ada")
        >>> answer = attention_from_conv(course["2.2"].conv, alpha=1.0)
        >>> verdict = course.check("2.2", answer)
        >>> plot_counterexample(verdict).axes[0].has_data()
        True
    """
    x = verdict.counterexample
    if x is None:
        raise ArgumentError(
            "the verdict needs a counter-example, got none: an answer that passed has "
            "no input to show"
        )
    return _draw(x, [verdict.output] * len(x), figure)


def plot_witness(witness: Witness, *, figure: "Figure | None" = None) -> "Figure":
    """Draw the inputs of a witness, with the output that counts framed.

    Args:
        witness: A witness of the atlas.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from expressivity.atlas import FAMILIES
        >>> conv = torch.nn.Conv2d(1, 1, 3, padding=1)
        >>> figure = plot_witness(FAMILIES["content"].refute(conv, (4, 4)))
        >>> figure.axes[0].has_data()
        True
    """
    return _draw(witness.inputs, witness.query, figure)


def _draw(
    x: Float[Tensor, "inputs in_channels ..."],
    outputs: Sequence[tuple[int, ...] | None],
    figure: "Figure | None",
) -> "Figure":
    panels = [
        (image, output, _title(index, channel, x))
        for index, (each, output) in enumerate(zip(x, outputs, strict=True))
        for channel, image in enumerate(each)
    ][:_MOST]
    figure = figure or new_figure(_PANEL * len(panels) + 0.6, _PANEL + 0.3)
    largest = float(x.abs().max()) or 1.0
    places = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for axes, (image, output, title) in zip(places, panels, strict=True):
        flat = image[None] if image.dim() == 1 else image
        flat = flat[flat.shape[0] // 2] if flat.dim() == 3 else flat
        picture = axes.imshow(flat.numpy(), cmap="PuOr", vmin=-largest, vmax=largest)
        _frame(axes, output, tuple(flat.shape))
        axes.set_title(title, fontsize=TEXT)
        axes.set_xticks([])
        axes.set_yticks([])
    bar = figure.colorbar(picture, ax=places, shrink=0.7)
    bar.set_ticks([-largest, 0, largest])
    bar.ax.tick_params(labelsize=SMALL_TEXT)
    return figure


def _title(index: int, channel: int, x: Tensor) -> str:
    inputs, channels = x.shape[:2]
    name = "an input that shows it" if inputs == 1 else f"input {index + 1}"
    return name if channels == 1 else f"{name}, channel {channel}"


def _frame(axes: "Axes", output: tuple[int, ...] | None, size: tuple[int, ...]) -> None:
    """Frame the output, where outputs and pixels are counted alike."""
    if output is None:
        return
    row, column = (0, *output)[-2:]
    if row < size[0] and column < size[1]:
        axes.plot(column, row, "s", markersize=11, fillstyle="none", color=BLACK)
