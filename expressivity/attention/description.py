"""The structure of an attention layer as plain data: all but its numbers.

A layer is rebuilt from its description and its tensors alone. Descriptions come from
files, so that building one allocates nothing until the tensors are known to fit.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import torch
from msgspec import Meta, Struct
from torch import Tensor

from expressivity.attention.layer import RelativeSelfAttention
from expressivity.errors import ExpressivityError, FileError
from expressivity.geometry import ConvGeometry, PaddingMode
from expressivity.machine.weights import assigned
from expressivity.strategies import AUTO, STRATEGIES

_LARGEST = 2**31 - 1
_MOST_TAPS = 2**22  # more have no memory in any layer

_Count = Annotated[int, Meta(ge=1, le=_LARGEST)]
_Place = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)]
_Width = Annotated[int, Meta(ge=0, le=_LARGEST)]
_Counts = Annotated[tuple[_Count, ...], Meta(min_length=1, max_length=3)]
_Places = Annotated[tuple[_Place, ...], Meta(min_length=1, max_length=3)]
_Dtype = Literal["float16", "bfloat16", "float32", "float64"]


class WindowDescription(Struct, frozen=True, forbid_unknown_fields=True):
    """The window of a table: see :class:`expressivity.geometry.window.Window`."""

    low: _Places
    size: _Counts
    step: _Counts


class LayerDescription(Struct, frozen=True, forbid_unknown_fields=True):
    """What a layer is built from.

    Attributes:
        in_channels: Channels of the tokens.
        out_channels: Channels of the output.
        kernel_size: Taps per axis of the geometry.
        stride: Pixels between queries, per axis.
        padding: Pixels added (before, after) each axis.
        dilation: Pixels between taps, per axis.
        padding_mode: What the added pixels hold.
        num_heads: Number of heads.
        head_dim: Dimension of a head's values, per group.
        groups: Number of channel groups.
        parameters: Names of the parameters; a projection that is not among them is the
            identity.
        frozen: Names of those that do not require gradients.
        key_dim: Dimension of content, ``None`` for none; it is gated where ``gate`` is
            among the parameters.
        window: Window of the table, ``None`` for none.
        strategy: How the layer is evaluated.
        dtype: Dtype of the projections.
    """

    in_channels: _Count
    out_channels: _Count
    kernel_size: _Counts
    stride: _Counts
    padding: tuple[tuple[_Width, _Width], ...]
    dilation: _Counts
    padding_mode: PaddingMode
    num_heads: _Count
    head_dim: _Count
    groups: _Count
    parameters: tuple[str, ...]
    frozen: tuple[str, ...]
    key_dim: _Count | None
    window: WindowDescription | None
    strategy: str
    dtype: _Dtype

    @classmethod
    def of(cls, layer: RelativeSelfAttention) -> "LayerDescription":
        """Describe a layer.

        Returns:
            Its structure.

        Raises:
            FileError: If its dtype has no place in a file.

        Example:
            >>> layer = RelativeSelfAttention(2, 2, ConvGeometry.create((3,)))
            >>> LayerDescription.of(layer).parameters
            ('output_weight', 'bias', 'alpha', 'centers')
        """
        geometry, window = layer.geometry, layer.window
        own = dict(layer.named_parameters())
        return cls(
            in_channels=layer.in_channels,
            out_channels=layer.out_channels,
            kernel_size=geometry.kernel_size,
            stride=geometry.stride,
            padding=geometry.padding,
            dilation=geometry.dilation,
            padding_mode=geometry.padding_mode,
            num_heads=layer.num_heads,
            head_dim=layer.head_dim,
            groups=layer.groups,
            parameters=tuple(own),
            frozen=tuple(n for n, p in own.items() if not p.requires_grad),
            key_dim=None if layer.query_weight is None else layer.query_weight.shape[1],
            window=None
            if window is None
            else WindowDescription(window.low, window.size, window.step),
            strategy=layer.strategy,
            dtype=_named(layer.dtype),
        )

    def layer(self) -> RelativeSelfAttention:
        """Return a layer of this structure without numbers.

        Returns:
            The layer, on the meta device.

        Raises:
            FileError: If no layer has such a structure.
        """
        if math.prod(self.kernel_size) > _MOST_TAPS:
            raise FileError(
                f"a kernel needs at most {_MOST_TAPS} taps, got {self.kernel_size}"
            )
        if self.strategy not in (AUTO, *(each.name for each in STRATEGIES)):
            raise FileError(
                f"strategy {self.strategy!r} is not known to this version of "
                "expressivity: update it"
            )
        try:
            layer = self._built()
        except ExpressivityError as error:
            raise FileError(f"no layer is described: {error}") from error
        stated, own = set(self.parameters), dict(layer.named_parameters())
        if stated != set(own) or not set(self.frozen) <= stated:
            raise FileError(
                f"the layer needs the parameters {', '.join(sorted(own))}, got "
                f"{', '.join(sorted(stated))}, of which {', '.join(self.frozen)} are "
                "frozen"
            )
        for name in self.frozen:
            own[name].requires_grad_(False)
        return layer

    def filled(self, tensors: Mapping[str, Tensor]) -> RelativeSelfAttention:
        """Return the layer with its numbers.

        Args:
            tensors: One a parameter; the layer takes them as they are.

        Returns:
            The layer, in evaluation mode.

        Raises:
            FileError: If no layer has such a structure, or the tensors are not its
                parameters.
        """
        return assigned(self.layer(), tensors).eval()

    def _built(self) -> RelativeSelfAttention:
        geometry = ConvGeometry(
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.padding_mode,
        )
        layer = RelativeSelfAttention(
            self.in_channels,
            self.out_channels,
            geometry,
            num_heads=self.num_heads,
            head_dim=self.head_dim,
            groups=self.groups,
            bias="bias" in self.parameters,
            key_dim=None if "gate" in self.parameters else self.key_dim,
            strategy=self.strategy,
            device="meta",
            dtype=getattr(torch, self.dtype),
        )
        if self.window is not None:
            window = self.window
            layer.add_table(window.low, window.size, step=window.step)
        if self.key_dim is not None and "gate" in self.parameters:
            layer.add_content(self.key_dim)
        if {"value_weight", "output_weight"} <= set(self.parameters):
            layer.materialize_projections()
        return layer


def _named(dtype: torch.dtype) -> _Dtype:
    name = str(dtype).removeprefix("torch.")
    for each in get_args(_Dtype):
        if each == name:
            return each  # type: ignore[no-any-return]
    raise FileError(f"a layer needs one of {get_args(_Dtype)} to be saved, got {dtype}")
