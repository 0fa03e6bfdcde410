"""Choose a convolution: a layer of a user's model, or a random one."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from expressivity.cli.factory import build_model
from expressivity.cli.options import parse_size
from expressivity.cli.weights import load_weights
from expressivity.conversion.network.selection import convolution_like
from expressivity.convolutions import (
    DTYPES,
    build_convolution,
    plain_convolution,
)
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry, Convolution, PaddingMode


def layer_of_model(
    factory: str, weights: Path | None, layer: str | None
) -> Convolution:
    """Return a named convolution of a user's model.

    Args:
        factory: As for :func:`expressivity.cli.factory.build_model`.
        weights: A file of weights to load first.
        layer: Its name; may be left out if the model has only one.

    Returns:
        The plain convolution that it computes.

    Raises:
        ArgumentError: If the model has no such convolution, or several and no name
            is given.
        FileError: If the weights cannot be loaded.
        UnsupportedModuleError: If it is not a plain convolution.
    """
    model = build_model(factory)
    if weights is not None:
        load_weights(model, weights)
    found = dict(convolution_like(model))
    if layer is None and len(found) == 1:
        (layer,) = found
    if layer not in found:
        raise ArgumentError(
            "--layer needs the name of a convolution of the model, one of "
            f"{', '.join(found) or '(it has none)'}; got {layer!r}"
        )
    return plain_convolution(found[layer])


@dataclass(frozen=True)
class RandomConvolution:
    """What is asked of a random convolution, spelled as for ``torch.nn.Conv2d``.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One number, or one an axis: ``"3"``, ``"3x5"``.
        stride: As ``kernel_size``.
        padding: As ``kernel_size``, or ``"same"`` or ``"valid"``.
        padding_mode: What the padding holds.
        dilation: As ``kernel_size``.
        groups: Number of channel groups.
    """

    in_channels: int
    out_channels: int
    kernel_size: str
    stride: str
    padding: str
    padding_mode: str
    dilation: str
    groups: int

    def build(self, axes: int, seed: int) -> Convolution:
        """Draw weights and bias as torch initialises them.

        Args:
            axes: Number of axes: 1, 2 or 3.
            seed: Decides the numbers.

        Returns:
            An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``.

        Raises:
            ArgumentError: If an option is out of range, or has another number of
                axes.
        """
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ArgumentError(
                f"--groups needs to divide the channels, got {self.groups} for "
                f"{self.in_channels} and {self.out_channels}"
            )
        geometry = ConvGeometry.create(
            _per_axis("--kernel-size", self.kernel_size, axes),
            stride=_per_axis("--stride", self.stride, axes),
            padding=_padding(self.padding, axes),
            dilation=_per_axis("--dilation", self.dilation, axes),
            padding_mode=cast("PaddingMode", self.padding_mode),
        )
        channels = self.in_channels // self.groups
        bound = (channels * math.prod(geometry.kernel_size)) ** -0.5
        generator = torch.Generator("cpu").manual_seed(seed)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(
                bound * (2 * torch.rand(shape, generator=generator, device="cpu") - 1)
            )

        return build_convolution(
            parameter(self.out_channels, channels, *geometry.kernel_size),
            parameter(self.out_channels),
            stride=geometry.stride,
            padding=_padding(self.padding, axes),
            dilation=geometry.dilation,
            groups=self.groups,
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
