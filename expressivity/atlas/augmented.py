"""Attention-augmented convolution: convolution and attention, side by side.

Queries that are constant turn the relative scores into b_h·(r^H_{δ₁} + r^W_{δ₂}) / √d.
With r^H = (δ, 0, δ²), r^W = (0, δ, δ²), b_h = √d α (2Δ₁, 2Δ₂, −1) that is the quadratic
score α‖Δ‖² − α‖δ − Δ‖². As heads share r^H and r^W they differ in b_h alone, so

- three dimensions are enough for kernels of every size;
- in two, as b turns once around the circle, the best row changes at no more than K₁
  angles and the best column at no more than K₂: K₁ + K₂ pairs of the K₁K₂ that heads
  on one tap each need. Two dimensions can do for 2×2 and for kernels of one row only.

Without a bias of the queries, b_h is W_qry x_q, which vanishes with x_q.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.augmented_layer import (
    AugmentedConvolution,
    AugmentingAttention,
    FirstChannels,
)
from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import exchanged
from expressivity.atlas.tokens import (
    OnCanvas,
    padded_grid,
    require_plane,
    tap_factors,
)
from expressivity.atlas.witness import Witness, randomised
from expressivity.convolutions import build_convolution
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid

_KEY_DIM = 3
_SOURCE = "Bello, Zoph, Vaswani, Shlens, Le (2019)"


def construct(conv: Convolution, size: tuple[int, ...]) -> nn.Module:
    """Return the whole layer with a copy of a convolution in it.

    Args:
        conv: A convolution over two axes, with any padding.
        size: Pixels per axis of the input.

    Returns:
        The layer, less the channels of its attention, which hold zeros.
    """
    require_plane(conv)
    attention = AugmentingAttention(
        conv.in_channels, size=size, heads=1, key_dim=_KEY_DIM, value_dim=1
    )
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
    copy = build_convolution(
        nn.Parameter(conv.weight.detach().clone()),
        None if conv.bias is None else nn.Parameter(conv.bias.detach().clone()),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        padding_mode=conv.padding_mode,
    )
    grid = Grid.of(ConvGeometry.from_conv(conv), size)
    layer = AugmentedConvolution(copy, attention.to(conv.weight), grid)
    return FirstChannels(layer, conv.out_channels)


def construct_attention(
    conv: Convolution, size: tuple[int, ...], alpha: float
) -> nn.Module:
    """Return the attention branch that computes a convolution.

    Args:
        conv: A convolution over two axes with zero padding.
        size: Pixels per axis of the input.
        alpha: Locality strength, 1/pixel².

    Returns:
        The branch on the padded canvas, one head a tap; of its d_v channels those
        that the convolution has.
    """
    require_plane(conv)
    value, output = tap_factors(conv)
    layer, grid = _branch(conv, size, key_dim=_KEY_DIM, value_dim=value.shape[1])
    value, output = (_widened(f, layer) for f in (value.mT, output))
    centers = grid.geometry.centers().double()
    bias = torch.cat([2 * centers, -torch.ones_like(centers[:, :1])], 1)
    encodings = []
    for axis, pixels in enumerate(grid.canvas_size):
        displacement = torch.arange(
            1 - pixels, pixels, dtype=torch.float64, device="cpu"
        )
        encoding = torch.zeros(
            len(displacement), _KEY_DIM, dtype=torch.float64, device="cpu"
        )
        encoding[:, axis], encoding[:, 2] = displacement, displacement.square()
        encodings.append(encoding)
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.relative_height.copy_(encodings[0])
        layer.relative_width.copy_(encodings[1])
        bias_of_queries = layer.query.bias
        if bias_of_queries is not None:
            bias_of_queries.copy_(alpha * math.sqrt(_KEY_DIM) * bias.flatten())
        layer.value.weight.copy_(value.mT.flatten(0, 1)[..., None, None])
        mixed = output.movedim(0, 1).flatten(1)[..., None, None]
        layer.output.weight[: conv.out_channels].copy_(mixed)
        if conv.bias is not None and layer.output.bias is not None:
            layer.output.bias[: conv.out_channels].copy_(conv.bias)
    return FirstChannels(OnCanvas(layer, grid), conv.out_channels).to(conv.weight)


def refute_attention(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Silence the query and exchange two pixels that a convolution weighs differently.

    Args:
        conv: A convolution over two axes with zero padding; the branch has its
            padding tokens.
        size: Pixels per axis of the input.

    Returns:
        The witness: without a bias of the queries. Those of keys, values and outputs
        do not help.

    Raises:
        ArgumentError: If the convolution weighs all other pixels alike.
    """
    require_plane(conv)
    padded_grid(conv, size)

    def random(seed: int, *, query_bias: bool) -> nn.Module:
        layer, grid = _branch(
            conv,
            size,
            key_dim=_KEY_DIM + 1,
            value_dim=min(conv.in_channels, conv.out_channels),
            query_bias=query_bias,
        )
        on_canvas = OnCanvas(randomised(layer, seed), grid)
        return FirstChannels(on_canvas, conv.out_channels)

    return exchanged(
        conv,
        size,
        kind="silent query",
        symmetry="The pixel of the query holds zeros, so a query without a bias "
        "vanishes, all scores are zero and the output is that of the mean pixel.",
        layer=lambda seed: random(seed, query_bias=False),
        control=lambda seed: random(seed, query_bias=True),
    )


def _branch(
    conv: Convolution,
    size: tuple[int, ...],
    *,
    key_dim: int,
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


def _widened(factor: Tensor, layer: AugmentingAttention) -> Tensor:
    """Fill a factor up with zeros to the dimension that values have in a layer."""
    value_dim = layer.value.out_channels // layer.heads
    return functional.pad(factor, (0, value_dim - factor.shape[-1]))


FAMILIES = (
    Family(
        name="augmented",
        title="attention-augmented convolution",
        verdict="yes",
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
        verdict="conditional",
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
