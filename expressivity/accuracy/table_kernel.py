"""The convolution that heads with tables compute: Σ_h p_h(δ) W_h.

They do where every query sees all that its heads attend to. Then no normaliser depends
on the query, whatever α is, and the layer equals one with a one-hot head for every
displacement, which carries Σ_h p_h(δ) W_h there.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expressivity.errors import NotOneHotError
from expressivity.geometry import ConvGeometry
from expressivity.heads.parameters import Heads
from expressivity.heads.tables import Table

_UNIT = 2.0**-53  # half an ulp of one in float64
_EXP_ULPS = 64
_SMALLEST = 1e-300  # what underflows is smaller


class TableKernel(NamedTuple):
    """A kernel over any displacements.

    Attributes:
        displacements: Those that some head attends to, in pixels.
        matrices: Σ_h p_h(δ) W_h for each of them.
        composition_error: What rounding may have done to Σ|·| of the rows of each
            matrix.
    """

    displacements: Int[Tensor, "entries axes"]
    matrices: Float[Tensor, "entries out_channels channels_of_group"]
    composition_error: Float[Tensor, "entries out_channels"]


def table_kernel(
    heads: Heads,
    table: Table,
    geometry: ConvGeometry,
    matrices: Float[Tensor, "heads out_channels channels_of_group"],
    composition_error: Float[Tensor, "heads out_channels"] | None = None,
) -> TableKernel:
    """Compose the kernel of heads with tables, in float64 on the CPU.

    Args:
        heads: The heads.
        table: Their tables.
        geometry: Canvas and queries.
        matrices: W_h, what the projections of each head compose to.
        composition_error: What composing them may have added to Σ|W_h| of a row.

    Returns:
        The kernel.

    Raises:
        NotOneHotError: If some query sees only a part of what a head attends to.
    """
    places = table.window.displacements()
    scores = table.scores.detach().double().cpu().flatten(1)
    reachable = ~scores.isneginf().all(0)
    places, scores = places[reachable], scores[:, reachable]
    _require_whole_windows(places, geometry)
    alpha, centers = (
        p.detach().double().cpu() for p in (heads.alpha, heads.centers[:, None])
    )
    quadratic = alpha[:, None] * (places - centers).square().sum(-1)
    totals = scores - quadratic
    probabilities = totals.softmax(-1)
    # Relative errors of e^score: of what is added up to it, and of the largest.
    terms = geometry.axes + 6
    sizes = quadratic.abs() + scores.abs().masked_fill(scores.isneginf(), 0.0)
    exponents = terms * (sizes + totals.amax(1, keepdim=True).abs()) * _UNIT
    mean = (probabilities * exponents).sum(1, keepdim=True)
    exponents = exponents + mean + (len(places) + 4 * _EXP_ULPS + 4) * _UNIT
    off = probabilities * torch.expm1(2 * exponents) + _SMALLEST
    off = torch.where(exponents < 1e-3, off, 1.0).masked_fill(scores.isneginf(), 0.0)
    wide = matrices.double().cpu()
    rows = wide.abs().sum(-1)
    lost = off.mT @ rows
    lost = lost + 4 * (len(wide) + 1) * _UNIT * (probabilities.mT @ rows)
    if composition_error is not None:
        lost = lost + 2 * (probabilities.mT @ composition_error.cpu())
    kernel = torch.einsum("hw,hoc->woc", probabilities, wide)
    return TableKernel(places, kernel, 2 * lost)


def _require_whole_windows(
    places: Int[Tensor, "entries axes"], geometry: ConvGeometry
) -> None:
    """Refuse displacements that lead off the canvas from some query."""
    replicated = geometry.padding_mode == "replicate"
    for axis, (extent, anchor, padding) in enumerate(
        zip(geometry.extent, geometry.anchor, geometry.padding, strict=True)
    ):
        before, after = padding if replicated else (0, 0)
        low, high = before - anchor, extent - 1 - anchor - after
        least, most = int(places[:, axis].min()), int(places[:, axis].max())
        if least < low or most > high:
            raise NotOneHotError(
                f"axis {axis}: the tables attend to displacements from {least} to "
                f"{most}, every query has tokens from {low} to {high} only: near "
                "borders the heads are normalised differently than inside, which no "
                "convolution does"
            )
