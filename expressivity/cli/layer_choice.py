"""Choose a convolution: a layer of a user's model, or a random one."""

import math
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from expressivity.cli.arguments import RandomConvolution
from expressivity.cli.options import parse_size
from expressivity.cli.user_model import build_model
from expressivity.conversion.network.selection import convolution_like
from expressivity.convolutions import DTYPES, build_convolution, plain_convolution
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry, Convolution, PaddingMode


def layer_of_model(
    factory: str, weights: Path | None, layer: str | None
) -> Convolution:
    """Return a named convolution of a user's model.

    Args:
        factory: As for :func:`expressivity.cli.user_model.build_model`.
        weights: A file of weights to load first.
        layer: Its name; ``None`` if the model has only one.

    Returns:
        The plain convolution that it computes.

    Raises:
        ArgumentError: If the model has no such convolution, or several and no name
            is given.
        FileError: If the weights cannot be loaded.
        UnsupportedModuleError: If the layer is no plain convolution.
    """
    _, module = named_layer(build_model(factory, weights), layer)
    return plain_convolution(module)


def named_layer(model: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    """Return a named convolution of a model, and its name.

    Args:
        model: The model.
        layer: The name; ``None`` if the model has only one convolution.

    Returns:
        The name and the module.

    Raises:
        ArgumentError: If the model has no such convolution, or several and no name
            is given.
    """
    layers = dict(convolution_like(model))
    if layer is None and len(layers) == 1:
        (layer,) = layers
    if layer not in layers:
        raise ArgumentError(
            "--layer needs the name of a convolution of the model, one of "
            f"{', '.join(layers) or '(it has none)'}; got {layer!r}"
        )
    return layer, layers[layer]


def random_convolution(options: RandomConvolution, axes: int, seed: int) -> Convolution:
    """Draw weights and bias as torch initialises them.

    Args:
        options: Sizes with one number, or one an axis: ``"3"``, ``"3x5"``.
        axes: Number of axes: 1, 2 or 3.
        seed: Decides the numbers.

    Returns:
        An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``.

    Raises:
        ArgumentError: If an option is out of range, or has another number of axes.
    """
    inputs, outputs, groups = options.in_channels, options.out_channels, options.groups
    if inputs % groups or outputs % groups:
        raise ArgumentError(
            f"--groups needs to divide the channels, got {groups} for {inputs} and "
            f"{outputs}"
        )
    padding = _padding(options.padding, axes)
    geometry = ConvGeometry.create(
        _per_axis("--kernel-size", options.kernel_size, axes),
        stride=_per_axis("--stride", options.stride, axes),
        padding=padding,
        dilation=_per_axis("--dilation", options.dilation, axes),
        padding_mode=cast("PaddingMode", options.padding_mode),
    )
    channels = inputs // groups
    bound = (channels * math.prod(geometry.kernel_size)) ** -0.5
    generator = torch.Generator("cpu").manual_seed(seed)

    def parameter(*shape: int) -> nn.Parameter:
        uniform = torch.rand(shape, generator=generator, device="cpu")
        return nn.Parameter(bound * (2 * uniform - 1))

    return build_convolution(
        parameter(outputs, channels, *geometry.kernel_size),
        parameter(outputs),
        stride=geometry.stride,
        padding=padding,
        dilation=geometry.dilation,
        groups=groups,
        padding_mode=geometry.padding_mode,
    )


def dtype_of(name: str) -> torch.dtype:
    """Return a floating dtype by name.

    Args:
        name: Such as ``"float32"``.

    Returns:
        The dtype.

    Raises:
        ArgumentError: If it is not one that convolutions are converted in.

    Example:
        >>> dtype_of("float64")
        torch.float64
    """
    known = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES}
    if name not in known:
        raise ArgumentError(f"--dtype needs one of {', '.join(known)}, got {name!r}")
    return known[name]


def _per_axis(option: str, text: str, axes: int, smallest: int = 1) -> tuple[int, ...]:
    numbers = parse_size(option, text, smallest=smallest)
    if len(numbers) not in (1, axes):
        raise ArgumentError(
            f"{option} needs one number, or {axes} as --size has, got {text!r}"
        )
    return numbers * axes if len(numbers) == 1 else numbers


def _padding(text: str, axes: int) -> tuple[int, ...] | Literal["same", "valid"]:
    if text in ("same", "valid"):
        return cast("Literal['same', 'valid']", text)
    return _per_axis("--padding", text, axes, smallest=0)
