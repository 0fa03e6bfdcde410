"""RoPE: queries and keys are turned by angles that grow with their positions.

Symbols of Su et al. (2021), equations 14 to 16, and their names:

=========  ==========================================================
R_Θ,m      ``rotated``, two dimensions by an angle of m θ_f each
θ_f        ``frequencies``, 10000^(−2f/d)
q, k       biases of ``query`` and ``key`` where the weights are zeros
=========  ==========================================================

In images every axis has its share of the dimensions. With a constant query and key the
score is Σ_f cos((δ − Δ) θ_f), as for the sinusoids.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import exchanged
from expressivity.atlas.sinusoidal import frequencies, gap
from expressivity.atlas.strength import locality
from expressivity.atlas.tokens import (
    OnTokens,
    padded_grid,
    positions_of,
    tap_factors,
    token_grid,
)
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry.convolution import Convolution

_PAIRS = 4  # frequencies of a head, per axis, at least


class RotaryAttention(nn.Module):
    """Multi-head attention with rotary encodings.

    Attributes:
        query: W_qry and its bias, if it has one.
        key: W_key and its bias.
        value: W_val.
        output: W_out and its bias.
        angles: Of every token and frequency, (tokens, head_dim / 2).
    """

    angles: Tensor

    def __init__(
        self,
        channels: int,
        out_channels: int,
        positions: Float[Tensor, "tokens axes"],
        *,
        heads: int,
        head_dim: int,
        query_bias: bool = True,
    ) -> None:
        """Create a layer with torch's random weights.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            positions: Where the tokens are, in pixels.
            heads: Number of heads.
            head_dim: Dimension of a head, a multiple of 2 · axes.
            query_bias: Whether queries have a bias.
        """
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.query = nn.Linear(channels, width, bias=query_bias)
        self.key, self.value = (nn.Linear(channels, width) for _ in "kv")
        self.output = nn.Linear(width, out_channels)
        theta = frequencies(head_dim // positions.shape[1])
        self.register_buffer("angles", (positions[:, :, None] * theta).flatten(1))

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).movedim(2, 1)
            for project in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(
            rotated(query, self.angles), rotated(key, self.angles), value
        )
        attended: Tensor = self.output(seen.movedim(1, 2).flatten(2))
        return attended


def rotated(
    x: Float[Tensor, "*batch tokens dims"], angles: Float[Tensor, "tokens pairs"]
) -> Float[Tensor, "*batch tokens dims"]:
    """Turn neighbouring dimensions, two at a time.

    Args:
        x: Queries or keys.
        angles: Of every token, one for two dimensions.

    Returns:
        R_Θ,m x_m.

    Example:
        >>> quarter = torch.tensor([[0.0], [math.pi / 2]])
        >>> rotated(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), quarter).round().abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    turned = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(turned, -1).flatten(-2)


def construct(conv: Convolution, size: tuple[int, ...], alpha: float) -> nn.Module:
    """Return a layer that computes a convolution: queries and keys are their biases.

    Args:
        conv: Any convolution with zero, reflect or circular padding.
        size: Pixels per axis of the input, fixed.
        alpha: How much larger the score at the target is than any other.

    Returns:
        The layer.

    Raises:
        ArgumentError: If it pads by replication.
    """
    grid = token_grid(conv, size)
    centers = grid.geometry.centers().double()
    heads, axes = centers.shape
    value, output = (factor.cpu() for factor in tap_factors(conv))
    rank = value.shape[1]
    head_dim = 2 * axes * max(_PAIRS, math.ceil(rank / (2 * axes)))
    layer = RotaryAttention(
        conv.in_channels,
        conv.out_channels,
        positions_of(grid),
        heads=heads,
        head_dim=head_dim,
    ).double()
    theta = frequencies(head_dim // axes)
    least = gap(theta, grid.canvas_size, conv.weight.dtype)
    strength = math.sqrt(head_dim) * alpha / least
    constant = torch.tensor([1.0, 0.0], dtype=torch.float64, device="cpu").repeat(
        heads, head_dim // 2
    )
    centers_in_turns = (centers[:, :, None] * theta).flatten(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.key.bias.copy_(constant.flatten())
        layer.query.bias.copy_(strength * rotated(constant, centers_in_turns).flatten())
        layer.value.weight.unflatten(0, (heads, head_dim))[:, :rank] = value
        written = layer.output.weight.unflatten(1, (heads, head_dim))
        written[:, :, :rank] = output.movedim(0, 1)
        if conv.bias is not None:
            layer.output.bias.copy_(conv.bias)
    return OnTokens(layer, grid).to(conv.weight)


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Silence the query, and exchange two pixels that a convolution weighs differently.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input.

    Returns:
        The witness against queries without a bias.

    Raises:
        ArgumentError: If the padding is no zeros; if the convolution weighs all other
            pixels alike.
    """
    return exchanged(
        conv,
        size,
        kind="silent query",
        symmetry="The query's token is zero, and turning zero leaves zero: it attends "
        "to all tokens alike, wherever they are.",
        layer=lambda seed: _random(conv, size, seed, query_bias=False),
        control=lambda seed: _random(conv, size, seed, query_bias=True),
    )


def _random(
    conv: Convolution, size: tuple[int, ...], seed: int, *, query_bias: bool
) -> nn.Module:
    """Return a random layer on the padded canvas of a convolution."""
    grid = padded_grid(conv, size)
    layer = RotaryAttention(
        conv.in_channels,
        conv.out_channels,
        positions_of(grid),
        heads=math.prod(conv.kernel_size),
        head_dim=2 * len(size) * _PAIRS,
        query_bias=query_bias,
    )
    # Wider ones begin with saturated probabilities, which an attack is slow to leave.
    return OnTokens(randomised(layer, seed, scale=0.3), grid)


FAMILIES = (
    Family(
        name="rope",
        title="RoPE",
        verdict="conditional",
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
