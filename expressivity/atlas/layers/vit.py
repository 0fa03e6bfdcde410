"""ViT: attention over embedded tokens plus learned positions.

Symbols of Dosovitskiy et al. (2021), equations 1 and 2, and their names:

=========  ===================================================
E          ``embedding``; a patch is one pixel
E_pos      ``position``
x_class    ``class_token``
MSA        ``attention``, torch's own ``nn.MultiheadAttention``
LN         ``norm``, and with it the residual connection
=========  ===================================================
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
        """Attend from every token to all; the class token has no output."""
        z = self.embedding(tokens)
        if self.class_token is not None:
            z = torch.cat([self.class_token.expand(len(z), 1, -1), z], 1)
        z = z + self.position
        x = z if self.norm is None else self.norm(z)
        attended, _ = self.attention(x, x, x, need_weights=False)
        if self.norm is not None:
            attended = z + attended
        outputs: Tensor = self.output(attended)
        return outputs if self.class_token is None else outputs[:, 1:]
