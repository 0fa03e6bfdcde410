"""Multi-head self-attention with relative positional encodings.

The layer of equation 8 of Cordonnier, Loukas and Jaggi (2020): every query attends
to every token of a canvas over 1, 2 or 3 axes; the score of a head is

    x_q W_qry W_keyᵀ x_k + x_q W_qry Ŵ_keyᵀ r_δ + uᵀ W_keyᵀ x_k + v_h · r_δ,

with v_h · r_δ = −α_h ‖δ − Δ_h‖² up to a constant of the head. The first three terms are
optional, and so is a table with a free score for every displacement δ of a window.
Content may instead attend by itself, mixed in by a gate: see ``add_content``.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from expressivity.attention.inputs import batched, size_of, with_checked_alpha
from expressivity.attention.parameters import AttentionParameters
from expressivity.attention.repetition import Repetition
from expressivity.checks import check_instance, check_size
from expressivity.errors import ArgumentError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.machine.memory_format import in_format_of
from expressivity.machine.recording import (
    called_as_a_whole,
    is_jit_traced,
    is_ordinary,
    is_traced,
)
from expressivity.numbers.precision import autocast_is_on
from expressivity.strategies import (
    Explanation,
    attend,
    attention_probabilities,
    attention_scores,
    select,
)
from expressivity.strategies import explain as explain_choice


class RelativeSelfAttention(AttentionParameters):
    """Self-attention over a grid: each head attends around its center.

    With one head a tap, large α and the right projections it computes a
    convolution: see :func:`expressivity.attention_from_conv`. It then answers for
    the attributes of that convolution too: ``weight``, ``stride``, ``padding``, ….

    Channels may be split in ``groups`` as in a grouped convolution; projections are
    then block-diagonal and only the blocks are stored. Where ``head_dim`` equals
    the channels of a group, the value projection is the identity (and where it
    equals only the outputs of a group, the output projection is): it is then not a
    parameter until :meth:`materialize_projections`.

    Positions, that is ``alpha``, ``centers`` and ``table``, have at least float32, in a
    layer of half precision too: bfloat16 holds whole numbers to 256 only, so that heads
    further out would attend to other pixels. ``.half()`` and ``.bfloat16()`` leave them
    as they are.

    The layer remembers results that follow from its parameters. On a CPU it compares
    their numbers on each call and notices every change, whoever wrote it. On a GPU it
    notices a write through ``.data`` only after a forward pass that records gradients
    of that parameter, or after :meth:`train` or ``eval``; until then its output may be
    that of the earlier numbers. A CUDA graph keeps what it captured.

    ``torch.compile`` traces the layer again when ``alpha`` or ``centers`` have changed.
    A program of ``torch.export`` keeps their values, whatever is loaded into it later.
    Trainable positions are inputs of the graph instead, which evaluates every head
    alone: freeze them (``requires_grad_(False)``) before compiling for inference.
    Programs of ``torch.jit.trace`` and ``make_fx`` follow all parameters, every head
    alone, on inputs of the traced size. For ``torch.fx`` the layer is a single call.

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
        gate: λ, (heads,), or ``None``: see :meth:`add_content`.
        table: Scores of the displacements in ``window``, (heads, *window.size), or
            ``None``, see :meth:`add_table`.
        window: The displacements that the table is of, or ``None``.

    Reference:
        Equation 8 and Theorem 1.

    Example:
        >>> from expressivity import ConvGeometry
        >>> geometry = ConvGeometry.create((3, 3), padding=1)
        >>> layer = RelativeSelfAttention(4, 6, geometry)
        >>> layer(torch.randn(2, 4, 8, 5)).shape
        torch.Size([2, 6, 8, 5])
        >>> layer.attention_probabilities(size=(8, 5)).shape  # the canvas is 10 × 7
        torch.Size([9, 40, 70])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend from every query to the whole canvas.

        Args:
            x: Input, (batch, in_channels, *size) or without the batch axis.

        Returns:
            (batch, out_channels, *output size), as the convolution of the same
            geometry has it, in the memory format of the input; without the batch
            axis if the input had none.

        Raises:
            InputError: If axes, channels, size or dtype of the input do not suit, or
                a head with a table finds no token from some query.
            StrategyError: If the strategy cannot run on it.
        """
        again = self._memo.repetition if is_ordinary() else None
        if isinstance(again, Repetition) and again.suits(self, x):
            return again(x)
        if isinstance(x, fx.Proxy):
            return cast("Tensor", called_as_a_whole(self, x))
        heads, grid, batch = self._inputs(x)
        if is_jit_traced():  # the program is for this size: it refuses others
            batch = torch.cat([batch, batch.new_empty(0, self.in_channels, *grid.size)])
        output = attend(self.strategy, heads, grid, batch)
        if output.dtype != x.dtype and not autocast_is_on(x.device):
            output = output.to(x.dtype)
        if is_traced():  # compilers choose formats themselves
            return output if x.dim() == batch.dim() else output.squeeze(0)
        output = in_format_of(batch, output)
        if x.dim() != batch.dim():
            return output.squeeze(0)
        if output.dtype == x.dtype:
            again = Repetition.of(self, heads, grid, x)
            self._memo.repetition = again
        return output

    def scores(
        self,
        *pixels: int,
        size: Sequence[int] | None = None,
        x: Tensor | None = None,
    ) -> Float[Tensor, "*batch heads queries keys"]:
        """Return the scores before the softmax, constants of a head left out.

        Args:
            *pixels: Deprecated: the size, one argument an axis.
            size: Pixels per axis of the input, for a layer without content terms.
            x: The input itself, for a layer with content terms; any layer takes it.

        Returns:
            (heads, queries, keys), or (batch, heads, queries, keys) with content
            terms; queries and tokens of the canvas in row-major order.

        Raises:
            ArgumentError: If neither or both of ``size`` and ``x`` are given, or
                ``x`` is missing for a layer with content, or the content is gated.
            InputError: If the size or the input does not suit.
            StrategyError: If the scores would not fit in the memory that is free.
        """
        heads, queries, canvas = self._tokens(size_of(pixels, size), x)
        if heads.gated is not None:
            raise ArgumentError(
                "scores are those of one softmax, and gated heads have two: read "
                "attention_probabilities, or the scores of without_content()"
            )
        scores = attention_scores(heads, queries, canvas)
        return scores if heads.sees_tokens else scores.squeeze(0)

    def attention_probabilities(
        self,
        *pixels: int,
        size: Sequence[int] | None = None,
        x: Tensor | None = None,
    ) -> Float[Tensor, "*batch heads queries keys"]:
        """Return the softmax of the scores over the keys, gated content included.

        Arguments, shape and errors are those of :meth:`scores`.
        """
        heads, queries, canvas = self._tokens(size_of(pixels, size), x)
        probabilities = attention_probabilities(heads, queries, canvas)
        return probabilities if heads.sees_tokens else probabilities.squeeze(0)

    def explain(self, x: Tensor) -> Explanation:
        """Say which strategy runs on an input and why the others do not.

        Args:
            x: An input.

        Returns:
            The explanation; print it.

        Raises:
            InputError: If the input does not suit the layer.

        Example:
            >>> from expressivity import ConvGeometry
            >>> layer = RelativeSelfAttention(1, 1, ConvGeometry.create((3,)))
            >>> with torch.no_grad():
            ...     print(layer.explain(torch.ones(1, 1, 9)))
            strategy 'auto' runs separable
              * separable: one smoothing per group of heads, then a convolution
                  3 heads with alpha=1 smoothed over the whole canvas, neglecting
                  2.6e-13
              - normalised: cannot run: without a table heads attend to the whole
                canvas, not to a window
              - fused: a fused attention kernel per head, on absolute positions
              - dense: every query against every key, materialised: the definition
        """
        return explain_choice(self.strategy, *self._inputs(x))

    def save(
        self,
        folder: str | Path,
        *,
        conv: nn.Module | None = None,
        input_bound: float = 1.0,
        about: str = "",
        force: bool = False,
    ) -> None:
        """Write the layer into a folder, for :func:`expressivity.load`.

        The folder then holds weights, structure, a certificate and a model card.

        Args:
            folder: Made if it is missing.
            conv: The convolution that the certificate is about; by default the one
                that the heads name.
            input_bound: Largest absolute value of any input, for the certificate.
            about: Paragraphs for the model card, in Markdown.
            force: Whether files of these names may be replaced.

        Raises:
            ArgumentError: If an option is out of range, or the convolution does not
                have the geometry and channels of the layer.
            FileError: If a file exists and ``force`` is not given, or cannot be
                written.
            UnsupportedModuleError: If the layer does not compute what its parameters
                say: hooks, a ``forward`` of its own.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from expressivity import attention_from_conv, load
            >>> attention = attention_from_conv(nn.Conv2d(1, 4, 3))
            >>> with TemporaryDirectory() as folder:
            ...     attention.save(folder)
            ...     again = load(folder)
            >>> x = torch.rand(1, 1, 5, 5)
            >>> torch.equal(again(x), attention(x))
            True
        """
        # What is written lies in a room above this one.
        content = import_module("expressivity.saved.content")
        content.save_layer(
            self,
            folder,
            conv=conv,
            input_bound=input_bound,
            about=about,
            force=force,
        )

    def _tokens(
        self, size: Sequence[int] | None, x: Tensor | None
    ) -> tuple[Heads, tuple[range, ...], Tensor]:
        """Return the heads, the queries and the canvas, if dense attention fits."""
        if (size is None) == (x is None):
            raise ArgumentError(
                "give either size=, one integer an axis, or x=, the input itself; got "
                f"{'neither' if x is None else 'both'}"
            )
        if x is None:
            if self.heads().sees_tokens:
                raise ArgumentError(
                    "a layer with content attends differently to every input: pass it "
                    "as x="
                )
            size = check_size("size", size, least=0)
            self.geometry.check_input(size)
            x = self.alpha.new_zeros((), dtype=self.dtype)
            x = x.expand(1, self.in_channels, *size)
        heads, grid, batch = self._inputs(x)
        select("dense", heads, grid, batch)  # refuses what would not fit
        return heads, grid.queries, grid.canvas(batch)

    def _inputs(self, x: Tensor) -> tuple[Heads, Grid, Tensor]:
        """Check an input, and return what strategies take: heads, grid and a batch."""
        batch, heads = batched(self, x), with_checked_alpha(self.heads())
        return heads, self._grid(heads, batch.shape[2:]), batch

    def _grid(self, heads: Heads, size: Sequence[int]) -> Grid:
        """Return the grid of an input size, and check that tables suit it."""
        grid, table = Grid.of(self.geometry, size), heads.table
        if table is None:
            return grid

        def check() -> None:
            table.check_reach(grid.queries, grid.canvas_size)

        heads.memo.get(("reach", grid, table.window), [table.scores], check)
        return grid


def explain(attention: RelativeSelfAttention, x: Tensor) -> Explanation:
    """Return what :meth:`RelativeSelfAttention.explain` says of an input.

    Example:
        >>> from expressivity import ConvGeometry
        >>> layer = RelativeSelfAttention(1, 1, ConvGeometry.create((3,)))
        >>> explain(layer, torch.ones(1, 1, 9)).chosen
        'separable'
    """
    advice = "Pass what attention_from_conv returned"
    check_instance("attention", attention, RelativeSelfAttention, advice)
    return attention.explain(x)
