"""RoPE: constant queries and keys, turned by their positions.

With a constant query and key the score is Σ_f cos((δ − Δ) θ_f), as for the sinusoids;
statement ``rotary_maximum`` in ``proofs/``. A query without a bias vanishes with its
token, and turning zero leaves zero: statement ``silent_query``.
"""

import math

import torch
from torch import nn

from expressivity.atlas.canvas import OnTokens, padded_grid, token_grid, token_positions
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.rope import RotaryAttention, rotated
from expressivity.atlas.layers.sinusoidal import frequencies, gap
from expressivity.atlas.strength import locality
from expressivity.atlas.taps import carry, tap_factors, zeroed
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution

_PAIRS = 4  # frequencies of a head, per axis, at least


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return a layer in which α is the gap between a target's score and the next."""
    grid = token_grid(conv, size)
    centers = grid.geometry.centers().double()
    heads, axes = centers.shape
    factors = tap_factors(conv)
    head_dim = 2 * axes * max(_PAIRS, math.ceil(factors[0].shape[1] / (2 * axes)))
    layer = RotaryAttention(
        conv.in_channels,
        conv.out_channels,
        token_positions(grid.canvas_size),
        heads=heads,
        head_dim=head_dim,
    )
    carry(conv, zeroed(layer).value, layer.output, factors)
    theta = frequencies(head_dim // axes)
    least = gap(theta, grid.canvas_size, conv.weight.dtype)
    strength = math.sqrt(head_dim) * alpha / least
    constant = (
        torch.tensor([1.0, 0.0], device="cpu").double().repeat(heads, head_dim // 2)
    )
    turned = rotated(constant, (centers[:, :, None] * theta).flatten(1))
    with torch.no_grad():
        layer.get_parameter("key.bias").copy_(constant.flatten())
        layer.get_parameter("query.bias").copy_(strength * turned.flatten())
    return OnTokens(layer, grid).to(conv.weight)


def refute(conv: Convolution, size: Size) -> Witness:
    """Silence the query and exchange two pixels; the control has a query bias."""
    grid = padded_grid(conv, size)

    def make(restored: bool) -> nn.Module:
        layer = RotaryAttention(
            conv.in_channels,
            conv.out_channels,
            token_positions(grid.canvas_size),
            heads=math.prod(conv.kernel_size),
            head_dim=2 * len(size) * _PAIRS,
            query_bias=restored,
        )
        return OnTokens(layer, grid)

    return exchanged(
        conv,
        size,
        kind="silent query",
        symmetry="The query's token is zero, and turning zero leaves zero: it attends "
        "to all tokens alike, wherever they are.",
        make=make,
        scale=0.3,
    )


FAMILIES = (
    Family(
        name="rope",
        title="RoPE",
        claim=Claim(
            "Computes every convolution as the strength grows in units of the gap, "
            "with an error of order e^−α, where queries and keys have biases; where "
            "queries have none, no convolution that weighs two pixels beside the "
            "query differently.",
            (
                "padding tokens",
                "biases of queries and keys",
                "a frequency that tells all positions apart",
                "head dimension no less than the rank of a tap",
            ),
            "Su et al. (2021), equations 14 to 16",
        ),
        strength=locality(32.0),
        heads="K²",
        constructor=construct,
        refuter=refute,
    ),
)
