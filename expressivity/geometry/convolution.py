"""Where a convolution looks: canvas, taps, attention centers, queries.

One frozen object, :class:`ConvGeometry`, answers every question about positions, over
one, two or three axes. Nothing here knows about channels or weights.

Symbols of the paper (Cordonnier, Loukas, Jaggi 2020) and their names:

==========  =========================  ==========================================
Ω           canvas                     the grid of tokens that is attended over
q           ``queries``                query positions, one per output, in pixels
Δ_h         ``centers``                attention center of head h, in pixels
t = q + Δ   ``targets``                the pixels that the heads should copy
==========  =========================  ==========================================

All positions are counted in pixels from the first token of the canvas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import Literal, Self, cast, get_args

import torch
from jaxtyping import Int
from torch import Tensor, nn

from expressivity.checks import (
    check_choice,
    check_device,
    check_integer,
    check_per_axis,
    check_size,
    integers,
    is_dense,
    shown,
)
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.geometry.padding import PaddingMode, copied_pixels, padded
from expressivity.geometry.positions import grid_positions
from expressivity.machine.caching import CachedHash

_LARGEST = 2**31 - 1  # pixels; no canvas is so wide
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass(frozen=True)
class ConvGeometry(CachedHash):
    """The position arithmetic of a convolution over 1, 2 or 3 axes.

    Build one with :meth:`create`, from options of ``torch.nn.Conv2d``, or with
    :meth:`from_conv`. Every method that takes a ``size``, the pixels per axis of the
    input, raises an ``InputError`` as :meth:`check_input` does.

    Attributes:
        kernel_size: Taps per axis.
        stride: Pixels between neighbouring queries, per axis.
        padding: Pixels added (before, after) each axis.
        dilation: Pixels between neighbouring taps, per axis.
        padding_mode: What the added pixels hold. For ``"replicate"`` no token is
            added: a head whose target lies outside the canvas attends to the
            nearest pixel, which is replicate padding. Statement
            ``replicate_border`` in ``proofs/``.

    Raises:
        ArgumentError: If the numbers of axes differ, or a value is out of range.

    Example:
        >>> geometry = ConvGeometry.create((3, 3), stride=2, padding=1)
        >>> geometry.output_size((7, 7)), geometry.centers()[0].tolist()
        ((4, 4), [-1, -1])
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    padding_mode: PaddingMode = "zeros"

    def __post_init__(self) -> None:
        lengths = ("kernel_size", "stride", "dilation")
        for name in lengths:
            _require_integers(name, getattr(self, name))
        pairs = self.padding if isinstance(self.padding, tuple) else ()
        for pair in pairs or (self.padding,):
            _require_integers("padding", pair, "a tuple of (before, after) pairs")
        axes = len(self.kernel_size)
        if axes not in (1, 2, 3):
            raise ArgumentError(
                f"kernel_size needs 1, 2 or 3 axes, got {axes}: {self.kernel_size}"
            )
        for name in lengths:
            value = getattr(self, name)
            if len(value) != axes or any(entry < 1 for entry in value):
                raise ArgumentError(
                    f"{name} needs {axes} integers of at least 1, got {value}"
                )
        if len(self.padding) != axes or any(
            len(pair) != 2 or min(pair) < 0 for pair in self.padding
        ):
            raise ArgumentError(
                f"padding needs {axes} (before, after) pairs of at least 0, "
                f"got {self.padding}"
            )
        check_choice("padding_mode", self.padding_mode, get_args(PaddingMode))

    @classmethod
    def create(
        cls,
        kernel_size: Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | Literal["same", "valid"] = 0,
        dilation: int | Sequence[int] = 1,
        padding_mode: PaddingMode = "zeros",
    ) -> Self:
        """Return a geometry, given options spelled as in ``torch.nn.Conv2d``.

        Args:
            kernel_size: Taps per axis; its length sets the number of axes.
            stride: Pixels between queries, one number or one per axis.
            padding: Pixels on both sides, one number or one per axis; or
                ``"valid"`` (none), or ``"same"`` (as many outputs as inputs; an
                even kernel gets the extra pixel after, as in torch).
            dilation: Pixels between taps, one number or one per axis.
            padding_mode: What the added pixels hold.

        Raises:
            ArgumentError: If an option is out of range, or ``"same"`` meets a stride.

        Example:
            >>> ConvGeometry.create((3, 2), padding="same").padding
            ((1, 1), (0, 1))
        """
        kernel_size = check_per_axis("kernel_size", kernel_size)
        axes = len(kernel_size)
        strides = check_per_axis("stride", stride, axes)
        dilations = check_per_axis("dilation", dilation, axes)
        none = ((0, 0),) * axes
        bare = cls(kernel_size, strides, none, dilations, padding_mode)
        if not isinstance(padding, str):
            widths = check_per_axis("padding", padding, axes)
            return replace(bare, padding=tuple(zip(widths, widths, strict=True)))
        if padding not in ("same", "valid"):
            raise ArgumentError(
                f"padding needs numbers, 'same' or 'valid', got {padding!r}"
            )
        if padding == "same" and any(step != 1 for step in strides):
            raise ArgumentError(
                f"padding='same' needs stride 1, got {stride=}: give numbers"
            )
        return replace(bare, padding=bare.same_padding if padding == "same" else none)

    @classmethod
    def from_conv(cls, conv: Convolution) -> Self:
        """Return the geometry of an ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``.

        Raises:
            UnsupportedModuleError: If ``conv`` is none of these.
        """
        if not isinstance(conv, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            raise UnsupportedModuleError(
                f"conv needs an nn.Conv1d, nn.Conv2d or nn.Conv3d, got {shown(conv)}"
            )
        return cls.create(
            conv.kernel_size,
            stride=conv.stride,
            padding=cast("int | Sequence[int]", conv.padding),
            dilation=conv.dilation,
            padding_mode=conv.padding_mode,
        )

    @property
    def axes(self) -> int:
        """Number of axes of the grid: 1, 2 or 3."""
        return len(self.kernel_size)

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels from the first tap to the last, both included, per axis."""
        return tuple(
            d * (k - 1) + 1
            for k, d in zip(self.kernel_size, self.dilation, strict=True)
        )

    @property
    def anchor(self) -> tuple[int, ...]:
        """Pixels from the first tap to the query: the middle, rounded down."""
        return tuple((extent - 1) // 2 for extent in self.extent)

    @property
    def first_query(self) -> tuple[int, ...]:
        """Canvas position of the first query, in pixels, per axis."""
        return tuple(map(add, self.anchor, self._origin))

    @property
    def same_padding(self) -> tuple[tuple[int, int], ...]:
        """The padding that yields as many outputs as inputs at stride 1."""
        return tuple(
            (anchor, extent - 1 - anchor)
            for anchor, extent in zip(self.anchor, self.extent, strict=True)
        )

    @property
    def token_padding(self) -> tuple[tuple[int, int], ...]:
        """Padding tokens put on the canvas, per axis: none for replicate."""
        if self.padding_mode == "replicate":
            return ((0, 0),) * self.axes
        return self.padding

    def centers(
        self, *, device: torch.device | str = "cpu"
    ) -> Int[Tensor, "taps axes"]:
        """Return Δ_h = dilation · tap − anchor, in the order of the weight.

        Example:
            >>> ConvGeometry.create((3,), dilation=2).centers().tolist()
            [[-2], [0], [2]]
        """
        device = check_device("device", device)
        taps = [
            range(-anchor, extent - anchor, step)
            for anchor, extent, step in zip(
                self.anchor, self.extent, self.dilation, strict=True
            )
        ]
        return grid_positions(taps, device)

    def check_input(self, size: Sequence[int]) -> None:
        """Refuse an input that the convolution could not take either.

        Raises:
            InputError: If the number of axes is wrong, the padded input is
                smaller than the kernel, or reflect or circular padding is wider
                than the input allows.
        """
        if not isinstance(size, Sequence) or isinstance(size, (str, bytes)):
            check_size("size", size)
        if len(size) != self.axes:
            raise InputError(
                f"the layer works over {self.axes} axes, got a size of {len(size)}: "
                f"{tuple(size)}"
            )
        for axis, pixels in enumerate(size):
            before, after = self.padding[axis]
            if not isinstance(pixels, (int, torch.SymInt)):
                check_size("size", size)
            if pixels < 1 or pixels + before + after < self.extent[axis]:
                raise InputError(
                    f"axis {axis}: the padded input needs at least "
                    f"{self.extent[axis]} pixels (the reach of the kernel), got "
                    f"{pixels} + {before} + {after}: enlarge the input or the padding"
                )
            widest = {"reflect": pixels - 1, "circular": pixels}.get(self.padding_mode)
            if widest is not None and max(before, after) > widest:
                raise InputError(
                    f"axis {axis}: {self.padding_mode} padding of an input of "
                    f"{pixels} pixels can be at most {widest} wide, got "
                    f"{(before, after)}: enlarge the input or shrink the padding"
                )

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the number of queries per axis: of outputs, as torch has them."""
        self.check_input(size)
        return tuple(
            (pixels + before + after - extent) // stride + 1
            for pixels, (before, after), extent, stride in zip(
                size, self.padding, self.extent, self.stride, strict=True
            )
        )

    def canvas_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the number of tokens per axis, padding tokens included."""
        self.check_input(size)
        return tuple(
            pixels + before + after
            for pixels, (before, after) in zip(size, self.token_padding, strict=True)
        )

    def queries(self, size: Sequence[int]) -> tuple[range, ...]:
        """Return the query positions along each axis, in pixels of the canvas.

        The step of each range is the stride. For replicate padding wider than the
        kernel's anchor some queries lie outside the canvas.

        Example:
            >>> ConvGeometry.create((3,), stride=2).queries((7,))
            (range(1, 6, 2),)
        """
        return tuple(
            range(first, first + (count - 1) * step + 1, step)
            for first, count, step in zip(
                self.first_query, self.output_size(size), self.stride, strict=True
            )
        )

    def targets(self, size: Sequence[int]) -> tuple[range, ...]:
        """Return every target that a tap may have at stride 1, along each axis.

        Targets leave the canvas only for replicate padding.
        """
        self.check_input(size)
        return tuple(
            range(origin, origin + pixels + before + after)
            for origin, pixels, (before, after) in zip(
                self._origin, size, self.padding, strict=True
            )
        )

    def source(self, size: Sequence[int], axis: int) -> Int[Tensor, " tokens"]:
        """Return which pixel each token of an axis copies, −1 for a token of zeros.

        Example:
            >>> reflect = ConvGeometry.create((3,), padding=1, padding_mode="reflect")
            >>> reflect.source((4,), axis=0).tolist()
            [1, 0, 1, 2, 3, 2]
        """
        size = check_size("size", size, most=_LARGEST)
        self.check_input(size)
        axis = check_integer("axis", axis, least=0, most=self.axes - 1)
        return copied_pixels(size[axis], self.token_padding[axis], self.padding_mode)

    def canvas(self, x: Tensor) -> Tensor:
        """Return the tokens, (batch, channels, *canvas_size), for an input ``x``.

        Raises:
            InputError: If ``x`` is not a tensor, (batch, channels, *size).
        """
        if not isinstance(x, Tensor) or not is_dense(x) or x.dim() != self.axes + 2:
            raise InputError(
                f"x needs (batch, channels, {self.axes} axes), got {shown(x)}"
            )
        return padded(x, self.token_padding, self.padding_mode)

    @property
    def _origin(self) -> tuple[int, ...]:
        """Canvas position of the first pixel of the padded input, per axis."""
        replicate = self.padding_mode == "replicate"
        return tuple(-before if replicate else 0 for before, _ in self.padding)


def _require_integers(
    name: str, value: object, needed: str = "a tuple of integers, one an axis"
) -> None:
    numbers = integers(value) if isinstance(value, tuple) else None
    if numbers is None or any(abs(number) > _LARGEST for number in numbers):
        raise ArgumentError(
            f"{name} needs {needed}, at most {_LARGEST}, got {shown(value)}: "
            "ConvGeometry.create takes other spellings"
        )
