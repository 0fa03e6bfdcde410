"""The ℓ₁ norms of rows of attention − convolution, query by query.

A row is Σ_h W_h ⊗ (P_h − S_h) + Σ_c V_c ⊗ S_c, with one factor an axis. All axes but
the last are put together, so that heads which agree on those share their terms:

    Σ_g D_g ⊗ (Σ_{h in g} W_h ⊗ P_h) + S_g ⊗ (Σ_{h in g} W_h ⊗ (P_h − S_h)),

D_g and S_g the deviation and the limit of a group along the outer axes, P_h along the
last. An untouched layer with K taps an axis has K^(d−1) groups of K heads.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expressivity.accuracy.rows.axis import AxisRows

_BLOCK = 2**18  # numbers at a time: about what caches hold


@dataclass(frozen=True)
class RowNorms:
    """A layer less a convolution, whose rows are measured.

    Attributes:
        heads: W_h.
        spots: V_c, what is left at pixels of interest.
        head_groups: Which heads share all outer axes, numbered from 0.
        spot_groups: Which spots do.
    """

    heads: Float[Tensor, "out_channels channels_of_group heads"]
    spots: Float[Tensor, "out_channels channels_of_group spots"]
    head_groups: Int[Tensor, " heads"]
    spot_groups: Int[Tensor, " spots"]

    def at_pixels(
        self, outer: AxisRows, last: AxisRows, outputs: Int[Tensor, " outputs"]
    ) -> Float[Tensor, "outputs queries outer_pixels pixels"]:
        """Return Σ_c |row| at every pixel, for queries that share the outer axes.

        Args:
            outer: What the queries see along all axes but the last, put together.
            last: What each of them sees along the last, stacked.
            outputs: Indices of output channels.

        Returns:
            The sums; a norm is the sum over all pixels.
        """
        left = self._left(outer)
        queries, _, pixels = last.attention.shape
        rows = max(1, left.shape[1] * pixels)  # there may be nothing but padding
        if len(left) == 2 and len(self.head_groups) == 1:  # a product of two vectors
            factor = torch.stack([last.attention, last.deviation]).squeeze(2)
            entries = torch.einsum("kp,kqr->qpr", left, factor).abs()
            sizes = self.heads[outputs].abs().sum(dim=(1, 2))
            return sizes[:, None, None, None] * entries
        channels = self.heads.shape[1]
        width = max(1, _BLOCK // (channels * rows))
        step = max(1, _BLOCK // (channels * rows * min(width, queries)))
        parts = []
        for some in outputs.split(step):
            blocks = []
            for few in torch.arange(queries, device="cpu").split(width):
                entries = left.mT @ self._right(some, last, few).flatten(1)
                shape = (left.shape[1], len(some), channels, len(few), pixels)
                blocks.append(entries.abs_().reshape(shape).sum(2).permute(1, 2, 0, 3))
            parts.append(torch.cat(blocks, 1))
        return torch.cat(parts)

    def at_limits(
        self, outer: AxisRows, last: AxisRows
    ) -> Float[Tensor, "heads out_channels channels_of_group"]:
        """Return the entries of one row at the limit of every head."""
        left, every = self._left(outer), torch.arange(len(self.heads), device="cpu")
        right = self._right(every, last, every[:1]).reshape(
            len(left), *self.heads.shape[:2], -1
        )
        places = zip(outer.limit.argmax(-1), last.limit[0].argmax(-1), strict=True)
        return torch.stack([
            torch.einsum("k,koc->oc", left[:, first], right[..., second])
            for first, second in places
        ])

    def _left(self, outer: AxisRows) -> Tensor:
        """Return the factors of the outer axes, (terms, pixels)."""
        heads, spots = map(_first_of_each, (self.head_groups, self.spot_groups))
        return torch.cat([
            outer.deviation[heads],
            outer.limit[heads],
            outer.exact[spots],
        ])

    def _right(self, outputs: Tensor, last: AxisRows, queries: Tensor) -> Tensor:
        """Return the other factors, (terms, outputs · channels, queries · pixels)."""
        terms = (
            (self.heads, last.attention, self.head_groups),
            (self.heads, last.deviation, self.head_groups),
            (self.spots, last.exact, self.spot_groups),
        )
        return torch.stack([
            matrices[outputs][..., group].flatten(0, 1)
            @ rows[queries][:, group].movedim(1, 0).flatten(1)
            for matrices, rows, groups in terms
            for group in _members(groups)
        ])


def _members(groups: Tensor) -> list[Tensor]:
    """Return the members of every group."""
    count = int(groups.max()) + 1 if len(groups) else 0
    return [(groups == group).nonzero()[:, 0] for group in range(count)]


def _first_of_each(groups: Tensor) -> Tensor:
    members = [some[:1] for some in _members(groups)]
    return torch.cat(members) if members else groups
