"""Multi-head self-attention with relative positional encodings.

The layer of equation 8 of Cordonnier, Loukas and Jaggi (2020): every query attends
to every token of a canvas over 1, 2 or 3 axes; the score of a head is

    x_q W_qry W_keyᵀ x_k + x_q W_qry Ŵ_keyᵀ r_δ + uᵀ W_keyᵀ x_k + v_h · r_δ,

with v_h · r_δ = −α_h ‖δ − Δ_h‖² up to a constant of the head. The first three terms
are present on request, and so is a free table of scores, one for every displacement δ
of a window.
"""

from collections.abc import Callable, Sequence
from typing import Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from expressivity.attention.convolution_attributes import ConvolutionAttributes
from expressivity.checks import (
    check_device,
    check_dtype,
    check_flag,
    check_instance,
    check_integer,
    check_size,
    check_tensor,
    is_dense,
)
from expressivity.errors import ArgumentError, InputError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid
from expressivity.geometry.window import Window
from expressivity.heads.memo import Memo
from expressivity.heads.parameters import (
    ContentTerms,
    Heads,
)
from expressivity.heads.placement import Placement
from expressivity.heads.tables import Table
from expressivity.machine.recording import (
    called_as_a_whole,
    is_jit_traced,
)
from expressivity.numbers.precision import (
    autocast_is_on,
    compute_dtype,
)
from expressivity.strategies import (
    Explanation,
    attention_scores,
    check_name,
    select,
)
from expressivity.strategies import explain as explain_choice

# More channels or heads than this have no memory anywhere.
_MOST = 2**31 - 1


