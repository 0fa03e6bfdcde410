"""Torch's own multi-head attention, with weights filled in head by head.

A head computes, in the names of Vaswani et al. (2017),

    Σ_k softmax_k((W_qry z_q + b) · W_key z_k) W_out W_val z_k.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class HeadWeights:
    """What the heads of a layer do with tokens of so many channels.

    Attributes:
        query: W_qry, for scores without a factor.
        query_bias: b.
        key: W_key; the same for all heads.
        value: W_val.
        output: W_out.
    """

    query: Float[Tensor, "heads key_dim embed"]
    query_bias: Float[Tensor, "heads key_dim"]
    key: Float[Tensor, "key_dim embed"]
    value: Float[Tensor, "heads rank embed"]
    output: Float[Tensor, "heads out_channels rank"]

    def attention(self, *, first_output: int = 0) -> nn.MultiheadAttention:
        """Return torch's attention with these weights.

        Args:
            first_output: The channel at which the outputs begin; the attention
                returns zeros in all channels that hold none.

        Returns:
            The layer, in float64; its heads are as wide as the channels allow.
        """
        heads, key_dim, embed = self.query.shape
        layer = nn.MultiheadAttention(
            embed, heads, batch_first=True, dtype=torch.float64
        )
        width = embed // heads
        outputs, rank = self.output.shape[1:]
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
            query, key, value = layer.in_proj_weight.unflatten(0, (3, heads, width))
            bias = layer.in_proj_bias.unflatten(0, (3, heads, width))[0]
            # Torch divides scores by the root of the heads' width.
            query[:, :key_dim] = math.sqrt(width) * self.query
            bias[:, :key_dim] = math.sqrt(width) * self.query_bias
            key[:, :key_dim] = self.key
            value[:, :rank] = self.value
            rows = layer.out_proj.weight[first_output : first_output + outputs]
            rows.unflatten(1, (heads, width))[:, :, :rank] = self.output.movedim(0, 1)
        return layer
