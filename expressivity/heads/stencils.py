"""A canvas smoothed by stencils on a CPU: depthwise convolutions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import inf, prod
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from expressivity.heads.stencil import Stencil
from expressivity.machine.memory_format import is_channels_last
from expressivity.machine.processor import has_fast_products, has_wide_vectors
from expressivity.machine.recording import are_memory
from expressivity.numbers.precision import compute_dtype, without_autocast

# All measured on the layers of ResNet-50. Up to so many taps, what lies under them is
# added up at once.
_AT_ONCE = 25
# Up to so many numbers, a whole image is scaled as fast as its borders alone.
_SCALED_WHOLE = 500_000
# Images that are not channels last need so many channels for stencils, and so many
# pixels to be copied; no derivatives may be recorded, which would be copied as well.
_CHANNELS, _PIXELS_TO_COPY = 16, 48 * 48


@dataclass(frozen=True)
class Crossovers:
    """Where one way to smooth begins to be faster than another.

    Attributes:
        numbers_at_once: Numbers of the largest image whose few taps are added up at
            once, rather than one axis after the other.
        pixels: Of the smallest image on which stencils of few taps beat matrices.
        pixels_of_many_taps: The same, for stencils of many taps.
        copies_for_one_tap: Whether stencils of few taps beat matrices by more than it
            takes to copy images that are not channels last, even before a kernel of one
            tap, if it returns no more channels than it takes.
        numbers_as_they_are: Numbers of the smallest images, not channels last, on which
            stencils of few taps beat matrices without a copy.
    """

    numbers_at_once: float
    pixels: int
    pixels_of_many_taps: int
    copies_for_one_tap: bool
    numbers_as_they_are: float


def crossovers(*, wide_vectors: bool, fast_products: bool) -> Crossovers:
    """Return what was measured on an Intel Xeon and two AMD EPYC.

    Args:
        wide_vectors: As :func:`has_wide_vectors` has it: true of the Xeon and of one
            EPYC.
        fast_products: As :func:`has_fast_products` has it: true of the Xeon.
    """
    if fast_products:
        return Crossovers(inf, 48 * 48, 64 * 64, False, inf)
    if wide_vectors:
        return Crossovers(inf, 14 * 14, 28 * 28, True, 100_000)
    return Crossovers(100_000, 14 * 14, 28 * 28, False, inf)


_HERE = crossovers(wide_vectors=has_wide_vectors(), fast_products=has_fast_products())


def format_for(
    radii: Sequence[int], tokens: Tensor, *, of_one_tap: int | None
) -> torch.memory_format | None:
    """Return the memory format in which stencils smooth faster than matrices, if any.

    Args:
        radii: Pixels around a target that are attended to, along each axis.
        tokens: (batch, channels, *size), on a CPU.
        of_one_tap: The outputs of kernels of one tap that they are convolved with,
            which gain less from channels last; ``None`` for kernels of several taps.
    """
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):
        return None  # torch would loop over the channels
    if not are_memory((tokens,)):  # vmap knows no memory formats
        return None
    _, channels, *size = tokens.shape
    has_few_taps = prod([2 * radius + 1 for radius in radii]) <= _AT_ONCE
    if is_channels_last(tokens):
        enough = _HERE.pixels if has_few_taps else _HERE.pixels_of_many_taps
        return torch.channels_last if prod(size) >= enough else None
    if torch.is_grad_enabled() or channels < _CHANNELS:
        return None
    gains = of_one_tap is None or (
        _HERE.copies_for_one_tap and has_few_taps and of_one_tap <= channels
    )
    if gains and prod(size) >= _PIXELS_TO_COPY:
        return torch.channels_last
    is_large = tokens.numel() >= _HERE.numbers_as_they_are
    if has_few_taps and is_large and len(size) == 2:
        return torch.contiguous_format
    return None


@dataclass(frozen=True)
class Stencils:
    """The smoothing of a canvas: one stencil an axis, and what borders add.

    Attributes:
        along: The stencil of each axis.
        scales: The product of their scales.
        order: The axes, those first of which fewest rows are needed.
        wanted: The memory format in which images of two axes are smoothed.
    """

    along: tuple[Stencil, ...]
    scales: Float[Tensor, "*rows_per_axis"]
    order: tuple[int, ...]
    wanted: torch.memory_format = torch.channels_last
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
        scales = self.scales.to(device, dtype)
        return type(self)(along, scales, self.order, self.wanted)

    def __call__(
        self, canvas: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch channels *rows_per_axis"]:
        """Return the smoothed canvas at every target.

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
        dtype, wanted = compute_dtype(like.dtype), self.wanted
        if len(self.along) != 2:
            return self._smooth_other_than_two
        sweeps = self._sweeps(like.shape[1], like.numel())
        is_as_wanted = like.dtype == dtype and like.is_contiguous(memory_format=wanted)

        def smooth(canvas: Tensor) -> Tensor:
            images = canvas
            if not is_as_wanted:
                images = canvas.to(dtype).contiguous(memory_format=wanted)
            for sweep in sweeps:
                images = sweep(images)
            # Nothing else holds what a convolution returns.
            images = self._scale(images.contiguous(memory_format=wanted))
            return images if images.dtype == canvas.dtype else images.to(canvas.dtype)

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
        if taps <= _AT_ONCE and numbers <= _HERE.numbers_at_once:
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
