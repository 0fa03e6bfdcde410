"""ConViT: content and positions, mixed after the softmax by a gate.

d'Ascoli et al. (2021), gated positional self-attention. Head h attends with

    A^h = (1 − σ(λ_h)) softmax(Q^h K^hᵀ / √D_h) + σ(λ_h) softmax(v_h · r_δ),

rows renormalised, and the layer is concat_h(A^h X W_val^h) W_out + b. The width D of
the tokens stays the same and is split among the heads, D_h = D / N_h.

======  =======================  ===================================================
λ_h     ``gating_param``         gate, a logit
v_h     ``pos_proj``             −α (1, −2Δ) of the quadratic encoding
r_δ     ``encoding``             (δ_d, …, δ₁, ‖δ‖²): columns first
======  =======================  ===================================================

Parameters have the names of the authors' implementation, and of timm's: its ``GPSA``
takes the weights as they are, on a square canvas.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.canvas import displacements
from expressivity.heads.encoding import relative_encoding


class GatedAttention(nn.Module):
    """GPSA on a canvas of one size.

    Attributes:
        qk: W_qry and W_key of all heads, one above the other.
        v: W_val.
        proj: W_out.
        pos_proj: v_h, and a bias that the softmax drops.
        gating_param: λ, (heads,).
    """

    encoding: Tensor

    def __init__(self, dim: int, heads: int, canvas_size: tuple[int, ...]) -> None:
        """Create a layer with torch's random weights and gates of 1.

        Args:
            dim: Channels of tokens and outputs, a multiple of the heads.
            heads: Number of heads.
            canvas_size: Tokens per axis.
        """
        super().__init__()
        self.heads = heads
        self.qk = nn.Linear(dim, 2 * dim, bias=False)
        self.v = nn.Linear(dim, dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.pos_proj = nn.Linear(len(canvas_size) + 1, heads)
        self.gating_param = nn.Parameter(torch.ones(heads))
        encoding = relative_encoding(displacements(canvas_size)).flip(-1)
        self.register_buffer("encoding", encoding, persistent=False)

    def attention_probabilities(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch heads tokens tokens"]:
        """Return A for all heads; its rows sum to one."""
        query, key = (self._of_heads(part) for part in self.qk(tokens).chunk(2, -1))
        by_content = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        by_position = self.pos_proj(self.encoding).movedim(-1, 0).softmax(-1)
        gate = self.gating_param.sigmoid()[:, None, None]
        mixed: Tensor = (1 - gate) * by_content + gate * by_position
        return mixed / mixed.sum(-1, keepdim=True)

    def forward(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Attend from every token to all."""
        value = self._of_heads(self.v(tokens))
        attended = self.attention_probabilities(tokens) @ value
        output: Tensor = self.proj(attended.movedim(1, 2).flatten(2))
        return output

    def _of_heads(self, tokens: Tensor) -> Tensor:
        parts: Tensor = tokens.unflatten(2, (self.heads, -1))
        return parts.movedim(2, 1)


class Widened(nn.Module):
    """A layer of constant width between an input and an output of fewer channels.

    Attributes:
        layer: Maps (batch, tokens, width) to the same.
        width: Its channels; zeros stand for those that the input lacks.
        out_channels: Channels that are read off.
    """

    def __init__(self, layer: nn.Module, width: int, out_channels: int) -> None:
        """Wrap a layer."""
        super().__init__()
        self.layer, self.width, self.out_channels = layer, width, out_channels

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Add channels of zeros, evaluate the layer and read the output off."""
        missing = self.width - tokens.shape[-1]
        output: Tensor = self.layer(functional.pad(tokens, (0, missing)))
        return output[..., : self.out_channels]
