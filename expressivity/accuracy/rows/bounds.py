"""Upper bounds of all row norms from one row, so that few rows have to be formed.

Far from all borders every query has the same row. Near a border a part of it has no
pixels to fall on, and the attention that would have gone there goes to the rest, nearly
all of it to the limits of the heads. With m_h what the limit of head h gains, and e_h
what its other pixels gain,

    ‖row of q‖ ≤ Σ_{p within} N(p) + Σ_h (F_h(m_h) − F_h(0)) + Σ_h Σ_c |W_h| ‖e_h‖,

N(p) = Σ_c |row(p)| of the far query and F_h(m) = Σ_c |row(limit of h) + m W_h|. F_h is
convex, hence at most the chord between 0 and the largest m_h. Folding padding tokens
onto the pixels that they copy makes no sum of sizes larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from expressivity.accuracy.rows.axis import QueryView
from expressivity.accuracy.rows.norms import RowNorms


@dataclass(frozen=True)
class Gains:
    """What queries near a border see more of than the far one, per head.

    Attributes:
        limit: What the limit gains, where it holds a pixel.
        others: What the other pixels gain, in sum.
        attention: Attention of the limit.
        far_attention: The same of the far query.
        off: Attention elsewhere, of this query or the far one.
        holds: Whether the limit holds a pixel.
        known: Whether that is so: all limits are on the canvas.
    """

    limit: Float[Tensor, "queries heads"]
    others: Float[Tensor, "queries heads"]
    attention: Float[Tensor, "queries heads"]
    far_attention: Float[Tensor, "queries heads"]
    off: Float[Tensor, "queries heads"]
    holds: Bool[Tensor, "queries heads"]
    known: Bool[Tensor, " queries"]


@dataclass(frozen=True)
class AxisView:
    """How the queries of one axis see less than the far one, and more of the rest.

    Attributes:
        within: Which pixels of the far row there are, (queries, pixels), 0 or 1.
        gains: What these gain.
    """

    within: Float[Tensor, "queries pixels"]
    gains: Gains

    @classmethod
    def of(
        cls, every: Sequence[QueryView], far: QueryView, limits: Sequence[int]
    ) -> Self:
        """Compare what all queries of an axis see with what the far one sees."""
        heads, pixels = far.deviation.shape
        places = torch.tensor(limits, device="cpu") - far.start
        index = torch.arange(heads, device="cpu")
        within = far.deviation.new_zeros(len(every), pixels)
        deviations = far.deviation.new_zeros(len(every), heads, pixels)
        for row, one in enumerate(every):
            if one.on_canvas:
                first = one.start - far.start
                span = slice(first, first + len(one.holds))
                within[row, span] = one.holds.to(within.dtype)
                deviations[row, :, span] = one.deviation
        gain = (deviations - far.deviation) * within[:, None]
        limit = gain[:, index, places].clamp(min=0)
        off = torch.stack([one.rows.off_target[:, 0] for one in every])
        gains = Gains(
            limit,
            gain.abs().sum(2) - limit,
            1 + deviations[:, index, places],
            (1 + far.deviation[index, places]).expand(len(every), -1),
            torch.maximum(off, far.rows.off_target[:, 0]) / 2,
            within[:, places] > 0,
            torch.tensor([one.on_canvas for one in every], device="cpu"),
        )
        return cls(within, gains)


def row_bounds(
    norms: RowNorms,
    far_norms: Float[Tensor, "out_channels ..."],
    far_limits: Float[Tensor, "heads out_channels channels_of_group"],
    along: Sequence[AxisView],
    alone: Bool[Tensor, " heads"],
) -> Float[Tensor, "out_channels ..."]:
    """Return upper bounds of the row norms of all queries.

    Args:
        norms: The operator.
        far_norms: N, (out_channels, pixels of each axis).
        far_limits: The row of the far query at the limit of every head.
        along: How the queries differ from the far one, one an axis.
        alone: Which heads share their limit with no other.

    Returns:
        (out_channels, queries of each axis), up to rounding; infinite where nothing
        is known.
    """
    total = far_norms
    for axis, view in enumerate(along, start=1):
        total = (total.movedim(axis, -1) @ view.within.mT).movedim(-1, axis)
    gains = reduce(_together, (view.gains for view in along))
    gain = gains.limit * gains.holds
    most, weights = gain.amax(0), norms.heads.movedim(-1, 0)
    larger = far_limits + most[:, None, None] * weights
    chord = (larger.abs() - far_limits.abs()).sum(2) / most.clamp(min=1e-300)[:, None]
    sizes = weights.abs().sum(2)
    slope = torch.where((alone & (most > 0))[:, None], chord, sizes)
    change = gain @ slope + gains.others @ sizes
    bounds = total + change.mT.reshape(total.shape)
    return torch.where(gains.known.reshape(total.shape[1:]), bounds, torch.inf)


def _together(first: Gains, second: Gains) -> Gains:
    """Return what P₁⊗P₂ gains along both axes, for every pair of queries.

    P₁⊗P₂ − P₁'⊗P₂' = (P₁ − P₁')⊗P₂ + P₁'⊗(P₂ − P₂').
    """

    def pairs(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return (
            left.repeat_interleave(len(right), 0),
            right.repeat(len(left), *[1] * (right.dim() - 1)),
        )

    limits = pairs(first.limit, second.limit)
    others = pairs(first.others, second.others)
    attention = pairs(first.attention, second.attention)
    far = pairs(first.far_attention, second.far_attention)
    off = pairs(first.off, second.off)
    holds, known = pairs(first.holds, second.holds), pairs(first.known, second.known)
    return Gains(
        limits[0] * attention[1] + far[0] * limits[1],
        others[0] + others[1] + limits[0] * off[1] + off[0] * limits[1],
        attention[0] * attention[1],
        far[0] * far[1],
        off[0] + off[1],
        holds[0] & holds[1],
        known[0] & known[1],
    )