class RelativeSelfAttention(ConvolutionAttributes):
    """Self-attention over a grid: each head attends around its center.

    With one head a tap, large α and the right projections it computes a
    convolution: see :func:`expressivity.attention_from_conv`. It then answers for
    the attributes of that convolution too: ``weight``, ``stride``, ``padding``, ….

    Channels may be split in ``groups`` as in a grouped convolution; projections are
    then block-diagonal and only the blocks are stored. Where ``head_dim`` equals
    the channels of a group, the value projection is the identity (and where it
    equals only the outputs of a group, the output projection is): it is then not a
    parameter until :meth:`materialize_projections`.

    Positions, that is ``alpha``, ``centers`` and ``table``, are kept in at least
    float32, in a layer of half precision too: bfloat16 holds whole numbers to 256 only,
    so heads further out would attend to other pixels. ``.half()`` and ``.bfloat16()``
    leave them as they are.

    Whatever is kept from call to call follows the parameters. On a CPU their numbers
    are compared on each call, so that every change is noticed, whoever wrote it. On a
    GPU a write through ``.data`` is noticed only after a forward pass that records
    gradients of that parameter, or after :meth:`train` or ``eval``; until then the
    answer may be that of the numbers before. A CUDA graph keeps what it captured.

    ``torch.compile`` traces the layer again when ``alpha`` or ``centers`` have changed.
    A program of ``torch.export`` keeps their values, whatever is loaded into it later.
    Positions that are trained are inputs of the graph instead, and every head is
    evaluated alone: freeze them (``requires_grad_(False)``) before compiling for
    inference. Programs of ``torch.jit.trace`` and ``make_fx`` follow all parameters,
    every head alone, on inputs of the traced size. For ``torch.fx`` the layer is a
    single call.

    Attributes:
        geometry: Canvas and query grid.
        alpha: Locality strengths, 1/pixel², (heads,).
        centers: Attention centers, in pixels, (heads, axes).
        value_weight: W_valᵀ, (groups, head_dim, in_channels / groups, heads), or
            ``None`` for the identity. The heads come last, as the taps of a
            convolution's weight do.
        output_weight: W_outᵀ, (groups, out_channels / groups, head_dim, heads), or
            ``None`` for the identity.
        bias: (out_channels,) or ``None``.
        query_weight: W_qryᵀ, (heads, key_dim, in_channels), or ``None``.
        key_weight: W_keyᵀ, (heads, key_dim, in_channels), or ``None``.
        position_weight: Ŵ_keyᵀ, (heads, key_dim, axes + 1), or ``None``.
        content_bias: u, (heads, key_dim), or ``None``.
        table: Scores of the displacements in ``window``, (heads, *window.size), or
            ``None``, see :meth:`add_table`.
        window: The displacements that the table is of, or ``None``.

    Reference:
        Equation 8 and Theorem 1.

    Example:
        >>> geometry = ConvGeometry.create((3, 3), padding=1)
        >>> layer = RelativeSelfAttention(4, 6, geometry)
        >>> layer(torch.randn(2, 4, 8, 5)).shape
        torch.Size([2, 6, 8, 5])
        >>> layer.attention_probabilities(8, 5).shape  # the canvas is 10 × 7
        torch.Size([9, 40, 70])
    """

    alpha: nn.Parameter
    centers: nn.Parameter
    value_weight: nn.Parameter | None
    output_weight: nn.Parameter | None
    bias: nn.Parameter | None
    query_weight: nn.Parameter | None
    key_weight: nn.Parameter | None
    position_weight: nn.Parameter | None
    content_bias: nn.Parameter | None
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
                at zero, see :meth:`add_content_terms`.
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
        self.alpha = nn.Parameter(torch.empty(heads, device=device, dtype=wide))
        self.centers = nn.Parameter(
            torch.empty(heads, geometry.axes, device=device, dtype=wide)
        )
        self.query_weight = self.key_weight = None
        self.position_weight = self.content_bias = None
        self.table = self.window = None
        self.reset_parameters()
        if key_dim is not None:
            self.add_content_terms(key_dim)

    def reset_parameters(self) -> None:
        """Set α = 1, centers on the taps, random projections and no bias."""
        if (
            self.alpha.is_meta
        ):  # no numbers to set; torch imports a second of code to try
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
                    bound = (6 / (weight.shape[1] + weight.shape[2])) ** 0.5
                    weight.uniform_(-bound, bound)
            if self.bias is not None:
                self.bias.zero_()

    def add_content_terms(self, key_dim: int) -> Self:
        """Add the score terms that look at the tokens, without changing the output.

        W_qry and u start at zero, which makes all three terms vanish, W_key and
        Ŵ_key at random, so that W_qry and u receive gradients.

        Args:
            key_dim: Dimension of queries and keys.

        Returns:
            The layer itself.

        Raises:
            ArgumentError: If ``key_dim`` is below 1.
        """
        key_dim = check_integer("key_dim", key_dim, most=_MOST)
        heads, encoding = self.num_heads, self.geometry.axes + 1
        like = self.alpha.to(self.dtype)
        self.query_weight = nn.Parameter(
            like.new_zeros(heads, key_dim, self.in_channels)
        )
        self.content_bias = nn.Parameter(like.new_zeros(heads, key_dim))
        self.key_weight = nn.Parameter(torch.empty_like(self.query_weight))
        self.position_weight = nn.Parameter(like.new_empty(heads, key_dim, encoding))
        for weight in (self.key_weight, self.position_weight):
            bound = (6 / (weight.shape[1] + weight.shape[2])) ** 0.5
            nn.init.uniform_(weight, -bound, bound)
        return self

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

            >>> geometry = ConvGeometry.create((3,))
            >>> layer = RelativeSelfAttention(1, 1, geometry, num_heads=1)
            >>> _ = nn.init.zeros_(layer.add_table(low=[-1], size=[3]).alpha)
            >>> layer.attention_probabilities(4)[0, 0].mul(3).tolist()
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
        """Return the parameters of all heads as the strategies take them.

        Returns:
            The parameters themselves, not copies.
        """
        content = None
        if (
            self.query_weight is not None
            and self.key_weight is not None
            and self.position_weight is not None
            and self.content_bias is not None
        ):
            content = ContentTerms(
                self.query_weight,
                self.key_weight,
                self.position_weight,
                self.content_bias,
            )
        table = None
        if self.table is not None and self.window is not None:
            table = Table(self.table, self.window)
        return Heads(
            self.alpha,
            self.centers,
            self.value_weight,
            self.output_weight,
            self.bias,
            content,
            table,
            self._memo,
            lambda: self._placement,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attend from every query to the whole canvas.

        Args:
            x: Input, (batch, in_channels, *size) or without the batch axis.

        Returns:
            (batch, out_channels, *output size), as the convolution of the same
            geometry has it; without the batch axis if the input had none.

        Raises:
            InputError: If axes, channels, size or dtype of the input do not suit, or
                a head with a table finds no token from some query.
            StrategyError: If the strategy cannot run on it.
        """
        if isinstance(x, fx.Proxy):
            return cast("Tensor", called_as_a_whole(self, x))
        batch = self._batched(x)
        heads = self.heads()
        grid = self._grid(heads, batch.shape[2:])
        if is_jit_traced():  # the program is for this size: it refuses others
            batch = torch.cat([batch, batch.new_empty(0, self.in_channels, *grid.size)])
        output = select(self.strategy, heads, grid, batch).attend(heads, grid, batch)
        if output.dtype != x.dtype and not autocast_is_on(x.device):
            output = output.to(x.dtype)
        return output if x.dim() == batch.dim() else output.squeeze(0)

    def scores(
        self, *size: int, x: Tensor | None = None
    ) -> Float[Tensor, "*batch heads queries keys"]:
        """Return the scores before the softmax, constants of a head left out.

        Args:
            *size: Pixels per axis of the input, for a layer without content terms.
            x: The input, for a layer with content terms; any layer takes it.

        Returns:
            (heads, queries, keys), or (batch, heads, queries, keys) with content
            terms; queries and tokens of the canvas in row-major order.

        Raises:
            ArgumentError: If neither or both of ``size`` and ``x`` are given, or
                ``x`` is missing for a layer with content terms.
            InputError: If the size or the input does not suit.
            StrategyError: If the scores would not fit in the memory that is free.
        """
        if bool(size) == (x is not None):
            raise ArgumentError(
                "give either the size of the input, one integer an axis, or x=, the "
                f"input itself; got {'both' if size else 'neither'}"
            )
        heads = self.heads()
        if x is None:
            if heads.content is not None:
                raise ArgumentError(
                    "a layer with content terms attends differently to every input: "
                    "pass it as x="
                )
            size = check_size("size", size, least=0)
            self.geometry.check_input(size)
            x = self.alpha.new_zeros((), dtype=heads.dtype)
            x = x.expand(1, self.in_channels, *size)
        batch = self._batched(x)
        grid = self._grid(heads, batch.shape[2:])
        select("dense", heads, grid, batch)  # refuses what would not fit
        scores = attention_scores(heads, grid.queries, grid.canvas(batch))
        return scores if heads.content is not None else scores.squeeze(0)

    def attention_probabilities(
        self, *size: int, x: Tensor | None = None
    ) -> Float[Tensor, "*batch heads queries keys"]:
        """Return the softmax of the scores over the keys.

        Args:
            *size: Pixels per axis of the input, for a layer without content terms.
            x: The input, for a layer with content terms; any layer takes it.

        Returns:
            Rows that sum to one, shaped as :meth:`scores`.

        Raises:
            ArgumentError: As :meth:`scores`.
            InputError: As :meth:`scores`.
            StrategyError: As :meth:`scores`.
        """
        return self.scores(*size, x=x).softmax(-1)

    def extra_repr(self) -> str:
        """Describe the layer in one line.

        Returns:
            The options that differ from the default.
        """
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
        if self.window is not None:
            parts.append(f"low={self.window.low}, size={self.window.size}")
            if any(step != 1 for step in self.window.step):
                parts.append(f"step={self.window.step}")
        return ", ".join(parts)

    def _grid(self, heads: Heads, size: Sequence[int]) -> Grid:
        """Lay the geometry on an input, and check what tables need of it."""
        grid, table = Grid.of(self.geometry, size), heads.table
        if table is None:
            return grid

        def check() -> None:
            table.check_reach(grid.queries, grid.canvas_size)

        heads.memo.get(("reach", grid, table.window), [table.scores], check)
        return grid

    def _batched(self, x: Tensor) -> Tensor:
        """Check the input and give it a batch axis if it has none."""
        if not isinstance(x, Tensor) or not is_dense(x):
            check_tensor("x", x)
        axes = self.geometry.axes
        if x.dim() not in (axes + 1, axes + 2):
            raise InputError(
                f"the layer takes (batch, channels, {axes} axes) or the same without "
                f"batch, got {x.dim()} dimensions: {tuple(x.shape)}"
            )
        batch = x if x.dim() == axes + 2 else x.unsqueeze(0)
        if batch.shape[1] != self.in_channels:
            raise InputError(
                f"the layer takes {self.in_channels} channels, got {batch.shape[1]} "
                f"in an input of shape {tuple(x.shape)}"
            )
        if x.dtype != self.dtype and not (
            x.is_floating_point() and autocast_is_on(x.device)
        ):
            raise InputError(
                f"the layer takes {self.dtype}, got {x.dtype}: cast the input "
                "or the layer"
            )
        return batch

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._memo.clear()  # it would keep the memory of what is moved or cast
        positions = [p for p in (self.alpha, self.centers, self.table) if p is not None]
        gradients = [p.grad for p in positions if p.grad is not None]
        wide = {id(tensor): tensor for tensor in (*positions, *gradients)}

        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            dtype = compute_dtype(result.dtype)
            if id(tensor) in wide and result.dtype != dtype:
                return tensor.to(result.device, dtype)
            return result

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        self._place()
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation, and forget what was computed.

        Args:
            mode: Whether to train.

        Returns:
            The layer itself.
        """
        self._memo.clear()
        self._placement.forget()
        return super().train(mode)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Add or replace a parameter.

        Args:
            name: Its name.
            param: The parameter.
        """
        super().register_parameter(name, param)
        self._place()

    def _place(self) -> None:
        """Hand α and Δ to the placement, which tells tracers about them."""
        held = self._parameters
        self._placement = Placement(held.get("alpha"), held.get("centers"))


def explain(attention: RelativeSelfAttention, x: Tensor) -> Explanation:
    """Say which strategy runs on an input and why the others do not.

    Args:
        attention: The layer.
        x: An input.

    Returns:
        The explanation; print it.

    Raises:
        InputError: If the input does not suit the layer.

    Example:
        >>> layer = RelativeSelfAttention(1, 1, ConvGeometry.create((3,)))
        >>> with torch.no_grad():
        ...     print(explain(layer, torch.ones(1, 1, 9)))
        strategy 'auto' runs separable
          * separable: one smoothing per group of heads, then a convolution
              3 heads with alpha=1 smoothed over the whole canvas, neglecting 0
          - normalised: cannot run: without a table heads attend to the whole canvas,
            not to a window
          - fused: a fused attention kernel per head, on absolute positions
          - dense: every query against every key, materialised: the definition
    """
    advice = "Pass what attention_from_conv returned"
    check_instance("attention", attention, RelativeSelfAttention, advice)
    batch, heads = attention._batched(x), attention.heads()
    grid = attention._grid(heads, batch.shape[2:])
    return explain_choice(attention.strategy, heads, grid, batch)
