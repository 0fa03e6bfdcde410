"""Penalties for a loss: heads near taps of a kernel, and sharp ones."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.training.layers import attention_layers
from expressivity.training.pixels import attended, tap_distances


def tap_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Return the mean over all heads of ‖Δ − tap‖² to the nearest tap, in pixels².

    Added to a loss it draws heads back to the kernel that their layer stands for. A
    head with a table has the place that it attends to most for its Δ, which has no
    gradient.

    Args:
        model: A network with attention layers, or a layer.

    Returns:
        A scalar, differentiable in the centers; 0 for heads on taps.

    Raises:
        UnsupportedModuleError: If the model holds no attention layer.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 1, 3), alpha=4.0)
        >>> tap_penalty(layer).item()
        0.0
        >>> with torch.no_grad():
        ...     _ = layer.centers[0].sub_(torch.tensor([3.0, 0.0]))
        >>> tap_penalty(layer).item()
        1.0
    """

    def distances(layer: RelativeSelfAttention) -> Tensor:
        places = layer.centers if layer.table is None else attended(layer)[0]
        return tap_distances(layer, places)

    return _mean_over_heads(model, distances)


def sharpness_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Return the mean over all heads of the attention off their nearest pixel.

    Added to a loss it sharpens heads and draws their centers to whole pixels, until
    they are a convolution again.

    Args:
        model: A network with attention layers, or a layer.

    Returns:
        A scalar between 0 and 1, differentiable in α, Δ and tables.

    Raises:
        UnsupportedModuleError: If the model holds no attention layer.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 1, 3), alpha=4.0)
        >>> round(sharpness_penalty(layer).item(), 4)  # 1 − (1 + 2e^−4 + …)^−2
        0.0694
    """
    return _mean_over_heads(model, lambda layer: attended(layer)[1])


def _mean_over_heads(
    model: nn.Module, of: Callable[[RelativeSelfAttention], Tensor]
) -> Tensor:
    layers = attention_layers(model).values()
    device = next(iter(layers)).alpha.device
    return torch.cat([of(layer).to(device) for layer in layers]).mean()
