"""What a page is about: a convolution and an image, small enough to be live.

A page evaluates heads in the reader's browser, once a frame. Two cuts keep that fast,
and change no number of what is left: fewer outputs (of whole groups), each of which is
computed as before, and a window of the image, which is an image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.convolutions import Kernel, build_convolution
from expressivity.errors import InputError, UnsupportedModuleError
from expressivity.geometry.convolution import Convolution
from expressivity.numbers.precision import rounding_level

# Multiplications of the rows of one output channel: about 16 ms, and a second.
_SMOOTH, _MOST = 3e7, 1.5e9
_WEIGHTS = 60_000  # numbers of a page; four or eight bytes each, a third more as text
_WIDEST = 24  # pixels of a window


@dataclass(frozen=True, eq=False)
class Subject:
    """A convolution and an image.

    Attributes:
        name: A short name, which the address of the page takes.
        title: A name for readers.
        kernel: The convolution, as it is.
        image: (channels, *size), in its dtype.
    """

    name: str
    title: str
    kernel: Kernel
    image: Float[Tensor, "channels ..."]

    @classmethod
    def of(cls, name: str, title: str, module: nn.Module, x: Tensor) -> Self:
        """Check a convolution and an image.

        Args:
            name: A short name.
            title: A name for readers.
            module: The convolution.
            x: One image, with a batch axis or without.

        Returns:
            The subject.

        Raises:
            InputError: If the image does not suit the convolution, is more than one,
                or holds numbers that are not finite.
            UnsupportedModuleError: If the module is no plain convolution over one or
                two axes.
        """
        kernel = Kernel.of(module)
        if kernel.geometry.axes > 2:
            raise UnsupportedModuleError(
                "the explorer draws convolutions over one or two axes, got "
                f"{kernel.conv}: take a slice of it"
            )
        batch = kernel.batched(x).detach()
        if len(batch) != 1 or not bool(batch.isfinite().all()):
            raise InputError(
                "x needs one image of finite numbers, got a batch of shape "
                f"{tuple(batch.shape)} with {int((~batch.isfinite()).sum())} that are "
                "not finite: pass x[:1]"
            )
        return cls(name, title, kernel, batch[0])

    @property
    def conv(self) -> Convolution:
        """The convolution."""
        return self.kernel.conv

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels per axis of the image."""
        return tuple(self.image.shape[1:])

    @property
    def unit(self) -> float:
        """Half an ulp of one in the dtype of the convolution."""
        return rounding_level(self.conv.weight.dtype)

    @property
    def work(self) -> float:
        """Multiplications for the rows of one output channel."""
        return self._work(self.size)

    @property
    def is_live(self) -> bool:
        """Whether a browser can form the rows, within a second."""
        return self.work <= _MOST

    @property
    def is_smooth(self) -> bool:
        """Whether a browser forms the rows within a frame."""
        return self.work <= _SMOOTH

    def _work(self, size: Sequence[int]) -> float:
        outputs = math.prod(self.kernel.geometry.output_size(size))
        entries = self.conv.weight[0].numel()
        return float(outputs * math.prod(size) * entries)

    @cached_property
    def part(self) -> "Subject":
        """The part of it that a page holds: the subject itself if that is small."""
        return replace(self, kernel=self._fewer_outputs()).in_window()

    def _fewer_outputs(self) -> Kernel:
        """Return the kernel of the first groups, or of some outputs of the only one."""
        conv = self.conv
        per_output = conv.weight[0].numel()
        most = max(1, _WEIGHTS // per_output)
        if conv.out_channels <= most:
            return self.kernel
        each = conv.out_channels // conv.groups
        groups = 1 if conv.groups == 1 else max(1, most // each)
        outputs = min(most, each) if groups == 1 else groups * each
        bias = None if conv.bias is None else nn.Parameter(conv.bias[:outputs].detach())
        small = build_convolution(
            nn.Parameter(conv.weight[:outputs].detach()),
            bias,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=groups,
            padding_mode=conv.padding_mode,
        )
        return Kernel.of(small)

    def in_window(self) -> "Subject":
        """Return it with the middle of the image, as large as stays smooth."""
        image = self.image[: self.conv.in_channels]
        subject = replace(self, image=image)
        least = [
            min(pixels, extent + 2)
            for pixels, extent in zip(
                subject.size, self.kernel.geometry.extent, strict=True
            )
        ]
        size = [min(pixels, _WIDEST) for pixels in subject.size]
        while subject._work(size) > _SMOOTH and size != least:
            size = [max(few, n - 1) for n, few in zip(size, least, strict=True)]
        window = [
            slice((pixels - n) // 2, (pixels - n) // 2 + n)
            for pixels, n in zip(subject.size, size, strict=True)
        ]
        return replace(subject, image=image[(slice(None), *window)])

    def one_output(self, output: int) -> "Subject":
        """Return one output channel and the channels that it reads, in float64."""
        conv = self.kernel.in_float64().conv
        each = conv.in_channels // conv.groups
        group = output * conv.groups // conv.out_channels
        bias = None if conv.bias is None else conv.bias[output : output + 1]
        small = build_convolution(
            nn.Parameter(conv.weight[output : output + 1].detach()),
            None if bias is None else nn.Parameter(bias.detach()),
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=1,
            padding_mode=conv.padding_mode,
        ).requires_grad_(False)
        channels = self.image[group * each : (group + 1) * each].double()
        return replace(self, kernel=Kernel.of(small), image=channels)

    def padded_as(self, mode: str) -> "Subject":
        """Return it with padding that keeps the size, in another mode."""
        geometry = self.kernel.geometry
        conv = self.conv
        widths = geometry.same_padding
        if any(before != after for before, after in widths):
            raise InputError(
                "other padding needs a kernel with as many taps before the middle as "
                f"after it, got {conv}"
            )
        changed = build_convolution(
            nn.Parameter(conv.weight.detach()),
            None if conv.bias is None else nn.Parameter(conv.bias.detach()),
            stride=conv.stride,
            padding=tuple(before for before, _ in widths),
            dilation=conv.dilation,
            groups=conv.groups,
            padding_mode=mode,
        ).requires_grad_(False)
        return replace(self, kernel=Kernel.of(changed))

    @property
    def batch(self) -> Float[Tensor, "1 channels ..."]:
        """The image with a batch axis."""
        return torch.unsqueeze(self.image, 0)
