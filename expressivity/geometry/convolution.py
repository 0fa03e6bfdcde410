"""Where a convolution looks: canvas, taps, attention centers, query grid.

One frozen object, :class:`ConvGeometry`, answers every question about positions,
for one, two and three axes alike. Nothing here knows about channels or weights.

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
from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional

from expressivity.checks import (
    check_choice,
    check_device,
    check_integer,
    check_size,
    integers,
    is_dense,
    shown,
)
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.geometry.positions import grid_positions
from expressivity.machine.caching import CachedHash

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
# Pixels; no canvas is so wide.
_LARGEST = 2**31 - 1
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass(frozen=True)
class ConvGeometry(CachedHash):
    """The position arithmetic of a convolution over 1, 2 or 3 axes.

    Build one with :meth:`create` (spellings of ``torch.nn.Conv2d``) or
    :meth:`from_conv`.

    Attributes:
        kernel_size: Taps per axis.
        stride: Pixels between neighbouring queries, per axis.
        padding: Pixels added (before, after) each axis.
        dilation: Pixels between neighbouring taps, per axis.
        padding_mode: What the added pixels hold. For ``"replicate"`` no token is
            added: a head whose target lies outside the canvas attends to the
            nearest pixel, which is replicate padding (DESIGN 2.6).

    Raises:
        ArgumentError: If a field has another number of axes than the others, or
            a value outside its range.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    padding_mode: PaddingMode = "zeros"

    def __post_init__(self) -> None:
        for field in ("kernel_size", "stride", "dilation"):
            _require_integers(field, getattr(self, field))
        pairs = self.padding if isinstance(self.padding, tuple) else ()
        for pair in pairs or (self.padding,):
            _require_integers("padding", pair, "a tuple of (before, after) pairs")
        axes = len(self.kernel_size)
        if axes not in (1, 2, 3):
            raise ArgumentError(
                f"kernel_size needs 1, 2 or 3 axes, got {axes}: {self.kernel_size}"
            )
        for name in ("kernel_size", "stride", "dilation"):
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
        """Build a geometry from options spelled as in ``torch.nn.Conv2d``.

        Args:
            kernel_size: Taps per axis; its length sets the number of axes.
            stride: Pixels between queries, one number or one per axis.
            padding: Pixels on both sides, one number or one per axis; or
                ``"valid"`` (none), or ``"same"`` (as many outputs as inputs; an
                even kernel gets the extra pixel after, as in torch).
            dilation: Pixels between taps, one number or one per axis.
            padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or
                ``"circular"``.

        Returns:
            The validated geometry.

        Raises:
            ArgumentError: If an option is out of range, or ``"same"`` is asked
                for with a stride.

        Example:
            >>> ConvGeometry.create((3, 2), padding="same").padding
            ((1, 1), (0, 1))
        """
        kernel_size = _per_axis("kernel_size", kernel_size)
        axes = len(kernel_size)
        strides = _per_axis("stride", stride, axes)
        dilations = _per_axis("dilation", dilation, axes)
        none = ((0, 0),) * axes
        if isinstance(padding, str) and padding == "same":
            if any(step != 1 for step in strides):
                raise ArgumentError(
                    f"padding='same' needs stride 1, got {stride=}: give numbers"
                )
            bare = cls(kernel_size, strides, none, dilations, padding_mode)
            pairs = bare.same_padding
        elif isinstance(padding, str) and padding == "valid":
            pairs = none
        elif isinstance(padding, str):
            raise ArgumentError(
                f"padding needs numbers, 'same' or 'valid', got {padding!r}"
            )
        else:
            pairs = tuple((p, p) for p in _per_axis("padding", padding, axes))
        return cls(kernel_size, strides, pairs, dilations, padding_mode)

    @classmethod
    def from_conv(cls, conv: Convolution) -> Self:
        """Read the geometry of a torch convolution.

        Args:
            conv: An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``.

        Returns:
            Its geometry.

        Raises:
            UnsupportedModuleError: If it is none of these.
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
        return tuple(
            anchor + self._origin(axis) for axis, anchor in enumerate(self.anchor)
        )

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
        """Return the attention center of every tap, in the order of the weight.

        Args:
            device: Where to put the result.

        Returns:
            Δ_h = dilation · tap − anchor, in pixels.

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

        Args:
            size: Pixels per axis.

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
        """Return the number of queries per axis for an input of this size.

        Args:
            size: Pixels per axis of the input.

        Returns:
            Outputs per axis, as torch's convolution has them.

        Raises:
            InputError: As :meth:`check_input`.

        Example:
            >>> ConvGeometry.create((7, 7), stride=2, padding=3).output_size((224, 224))
            (112, 112)
        """
        self.check_input(size)
        return tuple(
            (pixels + before + after - extent) // stride + 1
            for pixels, (before, after), extent, stride in zip(
                size, self.padding, self.extent, self.stride, strict=True
            )
        )

    def canvas_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the number of tokens per axis, padding tokens included.

        Args:
            size: Pixels per axis of the input.

        Returns:
            Tokens per axis.

        Raises:
            InputError: As :meth:`check_input`.
        """
        self.check_input(size)
        return tuple(
            pixels + before + after
            for pixels, (before, after) in zip(size, self.token_padding, strict=True)
        )

    def queries(self, size: Sequence[int]) -> tuple[range, ...]:
        """Return the query positions along each axis, in pixels of the canvas.

        For replicate padding wider than the kernel's anchor some of them lie
        outside the canvas.

        Args:
            size: Pixels per axis of the input.

        Returns:
            One range an axis; its step is the stride.

        Raises:
            InputError: As :meth:`check_input`.

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
        """Return every position that an unstrided tap could be aimed at.

        Args:
            size: Pixels per axis of the input.

        Returns:
            One range an axis, in pixels of the canvas. It leaves the canvas only
            for replicate padding.
        """
        self.check_input(size)
        return tuple(
            range(self._origin(axis), self._origin(axis) + pixels + before + after)
            for axis, (pixels, (before, after)) in enumerate(
                zip(size, self.padding, strict=True)
            )
        )

    def source(self, size: Sequence[int], axis: int) -> Int[Tensor, " tokens"]:
        """Return which input pixel each token of one axis is a copy of.

        Args:
            size: Pixels per axis of the input.
            axis: The axis.

        Returns:
            A pixel index per token, −1 for a token that holds zeros.

        Example:
            >>> reflect = ConvGeometry.create((3,), padding=1, padding_mode="reflect")
            >>> reflect.source((4,), axis=0).tolist()
            [1, 0, 1, 2, 3, 2]
        """
        size = check_size("size", size, most=_LARGEST)
        self.check_input(size)
        axis = check_integer("axis", axis, least=0, most=self.axes - 1)
        return self._source(size, axis)

    def _source(self, size: Sequence[int], axis: int) -> Tensor:
        """Return what :meth:`source` does; the sizes may be symbols of a tracer."""
        pixels, (before, after) = size[axis], self.token_padding[axis]
        index = torch.arange(-before, pixels + after, device="cpu")
        if self.padding_mode == "circular":
            return index % pixels
        if self.padding_mode == "reflect":
            last = pixels - 1
            return last - (last - index.abs()).abs()
        return torch.where((index < 0) | (index >= pixels), -1, index)

    def canvas(self, x: Tensor) -> Tensor:
        """Lay the input on the canvas: add the padding tokens.

        Args:
            x: Input, (batch, channels, *size).

        Returns:
            The tokens, (batch, channels, *canvas_size).

        Raises:
            InputError: If it is no tensor, or has other axes.
        """
        if not isinstance(x, Tensor) or not is_dense(x) or x.dim() != self.axes + 2:
            raise InputError(
                f"x needs (batch, channels, {self.axes} axes), got {shown(x)}"
            )
        size = x.shape[2:]
        if not any(any(pair) for pair in self.token_padding):
            return x
        if self.padding_mode == "zeros":
            widths = [w for pair in reversed(self.token_padding) for w in pair]
            return functional.pad(x, widths)
        for axis in range(self.axes):
            x = x.index_select(axis + 2, self._source(size, axis).to(x.device))
        return x

    def _origin(self, axis: int) -> int:
        """Canvas position of the first pixel of the padded input."""
        return -self.padding[axis][0] if self.padding_mode == "replicate" else 0


def _per_axis(
    name: str, value: int | Sequence[int], axes: int | None = None
) -> tuple[int, ...]:
    """Return one integer per axis; one number stands for all if ``axes`` is given."""
    entries = integers(value) or (integers([value]) or ()) * (axes or 0)
    if entries:
        return entries
    wanted = "one integer per axis" + (", or one for all" if axes else "")
    raise ArgumentError(f"{name} needs {wanted}, got {shown(value)}")


def _require_integers(
    name: str, value: object, wanted: str = "a tuple of integers, one an axis"
) -> None:
    numbers = integers(value) if isinstance(value, tuple) else None
    if numbers is None or any(abs(number) > _LARGEST for number in numbers):
        raise ArgumentError(
            f"{name} needs {wanted}, at most {_LARGEST}, got {shown(value)}: "
            "ConvGeometry.create takes other spellings"
        )
