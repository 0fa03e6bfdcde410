"""What a plain convolution consists of: read once, behind the gate."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from jaxtyping import Float
from torch import Tensor, nn

from expressivity.checks import check_numbers
from expressivity.convolutions.gate import plain_convolution
from expressivity.convolutions.plain import tap_matrices
from expressivity.errors import InputError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution


@dataclass(frozen=True, eq=False)
class Kernel:
    """A convolution that has passed the gate.

    Public functions make one of whatever module they are given; everything below them
    takes the kernel.

    Attributes:
        conv: The plain torch convolution.
        geometry: Its geometry.
    """

    conv: Convolution
    geometry: ConvGeometry

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """Pass a module through the gate, :func:`plain_convolution`."""
        conv = plain_convolution(module)
        return cls(conv, ConvGeometry.from_conv(conv))

    @property
    def taps(self) -> Float[Tensor, "taps out_channels channels_of_group"]:
        """The matrices W_Δ, one a tap: a view of the weight, without derivatives."""
        return tap_matrices(self.conv.weight.detach())

    @cached_property
    def wide_taps(self) -> Float[Tensor, "taps out_channels channels_of_group"]:
        """The same matrices in float64 on the CPU."""
        return self.taps.double().cpu()

    def in_float64(self) -> Self:
        """Return the kernel of a frozen copy in float64."""
        conv = copy.deepcopy(self.conv).requires_grad_(False).double()
        return type(self)(conv, self.geometry)

    def batched(self, x: Tensor) -> Tensor:
        """Check an input, with or without a batch axis, and return it with one."""
        conv, axes = self.conv, self.geometry.axes
        x = check_numbers("x", x)
        if x.dtype != conv.weight.dtype or x.device != conv.weight.device:
            raise InputError(
                "x needs the dtype and device of the convolution, "
                f"{conv.weight.dtype} on {conv.weight.device}, got {x.dtype} on "
                f"{x.device}: use x.to(conv.weight)"
            )
        batch = x.unsqueeze(0) if x.dim() == axes + 1 else x
        if batch.dim() != axes + 2 or batch.shape[1] != conv.in_channels:
            raise InputError(
                f"x needs (batch, {conv.in_channels} channels, {axes} axes) or the "
                f"same without batch, got {tuple(x.shape)}"
            )
        self.geometry.check_input(batch.shape[2:])
        return batch
