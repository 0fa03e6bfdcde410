"""External attention: two small memories in place of keys and values.

Every pixel is compared with the units of a memory M_k, not with other pixels.
Symbols of Guo et al. (2021) and their names; a pixel is a row:

=========================  ==============================================
F                          ``query(tokens)``
M_k, M_v                   ``memory_key``, ``memory_value``, (units, head_dim)
A = Norm(F M_kᵀ)           softmax over pixels, then each row divided by its sum
F_out = A M_v              one a head; the memories are shared by heads
=========================  ==============================================
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ExternalAttention(nn.Module):
    """Multi-head external attention on tokens.

    Attributes:
        query: Makes F, with a bias.
        memory_key: M_k.
        memory_value: M_v.
        output: W_O and a bias.
        residual: Whether the input is added to the output, as in the paper: only
            where both have the same channels.
        positions: Added to the tokens, (tokens, channels), or ``None``: with it the
            layer knows where a token is.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        heads: int,
        head_dim: int,
        units: int = 8,
        tokens: int | None = None,
    ) -> None:
        """Create a layer with torch's random weights and normal random memories.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            heads: Number of heads.
            head_dim: Dimension of a head.
            units: Units S of the memories.
            tokens: Number of tokens, for an absolute encoding of each.
        """
        super().__init__()
        self.heads, self.residual = heads, channels == out_channels
        self.query = nn.Linear(channels, heads * head_dim)
        self.memory_key, self.memory_value = (
            nn.Parameter(torch.randn(units, head_dim)) for _ in "kv"
        )
        self.output = nn.Linear(heads * head_dim, out_channels)
        places = None if tokens is None else torch.zeros(tokens, channels)
        self.positions = None if places is None else nn.Parameter(places)

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to the memory units."""
        placed = tokens if self.positions is None else tokens + self.positions
        query = self.query(placed).unflatten(2, (self.heads, -1)).movedim(2, 1)
        over_pixels = (query @ self.memory_key.mT).log_softmax(-2)
        # Dividing e^a by its sum over units is a softmax, and cannot be 0 / 0.
        attended = over_pixels.softmax(-1) @ self.memory_value
        output: Tensor = self.output(attended.movedim(1, 2).flatten(2))
        return tokens + output if self.residual else output
