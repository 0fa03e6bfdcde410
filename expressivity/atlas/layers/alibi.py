"""ALiBi: a bias of the scores that falls with the distance.

Press, Smith, Lewis (2022), in the symmetric form for encoders: −m_h |δ| for a head of
slope m_h and a key δ tokens after the query, or before it.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import displacements


class LinearBias(nn.Module):
    """−m_h |δ| for all heads and pairs of tokens.

    Attributes:
        slopes: m of each head, (heads, 1); or (heads, 2), for keys after the query
            and keys before it: then the bias is no longer even.
    """

    displacement: Tensor

    def __init__(self, tokens: int, heads: int, *, sides: Literal[1, 2] = 1) -> None:
        """Create slopes m_h = 2^(−8h / heads), as the paper has them.

        Args:
            tokens: Length of the sequence.
            heads: Number of heads.
            sides: Slopes of a head: one, or one a side.
        """
        super().__init__()
        powers = -8 * torch.arange(1, heads + 1) / heads
        self.slopes = nn.Parameter(torch.exp2(powers)[:, None].repeat(1, sides))
        shifts = displacements((tokens,))[..., 0]
        self.register_buffer("displacement", shifts, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias, one row a query."""
        after, before = self.slopes[:, 0], self.slopes[:, -1]
        return -(
            after[:, None, None] * self.displacement.clamp(min=0)
            + before[:, None, None] * (-self.displacement).clamp(min=0)
        )
