"""The Transformer's sinusoids, added to embedded tokens.

The encoding of k + Δ is that of k turned by fixed angles, a linear map (section 3.5
of Vaswani et al. 2017). A head turns its own encoding, and sees

    Σ_f cos((δ − Δ) θ_f),   θ_f = 10000^(−2f/d),

which is largest at its center alone, unless every (δ − Δ) θ_f is a multiple of 2π for
another δ of the canvas. How much larger, the gap, decides the strength that is needed.

The sinusoids fill all channels. Those of the positions of one canvas span a subspace
all the same, and content is embedded orthogonally to it.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.multihead import HeadWeights
from expressivity.atlas.strength import locality
from expressivity.atlas.tokens import OnTokens, positions_of, tap_factors, token_grid
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution

_BASE = 10000.0
_PAIRS = 4  # frequencies that a head sees, per axis


class SinusoidalAttention(nn.Module):
    """Multi-head attention on embedded tokens plus sinusoids of their positions.

    Attributes:
        embedding: From the channels of a token to those of the attention.
        encoding: PE, one vector a token; not learned.
        attention: Torch's own.
        output: From the channels of the attention to those of the output.
    """

    encoding: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        attention: nn.MultiheadAttention,
        positions: Float[Tensor, "tokens axes"],
    ) -> None:
        """Create a layer around an attention.

        Args:
            in_channels: Channels of the tokens.
            out_channels: Channels of the output.
            attention: Torch's own, ``batch_first``.
            positions: Where the tokens are, in pixels.
        """
        super().__init__()
        embed = attention.embed_dim
        self.embedding = nn.Linear(in_channels, embed)
        self.attention = attention
        self.output = nn.Linear(embed, out_channels)
        self.register_buffer("encoding", sinusoids(positions, embed))

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        z = self.embedding(tokens) + self.encoding
        attended, _ = self.attention(z, z, z, need_weights=False)
        outputs: Tensor = self.output(attended)
        return outputs


def frequencies(channels: int) -> Float[Tensor, " pairs"]:
    """Return the frequencies θ_f = 10000^(−2f/d) of an encoding of one axis.

    Args:
        channels: d, two for each frequency.

    Returns:
        d/2 frequencies, 1/pixel, the highest, 1, first; float64.

    Example:
        >>> frequencies(4).tolist()
        [1.0, 0.01]
    """
    pairs = torch.arange(channels // 2, dtype=torch.float64, device="cpu")
    return _BASE ** (-2 * pairs / channels)


def gap(
    theta: Float[Tensor, " pairs"],
    size: Sequence[int],
    dtype: torch.dtype = torch.float64,
) -> float:
    """Return how much Σ_f cos(n θ_f) is larger at n = 0 than at any other pixel.

    Args:
        theta: Frequencies, 1/pixel.
        size: Tokens per axis; sums of the axes are added up.
        dtype: In what scores are computed.

    Returns:
        The gap; infinite for a single token.

    Raises:
        ArgumentError: If there is none beside the rounding of a score: every n θ_f is
            close to a multiple of 2π.

    Example:
        >>> round(gap(frequencies(8), (64,)), 2), round(gap(frequencies(64), (64,)), 2)
        (0.21, 1.08)
    """
    steps = torch.arange(1, max(size), dtype=torch.float64, device="cpu")
    falls = 2 * (steps[:, None] * theta / 2).sin().square().sum(1)  # 1 − cos
    least = min(falls.tolist(), default=math.inf)
    if least <= len(theta) * len(size) * torch.finfo(dtype).eps:
        raise ArgumentError(
            "the frequencies need to tell apart all positions of an axis, got "
            f"{theta.tolist()}, which turn full circles in {int(falls.argmin()) + 1} "
            "pixels: add another frequency"
        )
    return least


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


def sinusoids(
    positions: Float[Tensor, "tokens axes"], channels: int
) -> Float[Tensor, "tokens channels"]:
    """Return the encoding PE of positions: every axis has its share of the channels.

    Args:
        positions: In pixels.
        channels: A multiple of 2 · axes.

    Returns:
        Sine before cosine for every frequency of an axis, axes in turn.
    """
    theta = frequencies(channels // positions.shape[1])
    angles = positions[:, :, None] * theta.to(positions)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def construct(conv: Convolution, size: tuple[int, ...], alpha: float) -> nn.Module:
    """Return a layer that computes a convolution.

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
    centers, places = grid.geometry.centers().double(), positions_of(grid)
    heads, axes = centers.shape
    value, output = (factor.cpu() for factor in tap_factors(conv))
    # One dimension at most a position of an axis, and the content beside them.
    needed = max(sum(grid.canvas_size) + conv.in_channels, conv.out_channels)
    head_dim = max(2 * axes * _PAIRS, value.shape[1], math.ceil(needed / heads))
    embed = heads * 2 * axes * math.ceil(head_dim / (2 * axes))
    encoding = sinusoids(places, embed)
    content = torch.linalg.svd(encoding)[2][-conv.in_channels :]
    seen = _highest(embed, axes)
    theta = frequencies(embed // axes)[:_PAIRS]
    # Frequencies are read off what is left without the content.
    place = torch.eye(embed, dtype=torch.float64, device="cpu")[seen]
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
        conv.in_channels, conv.out_channels, weights.attention(), places
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
        verdict="yes",
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
