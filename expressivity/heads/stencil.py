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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from math import floor, prod
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from expressivity.geometry.positions import positions
from expressivity.heads.encoding import axis_scores
from expressivity.heads.smoothing import Axis
from expressivity.machine.memory_format import is_channels_last
from expressivity.machine.recording import are_memory
from expressivity.numbers.precision import compute_dtype, without_autocast
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


# Up to so many taps are cheaper at once than one axis after the other, on images of up
# to so many numbers. Stencils beat matrices from so many pixels on, with few taps and
# with many; for images that are not channels last, which are copied, with so many
# channels at least, and only while no derivatives are recorded: copies double. All
# measured on the layers of ResNet-50.
_AT_ONCE, _SMALL = 25, 100_000
# Numbers of an image that are scaled as fast as its borders alone.
_SCALED_WHOLE = 500_000
_PIXELS, _PIXELS_OF_MANY_TAPS = 14 * 14, 28 * 28
_PIXELS_TO_COPY, _CHANNELS_TO_COPY = 48 * 48, 16


def pays(radii: Sequence[int], tokens: Tensor, *, copied: bool) -> bool:
    """Return whether stencils smooth tokens faster than matrices do.

    Args:
        radii: Pixels around a target that are attended to, along each axis.
        tokens: (batch, channels, *size), on a CPU.
        copied: Whether torch copies them before and after if they are not channels
            last: it does unless a kernel follows that gains as much by the format.
    """
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):
        return False  # torch would loop over the channels
    if not are_memory((tokens,)):
        return False
    _, channels, *size = tokens.shape
    if not is_channels_last(tokens):
        enough = prod(size) >= _PIXELS_TO_COPY and channels >= _CHANNELS_TO_COPY
        return enough and not copied and not torch.is_grad_enabled()
    has_few_taps = prod([2 * radius + 1 for radius in radii]) <= _AT_ONCE
    return prod(size) >= (_PIXELS if has_few_taps else _PIXELS_OF_MANY_TAPS)


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

    def dense(self) -> Float[Tensor, "rows columns"]:
        """Return the smoothing as a matrix, by its effect on every token."""
        like = self.taps
        identity = torch.eye(self.columns, dtype=like.dtype, device=like.device)
        return Stencils.of([self])(identity[:, None]).squeeze(1).mT

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


