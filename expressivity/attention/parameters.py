"""What the attention layer holds: its parameters and options."""

from collections.abc import Callable, Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from expressivity.attention.content import ContentParameters, draw
from expressivity.checks import (
    check_device,
    check_dtype,
    check_flag,
    check_instance,
    check_integer,
)
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.window import Window
from expressivity.heads.memo import Memo
from expressivity.heads.parameters import Heads
from expressivity.heads.placement import Placement
from expressivity.heads.tables import Table
from expressivity.numbers.precision import compute_dtype
from expressivity.strategies import check_name

# More channels or heads than this have no memory anywhere.
_MOST = 2**31 - 1


class AttentionParameters(ContentParameters):
    """The parameters of a layer: how they are made, changed, moved and described."""

    centers: nn.Parameter
    value_weight: nn.Parameter | None
    bias: nn.Parameter | None
    table: nn.Parameter | None
    window: Window | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        geometry: ConvGeometry,
        *,
        num_heads: int | None = None,
        head_dim: int | None = None,
        groups: int = 1,
        bias: bool = True,
        key_dim: int | None = None,
        strategy: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Create a layer with soft heads (α = 1) and random projections.

        Args:
            in_channels: Channels of the tokens.
            out_channels: Channels of the output.
            geometry: Canvas and query grid.
            num_heads: Number of heads; by default one a tap, centered on it. Any
                other number starts from random centers, as in the paper.
            head_dim: Dimension D_h of a head's values, per group; by default
                min(in_channels, out_channels) / groups, which any head fits in.
            groups: Number of channel groups.
            bias: Whether an output bias is added.
            key_dim: Dimension of the content terms; ``None`` for none. They start
                at zero, see :meth:`add_content_terms`; for gated content call
                :meth:`add_content`.
            strategy: How the attention is evaluated: ``"auto"`` or a name.
            device: Device of the parameters.
            dtype: Dtype of the parameters.

        Raises:
            ArgumentError: If a number is below 1 or the groups do not divide the
                channels.
            StrategyError: If there is no such strategy.
        """
        super().__init__()
        in_channels = check_integer("in_channels", in_channels, most=_MOST)
        out_channels = check_integer("out_channels", out_channels, most=_MOST)
        groups = check_integer("groups", groups, most=_MOST)
        for name, value in {"num_heads": num_heads, "head_dim": head_dim}.items():
            if value is not None:
                check_integer(name, value, most=_MOST)
        advice = "Build one with ConvGeometry.create"
        check_instance("geometry", geometry, ConvGeometry, advice)
        check_flag("bias", bias)
        device = None if device is None else check_device("device", device)
        dtype = None if dtype is None else check_dtype("dtype", dtype)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"groups needs to divide the channels, got {groups=}, "
                f"{in_channels=}, {out_channels=}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.geometry, self.groups = geometry, groups
        self.strategy = strategy
        self._memo = Memo()
        channels, outputs = in_channels // groups, out_channels // groups
        self.head_dim = min(channels, outputs) if head_dim is None else head_dim
        taps = geometry.centers().shape[0]
        heads = taps if num_heads is None else num_heads

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        # The first parameter says in which dtype the layer computes.
        self.value_weight = self.output_weight = None
        if self.head_dim != channels:
            self.value_weight = parameter(groups, self.head_dim, channels, heads)
        if self.head_dim == channels or self.head_dim != outputs:
            self.output_weight = parameter(groups, outputs, self.head_dim, heads)
        self.bias = parameter(out_channels) if bias else None
        wide = compute_dtype(self.dtype)
        alpha = torch.empty(heads, device=device, dtype=wide)
        self.alpha = nn.Parameter(alpha)
        self.centers = nn.Parameter(alpha.new_empty(heads, geometry.axes))
        self._without_content()
        self.table = self.window = None
        self.reset_parameters()
        if key_dim is not None:
            self.add_content_terms(key_dim)

    def reset_parameters(self) -> None:
        """Set α = 1, centers on the taps, random projections and no bias."""
        if self.alpha.is_meta:  # torch would import a second's code to set nothing
            return
        taps = self.geometry.centers(device=self.centers.device)
        with torch.no_grad():
            self.alpha.fill_(1)
            if len(taps) == self.num_heads:
                self.centers.copy_(taps)
            else:
                self.centers.normal_(0, 2**0.5)
            for weight in (self.value_weight, self.output_weight):
                if weight is not None:
                    draw(weight)
            if self.bias is not None:
                self.bias.zero_()

    def add_table(
        self,
        low: Sequence[int],
        size: Sequence[int],
        *,
        step: Sequence[int] | None = None,
    ) -> Self:
        """Add a table of scores: s_h(δ) = −α_h ‖δ − Δ_h‖² + table_h(δ).

        It starts at zero, and is −∞ for all displacements outside of its window. Within
        it, too, entries may be set to −∞, as long as every query finds a token that is
        not; they stay −∞ in training.

        Args:
            low: First displacement of the window, in pixels, one integer an axis.
            size: Displacements per axis.
            step: Pixels from one to the next, per axis; by default 1.

        Returns:
            The layer itself.

        Raises:
            ArgumentError: If there is not one integer an axis, or a size or a step is
                below 1.

        Example:
            Heads with α = 0 and a table of zeros take the mean of their window.

            >>> from expressivity import RelativeSelfAttention
            >>> geometry = ConvGeometry.create((3,))
            >>> layer = RelativeSelfAttention(1, 1, geometry, num_heads=1)
            >>> _ = nn.init.zeros_(layer.add_table(low=[-1], size=[3]).alpha)
            >>> layer.attention_probabilities(size=(4,))[0, 0].mul(3).tolist()
            [1.0, 1.0, 1.0, 0.0]
        """
        axes = self.geometry.axes
        step = (1,) * axes if step is None else step
        window = Window.of(low, size, step)
        if len(window.size) != axes:
            raise ArgumentError(f"the layer works over {axes} axes, got {window}")
        self.table = nn.Parameter(self.alpha.new_zeros(self.num_heads, *window.size))
        self.window = window
        return self

    def materialize_projections(self) -> Self:
        """Turn an identity projection into an ordinary parameter, to be trained.

        Returns:
            The layer itself; its outputs are unchanged.
        """
        heads, groups, size = self.num_heads, self.groups, self.head_dim
        identity = torch.eye(size, dtype=self.dtype, device=self.alpha.device)
        trainable = self.heads().projections[0].requires_grad
        for name in ("value_weight", "output_weight"):
            if getattr(self, name) is None:
                blocks = identity[..., None].repeat(groups, 1, 1, heads)
                setattr(self, name, nn.Parameter(blocks, trainable))
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of inputs, outputs and projections; positions are float32 at least."""
        outer = self.value_weight if self.output_weight is None else self.output_weight
        return cast("nn.Parameter", outer).dtype

    @property
    def num_heads(self) -> int:
        """Number of heads."""
        return self.alpha.shape[0]

    @property
    def strategy(self) -> str:
        """How the attention is evaluated: ``"auto"`` or the name of a strategy."""
        return self._strategy

    @strategy.setter
    def strategy(self, name: str) -> None:
        self._strategy = check_name(name)

    def heads(self) -> Heads:
        """Return the parameters of all heads as strategies take them: no copies."""
        table = None
        if self.table is not None and self.window is not None:
            table = Table(self.table, self.window)
        return Heads(
            self.alpha,
            self.centers,
            self.value_weight,
            self.output_weight,
            self.bias,
            self._content_terms(),
            table,
            self._memo,
            lambda: self._placement,
            self._gated_content(),
        )

    def extra_repr(self) -> str:
        """Describe the layer in one line: the options that differ from the default."""
        geometry = self.geometry
        parts = [
            f"{self.in_channels}, {self.out_channels}, heads={self.num_heads}",
            f"kernel_size={geometry.kernel_size}, stride={geometry.stride}",
        ]
        if any(any(pair) for pair in geometry.padding):
            parts.append(f"padding={geometry.padding}")
            parts.append(f"padding_mode={geometry.padding_mode!r}")
        if any(step != 1 for step in geometry.dilation):
            parts.append(f"dilation={geometry.dilation}")
        parts.append(f"head_dim={self.head_dim}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.query_weight is not None:
            parts.append(f"key_dim={self.query_weight.shape[1]}")
        if self.gate is not None:
            parts.append("gated")
        if self.window is not None:
            parts.append(f"low={self.window.low}, size={self.window.size}")
            if any(step != 1 for step in self.window.step):
                parts.append(f"step={self.window.step}")
        return ", ".join(parts)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._memo.clear()  # it would keep the memory of what is moved or cast
        positions = [
            p
            for p in (self.alpha, self.centers, self.table, self.gate)
            if p is not None
        ]
        gradients = [p.grad for p in positions if p.grad is not None]
        wide = {id(tensor): tensor for tensor in (*positions, *gradients)}

        def move(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            dtype = compute_dtype(result.dtype)
            if id(tensor) in wide and result.dtype != dtype:
                return tensor.to(result.device, dtype)
            return result

        super()._apply(move, recurse)  # type: ignore[no-untyped-call]
        self._place()
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation, and forget what was computed."""
        self._memo.clear()
        self._placement.forget()
        return super().train(mode)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Add or replace a parameter."""
        super().register_parameter(name, param)
        self._place()

    def _place(self) -> None:
        """Hand α and Δ to the placement, which tells tracers about them."""
        parameters = self._parameters
        self._placement = Placement(parameters.get("alpha"), parameters.get("centers"))
