"""Attention-augmented convolution: convolution and attention, side by side.

The whole layer has a convolution, so the question is about its attention branch.
Queries that are constant turn the relative scores into b_h·(r^H_{δ₁} + r^W_{δ₂}) / √d.
With r^H = (δ, 0, δ²), r^W = (0, δ, δ²), b_h = √d α (2Δ₁, 2Δ₂, −1) that is the quadratic
score α‖Δ‖² − α‖δ − Δ‖². As heads share r^H and r^W they differ in b_h alone, so

- three dimensions are enough for kernels of every size;
- two dimensions can do for 2×2 kernels and for kernels of one row only: as b turns once
  around the circle, the best row changes at no more than K₁ angles and the best column
  at no more than K₂. That gives K₁ + K₂ pairs, and one head a tap needs K₁K₂.

Without a bias of the queries, b_h is W_qry x_q, which vanishes with x_q. Statement
``silent_query`` in ``proofs/``.
"""

import copy
import math

import torch
from torch import nn

from expressivity.atlas.canvas import OnCanvas, padded_grid, require_plane
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.augmented import (
    AugmentedConvolution,
    AugmentingAttention,
    FirstChannels,
)
from expressivity.atlas.taps import carry, tap_factors, zeroed
from expressivity.atlas.witness import Witness
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid

_KEY_DIM = 3
_SOURCE = "Bello, Zoph, Vaswani, Shlens, Le (2019)"


def construct(conv: Convolution, size: Size) -> nn.Module:
    """Return the whole layer with a copy of a convolution; its attention is zero."""
    require_plane(conv)
    attention = AugmentingAttention(
        conv.in_channels, size=size, heads=1, key_dim=_KEY_DIM, value_dim=1
    )
    layer = AugmentedConvolution(
        copy.deepcopy(conv).requires_grad_(),
        zeroed(attention).to(conv.weight),
        Grid.of(ConvGeometry.from_conv(conv), size),
    )
    return FirstChannels(layer, conv.out_channels)


def construct_attention(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return the attention branch on the padded canvas, one head a tap."""
    require_plane(conv)
    factors = tap_factors(conv)
    layer, grid = _branch(conv, size, _KEY_DIM, value_dim=factors[0].shape[1])
    centers = grid.geometry.centers().double()
    bias = torch.cat([2 * centers, -torch.ones_like(centers[:, :1])], 1)
    carry(conv, zeroed(layer).value, layer.output, factors)
    tables = (layer.relative_height, layer.relative_width)
    with torch.no_grad():
        layer.get_parameter("query.bias").copy_(
            alpha * math.sqrt(_KEY_DIM) * bias.flatten()
        )
        for axis, (table, pixels) in enumerate(
            zip(tables, grid.canvas_size, strict=True)
        ):
            shifts = torch.arange(1 - pixels, pixels, dtype=torch.float64, device="cpu")
            table[:, axis], table[:, 2] = shifts, shifts.square()
    return FirstChannels(OnCanvas(layer, grid), conv.out_channels).to(conv.weight)


def refute_attention(conv: Convolution, size: Size) -> Witness:
    """Silence the query and exchange two pixels; the control has a query bias."""
    require_plane(conv)
    padded_grid(conv, size)
    value_dim = min(conv.in_channels, conv.out_channels)

    def make(restored: bool) -> nn.Module:
        layer, grid = _branch(
            conv, size, _KEY_DIM + 1, value_dim=value_dim, query_bias=restored
        )
        return FirstChannels(OnCanvas(layer, grid), conv.out_channels)

    return exchanged(
        conv,
        size,
        kind="silent query",
        symmetry="The pixel of the query holds zeros, so a query without a bias "
        "vanishes, all scores are zero and the output is that of the mean pixel.",
        make=make,
    )


def _branch(
    conv: Convolution,
    size: Size,
    key_dim: int,
    *,
    value_dim: int,
    query_bias: bool = True,
) -> tuple[AugmentingAttention, Grid]:
    """Return a branch with a head a tap on the padded canvas of a convolution."""
    grid = padded_grid(conv, size)
    heads = math.prod(conv.kernel_size)
    layer = AugmentingAttention(
        conv.in_channels,
        size=grid.canvas_size,
        heads=heads,
        key_dim=key_dim,
        # The branch has as many output channels as its heads have together.
        value_dim=max(value_dim, math.ceil(conv.out_channels / heads)),
        query_bias=query_bias,
    )
    return layer, grid


FAMILIES = (
    Family(
        name="augmented",
        title="attention-augmented convolution",
        claim=Claim(
            "The whole layer computes every convolution, exactly, in the channels of "
            "its own convolution: all but the d_v of its attention.",
            ("as many convolution channels as the convolution has",),
            _SOURCE,
        ),
        strength=None,
        constructor=construct,
    ),
    Family(
        name="augmented-attention",
        title="attention branch of an augmented convolution",
        claim=Claim(
            "With a bias of the queries the branch computes every convolution as the "
            "locality strength grows, with an error of order e^−α. Without one it "
            "computes none that weighs two pixels beside the query differently.",
            (
                "bias of the queries",
                "padding tokens",
                "one head a tap",
                "three dimensions of a key, whatever the size of the kernel",
                "no fewer dimensions of a value than the rank of a tap",
            ),
            _SOURCE,
        ),
        heads="K²",
        constructor=construct_attention,
        refuter=refute_attention,
    ),
)
