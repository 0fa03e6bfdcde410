"""The smoothing operator G_α as a stencil: the same few taps around every target.

Away from borders all rows of the smoothing hold the same numbers, each one pixel
further on. Near a border the softmax has fewer keys: the same numbers are divided by a
smaller sum. Along an axis, for targets t on the canvas,

    (R X)_t = (Z_∞ / Z_t) Σ_j g_j X_{m_t + j},    g_j = e^(−α (j − f)²) / Z_∞,

where m_t is the pixel nearest to t and f what t is off it, Z_∞ the sum over the taps j
and Z_t the part of it that is on the canvas. Tokens of zeros count in Z_t and add
nothing to the sum over j. Attention beyond the outermost taps is below the rounding of
the dtype, see :func:`expressivity.heads.leak.mass_beyond`.

The sum is a convolution that has one kernel for all channels. It reads a few pixels
where a matrix reads the whole axis.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import floor
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.positions import positions
from expressivity.heads.encoding import axis_scores
from expressivity.heads.smoothing import Axis
from expressivity.numbers.softmax import softmax


def first_pixel(targets: range, center: float) -> int:
    """Return the pixel nearest to the first target, halves rounded upward.

    Args:
        targets: Positions in pixels of the canvas, less the center.
        center: Added to the targets, in pixels.
    """
    return targets.start + floor(center + 0.5)


def is_on_canvas(targets: range, center: float, canvas: int) -> bool:
    """Return whether the pixel nearest to each target is one of the canvas.

    Example:
        >>> is_on_canvas(range(3), 0.4, canvas=3), is_on_canvas(range(3), 0.6, canvas=3)
        (True, False)
    """
    first = first_pixel(targets, center)
    return first >= 0 and first + targets[-1] - targets[0] < canvas


@dataclass(frozen=True)
class Stencil:
    """The smoothing along one axis, for targets on the canvas.

    Attributes:
        taps: The weights g, from the lowest pixel to the highest.
        scales: Z_∞ / Z_t of every target.
        first: The token under the first tap of the first target; tokens of zeros and
            pixels off the canvas have numbers below 0, or too large ones.
        stride: Tokens between neighbouring targets.
        columns: Tokens, less those of zeros.
    """

    taps: Float[Tensor, " taps"]
    scales: Float[Tensor, " rows"]
    first: int
    stride: int
    columns: int

    @classmethod
    def of(
        cls,
        axis: Axis,
        targets: range,
        first: int,
        fraction: float,
        alpha: float,
        radius: int,
        *,
        dtype: torch.dtype,
    ) -> Self:
        """Return the smoothing along one axis.

        Args:
            axis: The tokens.
            targets: Positions in pixels of the canvas, less the center.
            first: What :func:`first_pixel` returns.
            fraction: What targets are off the pixels nearest to them, in pixels.
            alpha: Locality strength, 1/pixel².
            radius: Pixels around the one nearest to a target that are attended to.
            dtype: Dtype in which the taps will be used: it decides what is negligible.

        Returns:
            The stencil, computed in float64.

        Example:
            >>> axis = Axis(tokens=3, zeros_before=0, canvas=3)
            >>> stencil = Stencil.of(
            ...     axis, range(3), 0, 0.0, 0.6931, radius=1, dtype=torch.float32
            ... )
            >>> [round(tap, 3) for tap in stencil.taps.tolist()]
            [0.25, 0.5, 0.25]
            >>> [round(scale, 3) for scale in stencil.scales.tolist()]
            [1.333, 1.0, 1.333]
        """
        around = positions(range(-radius, radius + 1))
        target, strength = (
            torch.tensor(number, dtype=torch.float64, device="cpu")
            for number in (fraction, alpha)
        )
        taps = softmax(axis_scores(target, around, strength), dtype=dtype)
        middles = range(first, first + len(targets) * targets.step, targets.step)
        under = positions(middles)[:, None] + around
        on_canvas = (under >= 0) & (under < axis.canvas)
        sums = torch.where(on_canvas.all(1), 1.0, on_canvas.to(taps.dtype) @ taps)
        return cls(
            taps,
            1 / sums,
            first - radius - axis.zeros_before,
            targets.step,
            axis.tokens,
        )

    @cached_property
    def borders(self) -> list[slice]:
        """The targets before and after those whose scale is one, if there are any."""
        ones = (self.scales == 1).nonzero().flatten().tolist()
        if not ones:
            return [slice(0, self.rows)]
        ends = [slice(0, ones[0]), slice(ones[-1] + 1, self.rows)]
        return [end for end in ends if end.start < end.stop]

    def part(self, targets: slice) -> tuple["Stencil", slice]:
        """Return the stencil of some targets, and the tokens that it reaches.

        Args:
            targets: Those from one to another.
        """
        start, stop, _ = targets.indices(self.rows)
        first = self.first + start * self.stride
        last = self.first + (stop - 1) * self.stride + self.taps.shape[0] - 1
        low = min(max(first, 0), self.columns - 1)
        high = max(low, min(last, self.columns - 1))
        own = replace(
            self, scales=self.scales[targets], first=first - low, columns=high + 1 - low
        )
        return own, slice(low, high + 1)

    @property
    def rows(self) -> int:
        """Number of targets."""
        return self.scales.shape[0]

    @cached_property
    def padding(self) -> tuple[int, int]:
        """The zeros on both sides, and the first outputs that are none of a target's.

        A convolution pads both sides alike.
        """
        last = self.first + (self.rows - 1) * self.stride
        after = max(0, last + self.taps.shape[0] - self.columns)
        more = max(0, -(-(after + self.first) // self.stride))
        return more * self.stride - self.first, more
