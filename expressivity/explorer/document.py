"""A convolution and an image as the JSON of a page, and back."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.convolutions import build_convolution
from expressivity.explorer.arrays import decoded, encoded
from expressivity.explorer.subject import Subject
from expressivity.geometry.convolution import Convolution


class ConvAndImage(NamedTuple):
    """What a page holds of a layer, in the dtype of the layer.

    Attributes:
        conv: The convolution.
        x: The image, (1, channels, *size).
    """

    conv: Convolution
    x: Float[Tensor, "1 channels ..."]


def to_json(subject: Subject) -> dict[str, Any]:
    """Return a subject as JSON has it, with two axes always.

    Args:
        subject: A part that a page can hold.

    Returns:
        Numbers, strings, lists and dictionaries.
    """
    conv, geometry = subject.conv, subject.kernel.geometry
    lone = 2 - geometry.axes
    bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
    image = subject.image.unsqueeze(1) if lone else subject.image
    return {
        "name": subject.name,
        "title": subject.title,
        "convolution": str(conv),
        "dtype": str(conv.weight.dtype).removeprefix("torch."),
        "dimensions": geometry.axes,
        "outputs": conv.out_channels,
        "groups": conv.groups,
        "kernel": [*[1] * lone, *geometry.kernel_size],
        "stride": [*[1] * lone, *geometry.stride],
        "dilation": [*[1] * lone, *geometry.dilation],
        "padding": [*[(0, 0)] * lone, *geometry.padding],
        "mode": geometry.padding_mode,
        "weight": encoded(conv.weight),
        "bias": encoded(bias),
        "biased": conv.bias is not None,
        "image": encoded(image),
        "unit": subject.unit,
    }


def from_json(document: Mapping[str, Any]) -> ConvAndImage:
    """Return the convolution and the image that :func:`to_json` wrote.

    Args:
        document: What it returned.

    Returns:
        Both, in the dtype of the layer.

    Raises:
        FileError: If an array is damaged.
    """
    dtype = getattr(torch, document["dtype"])
    axes = document["dimensions"]
    weight, bias, image = (
        decoded(document[name]).to(dtype) for name in ("weight", "bias", "image")
    )
    befores, afters = zip(*document["padding"][-axes:], strict=True)
    conv = build_convolution(
        nn.Parameter(weight),
        nn.Parameter(bias) if document["biased"] else None,
        stride=document["stride"][-axes:],
        padding=befores if befores == afters else "same",
        dilation=document["dilation"][-axes:],
        groups=document["groups"],
        padding_mode=document["mode"],
    ).requires_grad_(False)
    return ConvAndImage(conv, (image.squeeze(1) if axes == 1 else image)[None])
