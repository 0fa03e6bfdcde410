"""RoPE: queries and keys are turned by angles that grow with their positions.

Symbols of Su et al. (2021), equations 14 to 16, and their names:

=========  ==========================================================
R_Θ,m      ``rotated``, two dimensions by an angle of m θ_f each
θ_f        ``frequencies``, 10000^(−2f/d)
=========  ==========================================================

In images every axis has its share of the dimensions.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.atlas.layers.sinusoidal import frequencies


class RotaryAttention(BiasedAttention):
    """Multi-head attention with rotary encodings, without a bias of the scores.

    Attributes:
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
        super().__init__(channels, out_channels, heads=heads, head_dim=head_dim)
        if not query_bias:
            self.get_submodule("query").register_parameter("bias", None)
        theta = frequencies(head_dim // positions.shape[1])
        self.register_buffer("angles", (positions[:, :, None] * theta).flatten(1))

    def _placed(self, x: Tensor) -> Tensor:
        return rotated(x, self.angles)


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
        >>> quarter = torch.tensor([[0.0], [torch.pi / 2]])
        >>> rotated(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), quarter).round().abs()
        tensor([[1., 0.],
                [0., 1.]])
    """
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    turned = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(turned, -1).flatten(-2)
