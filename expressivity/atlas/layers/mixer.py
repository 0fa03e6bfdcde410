"""MLP-Mixer and the feed-forward-only network: all channels share a perceptron.

Two papers put a perceptron over the tokens where transformers attend,

    U = X + W₂ GELU(W₁ LayerNorm(X)),   Y = U + GELU(LayerNorm(U) W₃) W₄,

MLP-Mixer (Tolstikhin et al. 2021, equation 1) in this order; the feed-forward-only
network (Melas-Kyriazi 2021) the other way round, and with its normaliser before the
token mixing over the tokens of a channel, not over the channels of a token.

======  ====================================  ======================================
W₁, W₂  ``token_mixing.fc1``, ``.fc2``        shared by all channels
W₃, W₄  ``channel_mixing.fc1``, ``.fc2``      shared by all tokens
======  ====================================  ======================================
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mlp(nn.Module):
    """fc2(GELU(fc1(x))), over the last axis.

    Attributes:
        fc1: To the hidden units.
        fc2: Back.
    """

    def __init__(self, features: int, hidden: int) -> None:
        """Create a perceptron with torch's random weights.

        Args:
            features: Numbers in and out.
            hidden: Hidden units.
        """
        super().__init__()
        self.features = features
        self.fc1 = nn.Linear(features, hidden)
        self.activation = nn.GELU()
        self.fc2 = nn.Linear(hidden, features)

    def forward(
        self, x: Float[Tensor, "batch rows features"]
    ) -> Float[Tensor, "batch rows features"]:
        """Evaluate the perceptron."""
        output: Tensor = self.fc2(self.activation(self.fc1(x)))
        return output


class MixerBlock(nn.Module):
    """A block of MLP-Mixer: tokens are mixed first.

    Attributes:
        token_mixing: Over the tokens of a channel.
        channel_mixing: Over the channels of a token.
        token_norm: Over the channels, before the token mixing.
        channel_norm: Over the channels, before the channel mixing.
    """

    def __init__(
        self, token_mixing: Mlp, channel_mixing: Mlp, *, normalised: bool = True
    ) -> None:
        """Put a block together.

        Args:
            token_mixing: Over the tokens.
            channel_mixing: Over the channels.
            normalised: Whether there are normalisers.
        """
        super().__init__()
        self.token_mixing, self.channel_mixing = token_mixing, channel_mixing
        channels = channel_mixing.features
        self.token_norm = _norm(channels, normalised)
        self.channel_norm = _norm(channels, normalised)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Mix the tokens, then the channels."""
        x = x + self.token_mixing(self.token_norm(x).mT).mT
        mixed: Tensor = x + self.channel_mixing(self.channel_norm(x))
        return mixed


class FeedForwardBlock(MixerBlock):
    """A block of the feed-forward-only network: channels are mixed first.

    Its token norm is over the tokens.
    """

    def __init__(
        self, token_mixing: Mlp, channel_mixing: Mlp, *, normalised: bool = True
    ) -> None:
        """Put a block together, as a block of MLP-Mixer."""
        super().__init__(token_mixing, channel_mixing, normalised=normalised)
        self.token_norm = _norm(token_mixing.features, normalised)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Mix the channels, then the tokens."""
        x = x + self.channel_mixing(self.channel_norm(x))
        mixed: Tensor = x + self.token_mixing(self.token_norm(x.mT)).mT
        return mixed


class MixingLayer(nn.Module):
    """A block between a stem and a head, both of which see one token at a time.

    Attributes:
        stem: The embedding of a token, or the identity.
        class_tokens: Learned tokens beside those of the image, (tokens, width).
        block: The block.
        head: Reads the output off every token of the image.
    """

    def __init__(
        self,
        block: MixerBlock,
        head: nn.Linear,
        *,
        stem: nn.Module | None = None,
        class_tokens: Float[Tensor, "extra width"] | None = None,
    ) -> None:
        """Put a layer together; by default without stem and class tokens."""
        super().__init__()
        self.stem = nn.Identity() if stem is None else stem
        self.class_tokens = None if class_tokens is None else nn.Parameter(class_tokens)
        self.block, self.head = block, head

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Evaluate stem, block and head; class tokens have no output."""
        batch, pixels, _ = tokens.shape
        tokens = self.stem(tokens)
        if self.class_tokens is not None:
            learned = self.class_tokens.expand(batch, -1, -1)
            tokens = torch.cat([tokens, learned], 1)
        output: Tensor = self.head(self.block(tokens)[:, :pixels])
        return output


def _norm(features: int, normalised: bool) -> nn.Module:
    return nn.LayerNorm(features) if normalised else nn.Identity()
