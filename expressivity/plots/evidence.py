"""The evidence for one family of layers: an error that vanishes, or one that cannot."""

from typing import TYPE_CHECKING

from expressivity.atlas.evidence import LARGEST_ERROR, Attack, Evidence, Weights
from expressivity.plots.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    SMALL_TEXT,
    TEXT,
    VERMILLION,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _HEIGHT = 2.9, 2.5  # inches
_EXACT = 1e-17  # the place of an error of zero


def plot_evidence(evidence: Evidence, *, figure: "Figure | None" = None) -> "Figure":
    """Draw error against strength, the witness, and the attacks on it.

    Args:
        evidence: Gathered with ``curve=True``.
        figure: Where to draw; by default a new figure, 2.9 inches a panel.

    Returns:
        The figure; save it with ``figure.savefig(path)``.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        An error against strength, two inputs of the witness, the attacks on it.

        >>> from expressivity.atlas import FAMILIES
        >>> from expressivity.atlas.evidence import gather
        >>> evidence = gather(FAMILIES["swin"], steps=2, curve=True)
        >>> len(plot_evidence(evidence).axes)
        4
    """
    weights, attack = evidence.weights, evidence.attack
    panels = (weights is not None) + (0 if attack is None else 3)
    figure = figure or new_figure(_PANEL * panels, _HEIGHT)
    places = list(figure.subplots(1, panels, squeeze=False)[0])
    if weights is not None:
        _draw_curve(places.pop(0), evidence, weights)
    if attack is not None:
        _draw_input(places.pop(0), attack, 0)
        _draw_input(places.pop(0), attack, 1)
        _draw_attacks(places.pop(0), attack)
    return figure


def _draw_curve(axes: "Axes", evidence: Evidence, weights: Weights) -> None:
    strength = evidence.family.strength
    points = weights.curve if strength else ((0.0, weights.error),)
    strengths, errors = zip(*points, strict=True)
    visible = [max(error, _EXACT) for error in errors]
    axes.semilogy(strengths, visible, color=BLUE, marker="o", markersize=3)
    axes.axhline(LARGEST_ERROR, color=FAINT, linestyle=":", linewidth=1)
    if strength is None:
        axes.set_xticks([])
    label = f"strength {strength.symbol} of the construction" if strength else ""
    axes.set_xlabel(label, fontsize=SMALL_TEXT)
    axes.set_ylabel("relative error", fontsize=SMALL_TEXT)
    axes.set_title("constructed weights", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL_TEXT)


def _draw_input(axes: "Axes", attack: Attack, which: int) -> None:
    """Draw the channel in which the inputs of a witness differ most, and the query."""
    witness = attack.witness
    index = min(which, len(witness.inputs) - 1)
    gaps = (witness.inputs - witness.inputs[:1]).abs().flatten(2).sum(dim=(0, 2))
    channel = int(gaps.argmax())
    image = witness.inputs[index, channel]
    image = image[None] if image.dim() == 1 else image
    largest = float(witness.inputs[:, channel].abs().max()) or 1.0
    axes.imshow(image.numpy(), cmap="PuOr", vmin=-largest, vmax=largest)
    row, column = (0, *witness.query[index])[-2:]
    axes.plot(column, row, marker="s", markersize=9, fillstyle="none", color=BLACK)
    axes.set_title(f"input {index + 1}, query framed", fontsize=TEXT)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_attacks(axes: "Axes", attack: Attack) -> None:
    axes.axhline(attack.bound, color=BLACK, linestyle=":", label="lower bound")
    axes.set_yscale("log")
    axes.plot(attack.reached, color=VERMILLION, label="attack")
    if attack.control:
        axes.plot(attack.control, color=GREEN, linestyle="--", label="control")
    axes.set_xlabel("steps of Adam", fontsize=SMALL_TEXT)
    axes.set_ylabel("smallest absolute error so far", fontsize=SMALL_TEXT)
    axes.set_title("attacks", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL_TEXT)
    axes.legend(fontsize=SMALL_TEXT, frameon=False)
