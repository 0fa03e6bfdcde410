"""ConViT: gates that close to content leave attention by quadratic positions.

With all heads on taps the error is first order in both: 1 − σ(λ) = e^−λ for what comes
by content, whatever the content scores are, and e^−α for what the positional term
leaks. Neither replaces the other: an open gate leaks by content at any α.
"""

import math

import torch
from torch import nn

from expressivity.atlas.canvas import OnTokens, bare_grid, token_grid
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.convit import GatedAttention, Widened
from expressivity.atlas.taps import carry, tap_factors, zeroed
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.heads.encoding import head_vectors


def construct(
    conv: Convolution, size: Size, alpha: float, gate: float | None = None
) -> nn.Module:
    """Return gated attention that computes a convolution, with content scores of zero.

    Args:
        conv: Any convolution.
        size: Pixels per axis of the input.
        alpha: Locality strength of the positional term, 1/pixel².
        gate: λ of all heads, by default α.

    Returns:
        The layer.
    """
    by_clamping = conv.padding_mode == "replicate"
    grid = (bare_grid if by_clamping else token_grid)(conv, size)
    centers = ConvGeometry.from_conv(conv).centers().double()
    factors = tap_factors(conv)
    heads, rank, _ = factors[0].shape
    # Tokens must hold the input and the output, heads the tap of largest rank.
    channels = max(conv.in_channels, conv.out_channels)
    width = heads * max(rank, math.ceil(channels / heads))
    layer = zeroed(GatedAttention(width, heads, grid.canvas_size))
    carry(conv, layer.v, layer.proj, factors)
    strength = torch.full((heads,), alpha, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        layer.pos_proj.weight.copy_(head_vectors(strength, centers).flip(-1))
        layer.gating_param.fill_(alpha if gate is None else gate)
    widened = Widened(layer, width, conv.out_channels)
    return OnTokens(widened.to(conv.weight), grid)


FAMILIES = (
    Family(
        name="convit",
        title="ConViT gated positional attention",
        claim=Claim(
            "Computes every convolution as gates close to content: an error of "
            "e^−λ by content and e^−α by position, one not replacing the other.",
            (
                "padding tokens, unless it is replicate padding",
                "one head a tap",
                "head dimension no less than the rank of a tap",
                "tokens as wide as input and output",
            ),
            "d'Ascoli et al. (2021)",
        ),
        heads="K²",
        constructor=construct,
    ),
)
