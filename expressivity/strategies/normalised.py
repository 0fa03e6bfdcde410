"""Attention by relative tables is a normalised convolution.

A head that attends by displacement alone, within a window, computes

    Σ_δ e^{s_h(δ)} x_{q+δ} / Σ_δ e^{s_h(δ)},

both sums over the displacements that stay on the canvas. Queries that reach the same
part of the window share its normaliser, and with it the kernel Σ_h p_h(δ) W_h of all
heads together. Where every query reaches the whole window, the layer is a convolution.
Elsewhere queries near borders have kernels of their own. Each kernel is an exact
softmax over the part that they reach: no weight underflows for being far from the
largest of the whole window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import product
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.convolutions import convolve
from expressivity.errors import StrategyError
from expressivity.geometry.grid import Grid
from expressivity.geometry.window import Stretch, Window
from expressivity.heads.encoding import displacement_scores
from expressivity.heads.parameters import Heads
from expressivity.heads.tables import Table
from expressivity.numbers.precision import compute_dtype, without_autocast
from expressivity.numbers.softmax import softmax

Entries = tuple[range, ...]


@dataclass(frozen=True)
class Normalised:
    """Convolve with Σ_h p_h(δ) W_h, once for each part of the window."""

    name: str = "normalised"
    summary: str = "one convolution with the kernel of all tables together"

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Refuse heads without tables, and content terms."""
        if heads.table is None:
            return "without a table heads attend to the whole canvas, not to a window"
        if heads.content is not None:
            return "content scores depend on more than the displacement"
        return None

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Say how large the kernel is, and how often borders cut it off."""
        table = _table(heads)
        parts = prod(map(len, _stretches(table, grid)))
        count, size = heads.alpha.shape[0], "×".join(map(str, table.window.size))
        text = f"{count} head{'s' * (count > 1)} in a kernel of size {size}"
        if parts > 1:
            text += f", in {parts} parts where borders cut it off differently"
        return [text]

    def prepared(self, heads: Heads, grid: Grid) -> None:
        """Find nothing to prepare."""

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return the convolution of each stretch of queries, put together."""
        table, canvas = _table(heads), grid.canvas(x)
        stretches = _stretches(table, grid)
        parts = list(product(*stretches))
        with without_autocast(x.device):
            kernel_of = _kernels(heads, table, keep=len(parts) == 1)
        pieces = [
            _convolved(heads, table.window, part, canvas, kernel_of) for part in parts
        ]
        for axis in reversed(range(len(stretches))):
            count = len(stretches[axis])
            if count > 1:
                pieces = [
                    torch.cat(pieces[first : first + count], axis + 2)
                    for first in range(0, len(pieces), count)
                ]
        return pieces[0]


def _table(heads: Heads) -> Table:
    if heads.table is None:
        raise StrategyError("normalised attention needs heads with a table, got none")
    return heads.table


def _stretches(table: Table, grid: Grid) -> tuple[tuple[Stretch, ...], ...]:
    return table.window.stretches(grid.queries, grid.canvas_size)


def _kernels(heads: Heads, table: Table, *, keep: bool) -> Callable[[Entries], Tensor]:
    """Return the function that composes Σ_h p_h(δ) W_h over entries of the window.

    With ``keep`` the layer remembers the result.
    """
    sources = (heads.alpha, heads.centers, table.scores, *heads.projections)
    dtype = compute_dtype(heads.dtype)

    def matrices() -> Tensor:
        stacked = (w.movedim(-1, 0).to(dtype) for w in heads.projections)
        composed: Tensor = reduce(torch.matmul, stacked)
        return composed

    def compose(matrices: Tensor, entries: Entries) -> Tensor:
        probabilities = probabilities_of(heads, table, entries)
        kernel = torch.einsum("hw,hgoc->gocw", probabilities, matrices).flatten(0, 1)
        shaped: Tensor = kernel.unflatten(-1, tuple(map(len, entries)))
        return shaped

    if not keep:
        return partial(compose, matrices())
    return lambda entries: heads.memo.get(
        "kernel",
        sources,
        lambda: compose(matrices(), entries),
        context=entries,
        differentiable=True,
    )


def _convolved(
    heads: Heads,
    window: Window,
    part: Sequence[Stretch],
    canvas: Tensor,
    kernel_of: Callable[[Entries], Tensor],
) -> Float[Tensor, "batch out_channels ..."]:
    """Return the outputs of the queries of one part of the grid."""
    for axis, (queries, entries) in enumerate(part):
        low, step = window.low[axis], window.step[axis]
        first = queries[0] + low + step * entries[0]
        last = queries[-1] + low + step * entries[-1]
        canvas = canvas.narrow(axis + 2, first, last - first + 1)
    with without_autocast(canvas.device):
        kernel = kernel_of(tuple(entries for _, entries in part)).to(canvas.dtype)
    return convolve(
        canvas,
        kernel,
        None if heads.bias is None else heads.bias.to(canvas.dtype),
        stride=[queries.step for queries, _ in part],
        dilation=window.step,
        groups=heads.groups,
    )


def probabilities_of(
    heads: Heads, table: Table, entries: Entries
) -> Float[Tensor, "heads entries"]:
    """Return the attention to some entries of the window; it sums to one."""
    dtype, size = compute_dtype(heads.dtype), table.window.size
    some = tuple(slice(along.start, along.stop) for along in entries)
    window = table.window.displacements(heads.alpha.device).unflatten(0, size)
    quadratic = displacement_scores(
        window[some].flatten(0, -2), heads.centers.to(dtype), heads.alpha.to(dtype)
    )
    free = table.scores[(slice(None), *some)].flatten(1).to(dtype)
    return softmax(quadratic + free)
