"""Attention whose scores get a bias from positions: what many papers vary.

    out_q = Σ_h W_out^h Σ_k softmax_k(scale · q_h · k_h + B_h(q, k)) W_val^h x_k + b

What B is allowed to be makes the family; without B, attention is by content alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class BiasedAttention(nn.Module):
    """Multi-head attention with a bias of the scores that depends on positions.

    Attributes:
        position_bias: Returns B, (heads, tokens, tokens); or ``None``.
        query: W_qry, or ``None`` where scores are positions alone.
        key: W_key, or ``None``.
        value: W_val of all heads.
        output: W_out of all heads.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        heads: int,
        head_dim: int,
        position_bias: nn.Module | None = None,
        content: bool = True,
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        """Create a layer with torch's random weights.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            heads: Number of heads.
            head_dim: Dimension of a head.
            position_bias: Returns B, by default 0.
            content: Whether scores depend on the tokens, too.
            bias: Whether query, key and value have biases. The output always has.
            scale: Factor of the content scores, by default head_dim^−1/2.
        """
        super().__init__()
        width = heads * head_dim
        self.heads, self.scale = heads, scale
        self.position_bias = position_bias
        self.query, self.key = (
            nn.Linear(channels, width, bias=bias) if content else None for _ in "qk"
        )
        self.value = nn.Linear(channels, width, bias=bias)
        self.output = nn.Linear(width, out_channels)

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all."""
        value = self._of_heads(self.value(tokens))
        if self.query is None or self.key is None:
            attended = self.get_submodule("position_bias")().softmax(-1) @ value
        else:
            bias = None if self.position_bias is None else self.position_bias()
            query, key = (
                self._placed(self._of_heads(project(tokens)))
                for project in (self.query, self.key)
            )
            attended = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias, scale=self.scale
            )
        output: Tensor = self.output(attended.movedim(1, 2).flatten(2))
        return output

    def _of_heads(self, tokens: Tensor) -> Tensor:
        parts: Tensor = tokens.unflatten(2, (self.heads, -1))
        return parts.movedim(2, 1)

    def _placed(self, x: Tensor) -> Tensor:
        """Return queries or keys as their positions change them: here not at all."""
        return x


class FreeBias(nn.Module):
    """One number for every head, query and key.

    Attributes:
        bias: (heads, tokens, tokens).
    """

    def __init__(self, heads: int, tokens: int) -> None:
        """Create a bias of zeros.

        Args:
            heads: Number of heads.
            tokens: Number of tokens.
        """
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(heads, tokens, tokens))

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias."""
        return self.bias
