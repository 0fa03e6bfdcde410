"""What a layer of a network attends to, as a heat map over the network's image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_instance, check_numbers
from expressivity.conversion.network import Conversion
from expressivity.errors import ArgumentError, InputError
from expressivity.plots.head_maps import HeadMaps
from expressivity.plots.layer_maps import MARKS, label_colour_bar, mark
from expressivity.plots.style import SMALL_TEXT, check_figure, new_figure
from expressivity.saved.program import Example, in_evaluation, run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL, _BAR, _TITLE = 1.6, 0.9, 0.6  # inches


def attention_maps(
    conversion: Conversion | nn.Module,
    layer: str,
    image: Float[Tensor, "channels height width"],
    *,
    query: Sequence[int] | None = None,
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw what every head of a layer of a network attends to, over the image.

    The network runs on the image as far as the layer, whose canvas is laid over the
    image: a pixel of a deep layer covers many of the image. There is one panel a head.

    Args:
        conversion: A conversion, or a network with attention layers.
        layer: The name of the layer, such as ``"layer1.0.conv1"``.
        image: An input of the network without its batch axis.
        query: Which output of the layer, (row, column); by default the middle one.
        figure: Where to draw; by default a new figure.

    Returns:
        The figure.

    Raises:
        ArgumentError: If the network has no attention layer of that name, the layer
            does not work over 2 axes or is not called, or the query is outside.
        InputError: If the image does not suit the network.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from expressivity import convert
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 2, 2))
        >>> figure = attention_maps(convert(model), "1", torch.rand(1, 12, 12))
        >>> len(figure.axes)  # four heads and a colour bar
        5
    """
    check_figure(figure)
    model = conversion.model if isinstance(conversion, Conversion) else conversion
    advice = "Pass what convert returned"
    attention, seen = _input_of(
        check_instance("conversion", model, nn.Module, advice), layer, image
    )
    size = seen.shape[-2:]
    if query is None and attention.geometry.axes == 2:
        query = [count // 2 for count in attention.geometry.output_size(size)]
    maps = HeadMaps.of(attention, size, query or (), seen)
    rows, columns = maps.grid
    if figure is None:
        figure = new_figure(columns * _PANEL + _BAR, rows * _PANEL + _TITLE)
    _draw(figure, maps, image, layer)
    return figure


def _draw(figure: "Figure", maps: HeadMaps, image: Tensor, layer: str) -> None:
    from matplotlib.colors import PowerNorm

    panels = list(figure.subplots(*maps.grid, squeeze=False).flat)
    heads = len(maps.centers)
    (top, left), (height, width) = maps.corner, maps.size
    extent = (left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5)
    under: dict[str, Any] = {"cmap": "gray", "extent": extent}
    picture = image.detach().float().cpu().mean(0).numpy()
    tall, wide = maps.probabilities.shape[1:]
    for head, axes in enumerate(panels[:heads]):
        probabilities = maps.probabilities[head]
        axes.imshow(picture, **under)
        colours = axes.imshow(
            probabilities.numpy(),
            cmap="inferno",
            norm=PowerNorm(0.5, 0, 1),
            alpha=probabilities.sqrt().numpy(),  # the image shows where it is low
        )
        axes.set(xlim=(-0.5, wide - 0.5), ylim=(tall - 0.5, -0.5))
        mark(axes, maps, head)
    for spare in panels[heads:]:
        spare.remove()
    figure.suptitle(f"{layer or 'the layer'}: {heads} heads", fontsize=SMALL_TEXT + 1)
    figure.supxlabel(MARKS, fontsize=SMALL_TEXT)
    label_colour_bar(figure.colorbar(colours, ax=panels[:heads], shrink=0.8))


def _input_of(
    model: nn.Module, name: str, image: Tensor
) -> tuple[RelativeSelfAttention, Tensor]:
    """Run a network on an image, and return a layer with the input that it sees."""
    check_instance("layer", name, str, "Give the name of an attention layer")
    if check_numbers("image", image).dim() != 3:
        raise InputError(
            f"image needs (channels, height, width), got {tuple(image.shape)}"
        )
    network = in_evaluation(model)
    layers = {
        each: module
        for each, module in network.named_modules()
        if isinstance(module, RelativeSelfAttention)
    }
    if name not in layers:
        raise ArgumentError(
            f"layer needs the name of an attention layer, one of "
            f"{', '.join(layers) or 'none'}, got {name!r}"
        )
    seen: list[Tensor] = []
    layers[name].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    run(network, Example(image[None]))
    if not seen:
        raise ArgumentError(f"the network does not call {name!r} on this image")
    return layers[name], seen[0].detach().reshape(seen[0].shape[-3:])
