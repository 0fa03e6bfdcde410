"""A small convolutional network, and what stands in for its convolutions."""

from collections.abc import Callable

from torch import nn

from expressivity.atlas.layers.standalone import StandAloneAttention
from expressivity.attention import RelativeSelfAttention
from expressivity.conversion import attention_from_conv
from expressivity.experiments.data import Dataset

WIDTH, KERNEL = 16, 3
SOFT = 2.0  # α of converted layers, 1/pixel²
_KEY_DIM = 8
# Root of the mean squared length of a tap, along one axis.
_SPREAD = (2 / 3) ** 0.5


def convolutional(data: Dataset) -> nn.Sequential:
    """Return two 3×3 convolutions with a classifier, with random weights.

    Args:
        data: What it is to classify.

    Returns:
        Maps (batch, channels, height, width) to (batch, classes).
    """
    return nn.Sequential(
        nn.Conv2d(data.channels, WIDTH, KERNEL, padding=KERNEL // 2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, len(data.classes)),
    )


def replaced(
    model: nn.Sequential, make: Callable[[nn.Conv2d], nn.Module]
) -> nn.Sequential:
    """Return a network in which other layers stand in for convolutions.

    Args:
        model: The network; its other layers are shared.
        make: Returns the layer that stands in for a convolution.

    Returns:
        The network.
    """
    return nn.Sequential(
        *(make(layer) if isinstance(layer, nn.Conv2d) else layer for layer in model)
    )


def converted(conv: nn.Conv2d) -> RelativeSelfAttention:
    """Return the convolution as soft attention, all of it trainable."""
    return attention_from_conv(conv, alpha=SOFT)


def frozen(conv: nn.Conv2d) -> RelativeSelfAttention:
    """Return the same with α and centers that stay."""
    return with_fixed_positions(converted(conv))


def random_quadratic(conv: nn.Conv2d) -> RelativeSelfAttention:
    """Return the same with random centers that reach as far as the taps."""
    attention = converted(conv)
    nn.init.normal_(attention.centers, std=_SPREAD)
    return attention


def content(conv: nn.Conv2d) -> StandAloneAttention:
    """Return attention by content over the pixels that the convolution sees."""
    return StandAloneAttention(
        conv.in_channels,
        conv.out_channels,
        window=(KERNEL, KERNEL),
        heads=KERNEL**2,
        key_dim=_KEY_DIM,
        value_dim=min(conv.in_channels, conv.out_channels),
    )


def with_fixed_positions(attention: RelativeSelfAttention) -> RelativeSelfAttention:
    """Return a layer whose α and centers are not trained."""
    attention.alpha.requires_grad_(False)
    attention.centers.requires_grad_(False)
    return attention
