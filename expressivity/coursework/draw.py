"""Numbers that follow from a name, so that everybody has an exercise of their own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.geometry.convolution import Convolution

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Draw:
    """Random numbers of one student.

    Each number has a key, so that no exercise depends on another. Numbers are whole
    multiples of a small fraction: they print short, and are exact in every dtype.

    Attributes:
        student: The name; case and spaces do not count.

    Example:
        >>> Draw("Ada").integer("1.1", 3, 9) == Draw(" ada ").integer("1.1", 3, 9)
        True
    """

    student: str

    def integer(self, key: str, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return int(self._integers(key, low, high, (1,)))

    def choice(self, key: str, choices: Sequence[Choice]) -> Choice:
        """Return one of some things."""
        return choices[self.integer(key, 0, len(choices) - 1)]

    def weights(
        self, key: str, shape: Sequence[int], unit: float = 1 / 8
    ) -> Float[Tensor, "..."]:
        """Return weights of both signs, ±unit to ±8 units, none of them zero.

        Args:
            key: Which ones.
            shape: Their shape.
            unit: What they are multiples of.

        Returns:
            Float64, on the CPU.
        """
        sizes = self._integers(f"{key} sizes", 1, 8, shape)
        signs = 2 * self._integers(f"{key} signs", 0, 1, shape) - 1
        return unit * (sizes * signs).double()

    def conv(
        self,
        key: str,
        channels: tuple[int, int],
        kernel_size: Sequence[int] = (3, 3),
        **options: object,
    ) -> Convolution:
        """Return a convolution with weights of :meth:`weights`.

        Args:
            key: Which one.
            channels: Channels in and out.
            kernel_size: Taps per axis.
            options: Those of ``nn.Conv2d``.

        Returns:
            In float32, as a student would make it; no gradients.
        """
        inner, outer = channels
        weight = self.weights(key, (outer, inner, *kernel_size))
        return conv_of(weight, **options)

    def _integers(self, key: str, low: int, high: int, shape: Sequence[int]) -> Tensor:
        name = " ".join(self.student.split()).casefold()
        digest = hashlib.sha256(f"{name}/{key}".encode()).digest()
        generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:7]))
        return torch.randint(
            low, high + 1, tuple(shape), generator=generator, device="cpu"
        )


def conv_of(weight: Float[Tensor, "..."], **options: object) -> Convolution:
    """Return a convolution with given weights, (out, in, *kernel size), and no bias."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[weight.dim() - 3]
    outer, inner, *kernel_size = weight.shape
    options = {"bias": False, "device": "cpu", **options}
    conv = kind(inner, outer, tuple(kernel_size), **options)  # type: ignore[arg-type]
    with torch.no_grad():
        conv.weight.copy_(weight)
    return conv.requires_grad_(False)
