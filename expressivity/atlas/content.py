"""Attention by content alone: no layer of it knows where a token is.

Without an encoding of positions, permuting all tokens but the query permutes nothing
that the query sees. A convolution that weighs two other pixels differently is out of
reach; SAGAN's block pools keys and values first, which changes nothing about it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import middle, others, pixel_of, swapped
from expressivity.atlas.tokens import OnTokens, padded_grid
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry import Convolution


class ContentAttention(nn.Module):
    """Multi-head attention on tokens, with biases and without positions.

    Attributes:
        query: W_qry and its bias.
        key: W_key and its bias.
        value: W_val and its bias.
        output: W_out and its bias.
        bias: Added to the scores, (heads, tokens, tokens), or ``None``: with it the
            layer does know where a token is.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        heads: int,
        head_dim: int,
        tokens: int | None = None,
    ) -> None:
        """Create a layer with torch's random weights.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            heads: Number of heads.
            head_dim: Dimension of a head.
            tokens: Number of tokens, for a score bias of every pair.
        """
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(channels, width) for _ in "qkv")
        self.output = nn.Linear(width, out_channels)
        pairs = None if tokens is None else torch.zeros(heads, tokens, tokens)
        self.bias = None if pairs is None else nn.Parameter(pairs)

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to all.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).movedim(2, 1)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if self.bias is not None:
            scores = scores + self.bias
        seen = scores.softmax(-1) @ value
        attended: Tensor = self.output(seen.movedim(1, 2).flatten(2))
        return attended


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange two pixels that a convolution weighs differently.

    Args:
        conv: Any convolution whose outputs lie on pixels of the input.
        size: Pixels per axis of the input.

    Returns:
        The witness.

    Raises:
        ArgumentError: If the convolution weighs all other pixels alike, as a box
            filter does on an image no larger than itself: uniform attention computes
            that.
    """
    query = middle(conv, size)
    pixel = pixel_of(conv, query)
    return Witness.of_pair(
        conv,
        swapped(conv, size, query, others(size, pixel)),
        (query, query),
        kind="swap",
        symmetry="Exchanging two tokens that are not the query permutes keys and "
        "values alike: the softmax sums over the same pairs.",
        layer=lambda seed: _random(conv, size, seed, knows_positions=False),
        control=lambda seed: _random(conv, size, seed, knows_positions=True),
    )


def _random(
    conv: Convolution, size: tuple[int, ...], seed: int, *, knows_positions: bool
) -> nn.Module:
    """Return a random layer on the padded canvas of a convolution."""
    grid = padded_grid(conv, size)
    tokens = math.prod(grid.canvas_size)
    layer = ContentAttention(
        conv.in_channels,
        conv.out_channels,
        heads=math.prod(conv.kernel_size),
        head_dim=max(conv.in_channels, 4),
        tokens=tokens if knows_positions else None,
    )
    return OnTokens(randomised(layer, seed), grid)


FAMILIES = (
    Family(
        name="content",
        title="content only",
        verdict="no",
        claim=Claim(
            "Attention without any encoding of positions computes no convolution that "
            "weighs two pixels beside the query differently.",
            ("no encoding of positions",),
            "Vaswani et al. (2017), without encodings",
        ),
        refuter=refute,
    ),
)
