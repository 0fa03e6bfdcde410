"""The attention of a ViT: embedded tokens plus learned positions, attended over.

Symbols of Dosovitskiy et al. (2021), equations 1 and 2, and their names:

=========  ===================================================
E          ``embedding``; a patch is one pixel
E_pos      ``position``
x_class    ``class_token``
MSA        ``attention``, torch's own ``nn.MultiheadAttention``
LN         ``norm``, and with it the residual connection
=========  ===================================================
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.encodings import Encoding
from expressivity.atlas.multihead import HeadWeights
from expressivity.atlas.tokens import tap_factors
from expressivity.geometry.convolution import Convolution


class AbsoluteAttention(nn.Module):
    """Multi-head attention on embedded tokens that know where they are.

    Attributes:
        embedding: E, from the channels of a token to those of the attention.
        position: E_pos, one vector a token, the class token first.
        class_token: x_class, put before the others, or ``None``.
        norm: LN before the attention, to which z is then added; or ``None``.
        attention: MSA.
        output: From the channels of the attention to those of the output.
    """

    def __init__(
        self,
        embedding: nn.Module,
        attention: nn.MultiheadAttention,
        output: nn.Module,
        *,
        tokens: int,
        class_token: bool = False,
        normalised: bool = False,
    ) -> None:
        """Put a layer together; positions and class token are zeros.

        Args:
            embedding: From the channels of a token to those of the attention.
            attention: Torch's own, ``batch_first``.
            output: From the channels of the attention to those of the output.
            tokens: Number of tokens, without the class token.
            class_token: Whether there is one.
            normalised: Whether it is the block z + MSA(LN(z)).
        """
        super().__init__()
        embed = attention.embed_dim
        self.embedding, self.attention, self.output = embedding, attention, output
        self.position = nn.Parameter(torch.zeros(tokens + class_token, embed))
        self.class_token = nn.Parameter(torch.zeros(1, embed)) if class_token else None
        self.norm = nn.LayerNorm(embed) if normalised else None

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output, without the class token's.
        """
        z = self.embedding(tokens)
        if self.class_token is not None:
            z = torch.cat([self.class_token.expand(len(z), 1, -1), z], 1)
        z = z + self.position
        seen = z if self.norm is None else self.norm(z)
        attended, _ = self.attention(seen, seen, seen, need_weights=False)
        if self.norm is not None:
            attended = z + attended
        outputs: Tensor = self.output(attended)
        return outputs if self.class_token is None else outputs[:, 1:]


def with_encoding(
    conv: Convolution,
    encoding: Encoding,
    *,
    class_token: bool = False,
    anchor: float | None = None,
) -> AbsoluteAttention:
    """Return a layer whose heads copy tokens to the positions of a convolution.

    Args:
        conv: The convolution.
        encoding: An encoding of positions, with one head a tap.
        class_token: Whether the first position is that of a class token.
        anchor: B, for a block with pre-LayerNorm; ``None`` for one without.

    Returns:
        The layer, in float64. Channels hold the content, then the positions, then
        what LayerNorm needs, then zeros that the outputs are added to.
    """
    value, output = (factor.cpu() for factor in tap_factors(conv))
    heads, code = encoding.query_bias.shape
    channels, normalised = conv.in_channels, anchor is not None
    used = channels + code + 2 * normalised
    first_output = used if normalised else 0
    needed = max(used, first_output + conv.out_channels)
    embed = heads * max(code, value.shape[1], math.ceil(needed / heads))
    position = torch.zeros(
        len(encoding.position), embed, dtype=torch.float64, device="cpu"
    )
    position[:, channels : channels + code] = encoding.position
    read = torch.eye(channels + code, embed, dtype=torch.float64, device="cpu")
    if anchor is not None:
        # Positions have their own share in the deviation, which is made up for.
        rest = (anchor**2 - encoding.position.square().sum(1) / 2).sqrt()
        position[:, used - 2], position[:, used - 1] = rest, -rest
        read[:, used - 2 : used] = -0.5
        read *= math.sqrt(2 * anchor**2 / embed + nn.LayerNorm(1).eps)
    content, place = read.split((channels, code))
    weights = HeadWeights(
        query=encoding.query @ place,
        query_bias=encoding.query_bias,
        key=place,
        value=value @ content,
        output=output,
    )
    embedding = nn.Linear(channels, embed)
    picked = nn.Linear(embed, conv.out_channels)
    layer = AbsoluteAttention(
        embedding,
        weights.attention(first_output=first_output),
        picked,
        tokens=len(position) - class_token,
        class_token=class_token,
        normalised=normalised,
    ).double()
    with torch.no_grad():
        for linear in (embedding, picked):
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)
        picked.weight.copy_(picked.weight.roll(first_output, 1))
        layer.position.copy_(position)
        if conv.bias is not None:
            picked.bias.copy_(conv.bias)
    return layer
