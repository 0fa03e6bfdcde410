"""The Transformer's sinusoids, added to embedded tokens.

Vaswani et al. (2017), section 3.5: PE(k) = (sin k θ_f, cos k θ_f) for the frequencies
θ_f = 10000^(−2f/d). In images every axis has its share of the channels.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.errors import ArgumentError

_BASE = 10000.0


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
        """Wrap torch's own attention; positions are those of the tokens, in pixels."""
        super().__init__()
        embed = attention.embed_dim
        self.embedding = nn.Linear(in_channels, embed)
        self.attention = attention
        self.output = nn.Linear(embed, out_channels)
        self.register_buffer("encoding", sinusoids(positions, embed))

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all."""
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
        ArgumentError: If the gap is within the rounding of a score: for some n every
            n θ_f is close to a multiple of 2π.

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


def sinusoids(
    positions: Float[Tensor, "tokens axes"], channels: int
) -> Float[Tensor, "tokens channels"]:
    """Return the encoding PE of positions in pixels.

    Args:
        positions: In pixels.
        channels: A multiple of 2 · axes.

    Returns:
        Sine before cosine for every frequency of an axis, axes in turn.
    """
    theta = frequencies(channels // positions.shape[1])
    angles = positions[:, :, None] * theta.to(positions)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
