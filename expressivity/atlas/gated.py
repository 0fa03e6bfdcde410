"""Gated positional self-attention: content and positions, mixed after the softmax.

d'Ascoli et al. (2021), ConViT, GPSA. Head h attends with

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

With all heads on taps the error is first order in both: 1 − σ(λ) = e^−λ for what comes
by content, whatever the content scores are, and e^−α for what the positional term
leaks. Neither replaces the other: an open gate leaks by content at any α.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.tokens import (
    OnTokens,
    bare_grid,
    displacements,
    tap_factors,
    token_grid,
)
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.heads.encoding import (
    head_vectors,
    relative_encoding,
)


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
        """Return A for all heads.

        Args:
            tokens: The input.

        Returns:
            Rows sum to one.
        """
        query, key = (self._of_heads(part) for part in self.qk(tokens).chunk(2, -1))
        by_content = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        by_position = self.pos_proj(self.encoding).movedim(-1, 0).softmax(-1)
        gate = self.gating_param.sigmoid()[:, None, None]
        mixed: Tensor = (1 - gate) * by_content + gate * by_position
        return mixed / mixed.sum(-1, keepdim=True)

    def forward(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        value = self._of_heads(self.v(tokens))
        seen = self.attention_probabilities(tokens) @ value
        output: Tensor = self.proj(seen.movedim(1, 2).flatten(2))
        return output

    def _of_heads(self, tokens: Tensor) -> Tensor:
        parts: Tensor = tokens.unflatten(2, (self.heads, -1))
        return parts.movedim(2, 1)


class Widened(nn.Module):
    """A layer of constant width between an input and an output of fewer channels.

    Attributes:
        layer: Maps (batch, tokens, width) to the same.
        width: Its channels; those that the input lacks are zero.
        out_channels: Channels that are read off.
    """

    def __init__(self, layer: nn.Module, width: int, out_channels: int) -> None:
        """Wrap a layer.

        Args:
            layer: The layer.
            width: Its channels.
            out_channels: Channels of the output.
        """
        super().__init__()
        self.layer, self.width, self.out_channels = layer, width, out_channels

    def forward(self, tokens: Float[Tensor, "batch tokens channels"]) -> Tensor:
        """Evaluate the layer.

        Args:
            tokens: The input.

        Returns:
            (batch, tokens, out_channels).
        """
        lacking = self.width - tokens.shape[-1]
        output: Tensor = self.layer(functional.pad(tokens, (0, lacking)))
        return output[..., : self.out_channels]


def construct(
    conv: Convolution,
    size: tuple[int, ...],
    alpha: float,
    gate: float | None = None,
) -> nn.Module:
    """Return gated attention that computes a convolution.

    Args:
        conv: Any convolution.
        size: Pixels per axis of the input.
        alpha: Locality strength of the positional term, 1/pixel².
        gate: λ of all heads, by default α.

    Returns:
        The layer, content scores zero.
    """
    by_clamping = conv.padding_mode == "replicate"
    grid = (bare_grid if by_clamping else token_grid)(conv, size)
    centers = ConvGeometry.from_conv(conv).centers().double()
    values, outputs = tap_factors(conv)
    heads, rank, _ = values.shape
    # Tokens must hold the input and the output, heads the tap of largest rank.
    channels = max(conv.in_channels, conv.out_channels)
    head_dim = max(rank, math.ceil(channels / heads))
    width = heads * head_dim
    layer = GatedAttention(width, heads, grid.canvas_size).double()
    # (heads, head_dim) as the heads' channels lie, cut to those that are used.
    used_in = layer.v.weight.detach().unflatten(0, (heads, head_dim))
    used_out = layer.proj.weight.detach().unflatten(1, (heads, head_dim))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        used_in[:, :rank, : conv.in_channels] = values.to(used_in)
        used_out[: conv.out_channels, :, :rank] = outputs.movedim(0, 1).to(used_out)
        strength = torch.full((heads,), alpha, dtype=torch.float64, device="cpu")
        layer.pos_proj.weight.copy_(head_vectors(strength, centers).flip(-1))
        layer.gating_param.fill_(alpha if gate is None else gate)
        if conv.bias is not None:
            layer.proj.bias[: conv.out_channels] = conv.bias.to(layer.proj.bias)
    widened = Widened(layer, width, conv.out_channels)
    return OnTokens(widened.to(conv.weight), grid)


FAMILIES = (
    Family(
        name="gated",
        title="ConViT gated positional attention",
        verdict="yes",
        claim=Claim(
            "Computes every convolution as gates close to content: an error of "
            "e^−λ by content and e^−α by position, one not replacing the other.",
            (
                "padding tokens, unless it is replicate padding",
                "one head a tap",
                "head dimension no less than the rank of a tap",
                "tokens as wide as input and output",
            ),
            "d'Ascoli et al. (2021)",
        ),
        heads="K²",
        constructor=construct,
    ),
)
