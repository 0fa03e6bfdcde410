"""Sinusoids: a head turns its own encoding into that of its target.

The encoding of k + Δ is that of k turned by fixed angles, a linear map (section 3.5
of Vaswani et al. 2017). The score of a head is then

    Σ_f cos((δ − Δ) θ_f),   θ_f = 10000^(−2f/d),

which is largest at its center alone, unless every (δ − Δ) θ_f is a multiple of 2π for
another δ of the canvas. How much larger, the gap, decides the strength that is needed.
Statement ``rotary_maximum`` in ``proofs/``.

The sinusoids fill all channels. But those of one canvas span a subspace, and content is
embedded orthogonally to it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import OnTokens, token_grid, token_positions
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.multihead import HeadWeights
from expressivity.atlas.layers.sinusoidal import (
    SinusoidalAttention,
    frequencies,
    gap,
    sinusoids,
)
from expressivity.atlas.strength import locality
from expressivity.atlas.taps import tap_factors
from expressivity.geometry.convolution import Convolution

_PAIRS = 4  # frequencies that a head uses, per axis


def rotations(
    shifts: Float[Tensor, "heads axes"], theta: Float[Tensor, " pairs"]
) -> Float[Tensor, "heads dims dims"]:
    """Return the maps that take the encoding of k to that of k + Δ.

    Args:
        shifts: Δ of every head, in pixels.
        theta: Frequencies, the same for each axis.

    Returns:
        Orthogonal; sine before cosine for every frequency of an axis, axes in turn.
    """
    angles = (shifts[:, :, None] * theta).flatten(1)
    cos, sin = angles.cos(), angles.sin()
    blocks = torch.stack([cos, sin, -sin, cos], -1).unflatten(-1, (2, 2))
    return torch.stack([torch.block_diag(*head) for head in blocks])


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return a layer in which α is the gap between a target's score and the next."""
    grid = token_grid(conv, size)
    centers = grid.geometry.centers().double()
    tokens = token_positions(grid.canvas_size)
    heads, axes = centers.shape
    value, output = (factor.cpu() for factor in tap_factors(conv))
    # One dimension at most a position of an axis, and the content beside them.
    needed = max(sum(grid.canvas_size) + conv.in_channels, conv.out_channels)
    head_dim = max(2 * axes * _PAIRS, value.shape[1], math.ceil(needed / heads))
    embed = heads * 2 * axes * math.ceil(head_dim / (2 * axes))
    content = torch.linalg.svd(sinusoids(tokens, embed))[2][-conv.in_channels :]
    theta = frequencies(embed // axes)[:_PAIRS]
    # Frequencies are read off what is left without the content.
    place = torch.eye(embed, dtype=torch.float64, device="cpu")[_highest(embed, axes)]
    place = place - place @ content.mT @ content
    strength = alpha / gap(theta, grid.canvas_size, conv.weight.dtype)
    weights = HeadWeights(
        query=strength * rotations(centers, theta) @ place,
        query_bias=torch.zeros(heads, len(place), dtype=torch.float64, device="cpu"),
        key=place,
        value=value @ content,
        output=output,
    )
    layer = SinusoidalAttention(
        conv.in_channels, conv.out_channels, weights.attention(), tokens
    ).double()
    with torch.no_grad():
        layer.embedding.weight.copy_(content.mT)
        nn.init.eye_(layer.output.weight)
        nn.init.zeros_(layer.embedding.bias)
        nn.init.zeros_(layer.output.bias)
        if conv.bias is not None:
            layer.output.bias.copy_(conv.bias)
    return OnTokens(layer, grid).to(conv.weight)


def _highest(channels: int, axes: int) -> list[int]:
    """Return the channels of the highest frequencies of every axis."""
    share = channels // axes
    return [axis * share + c for axis in range(axes) for c in range(2 * _PAIRS)]


FAMILIES = (
    Family(
        name="sinusoidal",
        title="sinusoidal absolute encoding",
        claim=Claim(
            "Computes every convolution as the strength grows in units of the gap, "
            "with an error of order e^−α.",
            (
                "padding tokens",
                "a fixed size",
                "channels for the content beside those that the sinusoids span",
                "head dimension no less than the rank of a tap",
            ),
            "Vaswani et al. (2017), section 3.5",
        ),
        strength=locality(32.0),
        heads="K²",
        constructor=construct,
    ),
)
