"""The input that comes as close to a bound as any: the signs of the worst row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from expressivity.accuracy.deviation import Deviation, WorstRows

_SIGNS = "0+-"  # by sign, as an index


@dataclass(frozen=True)
class WorstInput:
    """An input by its signs, where it is not zero.

    Attributes:
        size: Pixels per axis.
        pixels: The pixels that are not zero, per axis.
        signs: One word of ``+``, ``-`` and ``0`` a channel, over those pixels in
            row-major order.
        channel: The output channel that it is for.
        output: The output position, per axis.
        attained: |attention − conv| there, in exact arithmetic, rounded downward.
    """

    size: tuple[int, ...]
    pixels: tuple[tuple[int, ...], ...]
    signs: tuple[str, ...]
    channel: int
    output: tuple[int, ...]
    attained: float

    @classmethod
    def of(
        cls,
        deviation: Deviation,
        worst: WorstRows,
        size: Sequence[int],
        *,
        offset: Tensor,
        groups: int,
        bound: float,
        below: Tensor,
    ) -> Self:
        """Read the signs of the worst row.

        Args:
            deviation: The operator.
            worst: Its worst rows on that size.
            size: Pixels per axis.
            offset: The difference of the biases, (out_channels,).
            groups: Number of channel groups.
            bound: Largest ‖x‖_∞.
            below: What computing in float64 may lose below its range, (out_channels,).

        Returns:
            The input for the worst output channel.
        """
        channel = int((worst.above * bound + offset.abs()).argmax())
        place = tuple(worst.places[channel].tolist())
        row = deviation.row(size, place, channel)
        signs = row.values.sign().long() * (-1 if offset[channel] < 0 else 1)
        inner, group = len(signs), channel * groups // len(offset)
        words = ["".join(_SIGNS[s] for s in c.flatten().tolist()) for c in signs]
        every = ["0" * len(words[0])] * (inner * groups)
        every[group * inner : (group + 1) * inner] = words
        reached = float(worst.below[channel]) * bound + abs(float(offset[channel]))
        attained = max(0.0, reached * (1 - 2.0**-48) - float(below[channel]))
        return cls(tuple(size), row.pixels, tuple(every), channel, place, attained)

    def reached(
        self,
        deviation: Deviation,
        *,
        offset: Tensor,
        groups: int,
        bound: float,
        like: Self,
    ) -> float:
        """Return |attention − conv| on this input at its output, in exact arithmetic.

        Args:
            deviation: The operator.
            offset: The difference of the biases, (out_channels,).
            groups: Number of channel groups.
            bound: Largest ‖x‖_∞.
            like: A worst input of the same operator.

        Returns:
            The difference, up to rounding in float64; 0 if the operator takes other
            inputs or has no such output.
        """
        shape, channels = (self.size, len(self.signs)), len(offset)
        outputs = deviation.geometry.output_size(self.size)
        if shape != (like.size, len(like.signs)) or self.channel >= channels:
            return 0.0
        if any(place >= n for place, n in zip(self.output, outputs, strict=True)):
            return 0.0
        row = deviation.row(self.size, self.output, self.channel)
        group, inner = self.channel * groups // channels, len(row.values)
        x = self.tensor(1.0, torch.float64)[0, group * inner : (group + 1) * inner]
        for axis, pixels in enumerate(row.pixels):
            index = torch.tensor(pixels, device="cpu")
            x = x.index_select(axis + 1, index)
        total = float((row.values * x).sum()) * bound
        return abs(total + float(offset[self.channel]))

    def tensor(self, value: float, dtype: torch.dtype) -> Tensor:
        """Return the input, (1, in_channels, *size), with entries of this size."""
        sign = {"0": 0.0, "+": 1.0, "-": -1.0}
        words = [[sign[letter] for letter in word] for word in self.signs]
        x = torch.zeros(len(words), *self.size, dtype=torch.float64, device="cpu")
        along = [torch.tensor(pixels, device="cpu") for pixels in self.pixels]
        places = torch.meshgrid(*along, indexing="ij")
        every: tuple[slice | Tensor, ...] = (slice(None), *places)
        block = torch.tensor(words, dtype=x.dtype, device="cpu")
        x[every] = block.reshape(len(words), *map(len, self.pixels))
        return (value * x)[None].to(dtype)
