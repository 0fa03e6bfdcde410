"""Attention whose scores get a bias from positions: what many papers vary.

    out_q = Σ_h W_out^h Σ_k softmax_k(scale · q_h · k_h + B_h(q, k)) W_val^h x_k + b

What B is allowed to be makes the family. Where it may single out one key for every
query, a head carries a tap of a convolution: :func:`one_head_a_tap`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.tokens import tap_factors
from expressivity.geometry.convolution import Convolution


class BiasedAttention(nn.Module):
    """Multi-head attention with a bias of the scores that depends on positions.

    Attributes:
        position_bias: Returns B, (heads, tokens, tokens).
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
        position_bias: nn.Module,
        heads: int,
        head_dim: int,
        content: bool = True,
        bias: bool = True,
        scale: float | None = None,
    ) -> None:
        """Create a layer with torch's random weights.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            position_bias: Returns B, (heads, tokens, tokens).
            heads: Number of heads.
            head_dim: Dimension of a head.
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
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        value = self._of_heads(self.value(tokens))
        bias = self.position_bias()
        if self.query is None or self.key is None:
            seen = bias.softmax(-1) @ value
        else:
            query, key = (self._of_heads(f(tokens)) for f in (self.query, self.key))
            seen = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias, scale=self.scale
            )
        attended: Tensor = self.output(seen.movedim(1, 2).flatten(2))
        return attended

    def _of_heads(self, tokens: Tensor) -> Tensor:
        parts: Tensor = tokens.unflatten(2, (self.heads, -1))
        return parts.movedim(2, 1)


def one_head_a_tap(
    conv: Convolution, position_bias: nn.Module, *, content: bool = True
) -> BiasedAttention:
    """Return attention by positions alone whose heads carry the taps of a convolution.

    Args:
        conv: The convolution.
        position_bias: Draws head h of every query to the query's pixel plus Δ_h.
        content: Whether the family has content scores; they are zero.

    Returns:
        The layer on tokens, in the dtype and on the device of the convolution.
    """
    values, outputs = tap_factors(conv)
    heads, head_dim, _ = values.shape
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        position_bias=position_bias,
        heads=heads,
        head_dim=head_dim,
        content=content,
        bias=False,
    ).double()
    with torch.no_grad():
        for projection in (layer.query, layer.key):
            if projection is not None:
                projection.weight.zero_()
        layer.value.weight.copy_(values.flatten(0, 1))
        layer.output.weight.copy_(outputs.movedim(0, 1).flatten(1))
        layer.output.bias.zero_()
        if conv.bias is not None:
            layer.output.bias.copy_(conv.bias)
    return layer.to(conv.weight)