@dataclass(frozen=True)
class Stencils:
    """The smoothing of a canvas: one stencil an axis, and what borders add.

    Attributes:
        along: The stencil of each axis.
        scales: The product of their scales.
        order: The axes, those first of which fewest rows are needed.
    """

    along: tuple[Stencil, ...]
    scales: Float[Tensor, "*rows_per_axis"]
    order: tuple[int, ...]
    _kept: dict[object, "Sweep"] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, along: Sequence[Stencil]) -> Self:
        """Return the smoothing, given a stencil for each axis."""
        scales = reduce(
            lambda total, more: total[..., None] * more,
            [stencil.scales for stencil in along],
        )
        order = sorted(
            range(len(along)), key=lambda axis: along[axis].rows / along[axis].columns
        )
        return cls(tuple(along), scales, tuple(order))

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the smoothing for inputs of a dtype on a device."""
        along = tuple(
            replace(
                stencil,
                taps=stencil.taps.to(device, dtype),
                scales=stencil.scales.to(device, dtype),
            )
            for stencil in self.along
        )
        return type(self)(along, self.scales.to(device, dtype), self.order)

    def __call__(
        self, canvas: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch channels *rows_per_axis"]:
        """Return the smoothed canvas at every target, channels last in memory.

        Computed in at least float32, outside autocast, and returned in the dtype of the
        canvas.

        Args:
            canvas: Tokens on a grid.
        """
        with without_autocast(canvas.device):
            return self.prepared(canvas)(canvas)

    def prepared(self, like: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the smoothing as a function of canvases of one kind, without autocast.

        Args:
            like: A canvas of their shape and dtype.
        """
        dtype, last = compute_dtype(like.dtype), torch.channels_last
        if len(self.along) != 2:
            return self._smooth_other_than_two
        sweeps = self._sweeps(like.shape[1], like.numel())

        def smooth(canvas: Tensor) -> Tensor:
            images = canvas.to(dtype).contiguous(memory_format=last)
            for sweep in sweeps:
                images = sweep(images)
            # Nothing else holds what a convolution returns.
            images = self._scale(images.contiguous(memory_format=last))
            return images.to(canvas.dtype)

        return smooth

    def part(self, targets: slice) -> tuple["Stencils", slice]:
        """Return the smoothing at some targets along the first axis.

        Args:
            targets: Those from one to another.

        Returns:
            The smoothing, and the tokens along the first axis that it takes.
        """
        first, *others = self.along
        own, tokens = first.part(targets)
        return Stencils.of([own, *others]), tokens

    def _smooth_other_than_two(self, canvas: Tensor) -> Tensor:
        """Smooth a canvas of one axis or three, an axis after the other."""
        images = canvas.to(compute_dtype(canvas.dtype)).movedim(1, -1).contiguous()
        for axis in self.order:
            images = self._along_one(images, axis)
        return self._scale(images.movedim(-1, 1)).to(canvas.dtype)

    def _scale(self, images: Tensor) -> Tensor:
        """Multiply images by what borders add, in place: of large ones, the borders."""
        if images.numel() <= _SCALED_WHOLE or images.requires_grad:
            return images.mul_(self.scales)
        for axis, stencil in enumerate(self.along):
            trail = (1,) * (len(self.along) - axis - 1)
            for rows in stencil.borders:
                scales = stencil.scales[rows].reshape(-1, *trail)
                width = scales.shape[0]
                images.narrow(2 + axis, rows.start, width).mul_(scales)
        return images

    def _sweeps(self, channels: int, numbers: int) -> list["Sweep"]:
        """Return what adds up all that lies under the taps, for images of two axes."""
        first, last = self.along
        taps = first.taps.shape[0] * last.taps.shape[0]
        if taps <= _AT_ONCE and numbers <= _SMALL:
            return [self._sweep(channels, first, last)]
        each = (first, None), (None, last)
        return [self._sweep(channels, *each[axis]) for axis in self.order]

    def _along_one(self, images: Tensor, axis: int) -> Tensor:
        """Add up what lies under the taps along an axis of (batch, *size, channels)."""
        batch, *size, channels = images.shape
        stencil, (before, own, after) = self.along[axis], _around(size, axis)
        # Images of two axes: this one, and those after it or the one before it.
        is_last = axis == len(size) - 1
        shape = (batch, before, own) if is_last else (batch * before, own, after)
        sweep = self._sweep(
            channels, *((None, stencil) if is_last else (stencil, None))
        )
        flat = images.reshape(*shape, channels).permute(0, 3, 1, 2)
        size[axis] = stencil.rows
        return sweep(flat).permute(0, 2, 3, 1).reshape(batch, *size, channels)

    def _sweep(self, channels: int, *stencils: Stencil | None) -> "Sweep":
        """Return the sweep of some stencils, formed once."""
        key = (channels, *map(id, stencils))
        sweep = self._kept.get(key)
        if sweep is None:
            # Autograd refuses tensors that inference mode has made.
            with torch.inference_mode(mode=False), torch.no_grad():
                sweep = self._kept[key] = Sweep.of(channels, *stencils)
        return sweep


@dataclass(frozen=True)
class Sweep:
    """A convolution of images of two axes, with one kernel for all channels.

    Attributes:
        kernel: The taps, for every channel.
        stride: Tokens between outputs.
        padding: Zeros on both sides.
        targets: Where outputs are those of targets: a dimension, the first output and
            how many.
    """

    kernel: Float[Tensor, "channels 1 _ _"]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    targets: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, channels: int, *stencils: Stencil | None) -> Self:
        """Return what adds up Σ_j g_j X_{m_t + j}, without what borders add.

        Args:
            channels: Channels of the images.
            stencils: The stencil of each axis, ``None`` for one that stays as it is.
        """
        taps, padding, stride, targets = [], [0, 0], [1, 1], []
        for axis, stencil in enumerate(stencils):
            if stencil is None:
                continue
            padding[axis], before = stencil.padding
            stride[axis] = stencil.stride
            taps.append(stencil.taps[None] if axis else stencil.taps[:, None])
            outputs = stencil.columns + 2 * padding[axis] - stencil.taps.shape[0]
            if outputs // stencil.stride + 1 != stencil.rows:
                targets.append((2 + axis, before, stencil.rows))
        kernel = reduce(torch.mul, taps)
        kernel = kernel.expand(channels, 1, *kernel.shape).contiguous()
        return cls(kernel, tuple(stride), tuple(padding), tuple(targets))

    def __call__(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch channels _ _"]:
        """Return what lies under the taps of every target, added up."""
        channels = images.shape[1]
        output = conv2d(
            images, self.kernel, None, self.stride, self.padding, 1, channels
        )
        for where in self.targets:
            output = output.narrow(*where)
        return output


def _around(size: Sequence[int], axis: int) -> tuple[int, int, int]:
    """Return the pixels before an axis, along it and after it."""
    return prod(size[:axis]), size[axis], prod(size[axis + 1 :])
