"""Attention by content alone: no layer of it knows where a token is.

Without an encoding of positions, permuting all tokens but the query permutes nothing
that the query sees. A convolution that weighs two other pixels differently is out of
reach; SAGAN's block pools keys and values first, which changes nothing about it.

Symbols of Zhang et al. (2019) and their names, those of the authors' code:

===========  ==========  ========================================================
f, g         ``theta``,  1×1 convolutions that make queries and keys; the code
             ``phi``     pools keys
h, v         ``g``,      1×1 convolutions that make values and outputs; the code
             ``output``  pools values
γ            ``sigma``   gate, y = x + γ o
===========  ==========  ========================================================
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import (
    TOLD_APART,
    Place,
    exchanged,
    middle,
    others,
    pixel_of,
    swapped,
)
from expressivity.atlas.tokens import (
    OnCanvas,
    OnTokens,
    padded_grid,
    require_plane,
)
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid

_BLOCK = 2


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


class SelfAttentionBlock(nn.Module):
    """SAGAN's block: y = x + σ · W softmax(θ(x) pool(φ(x))ᵀ) pool(g(x)).

    The 1×1 convolutions have biases here, which the authors' do not: they only add
    to what it can do.

    Attributes:
        theta: Makes queries.
        phi: Makes keys.
        g: Makes values.
        output: Maps what was attended to back to the channels.
        sigma: The gate.
        pool: Maximum of 2×2 pixels of keys and values, as in the authors' code, or
            nothing, as in their paper. The last block of an odd axis is smaller.
        readout: The block keeps channels. Where another number is wanted, a 1×1
            convolution follows it.
        bias: Added to the scores, (pixels, pixels), or ``None``: with it the block
            does know where a pixel is.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        *,
        pooled: bool = True,
        pixels: int | None = None,
    ) -> None:
        """Create a block with torch's random weights.

        Args:
            channels: Channels of the image.
            out_channels: Channels of the output, if other than those of the image.
            pooled: Whether keys and values are pooled.
            pixels: Number of pixels, for a score bias of every pair; not pooled.
        """
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta = nn.Conv2d(channels, narrow, 1)
        self.phi = nn.Conv2d(channels, narrow, 1)
        self.g = nn.Conv2d(channels, half, 1)
        self.output = nn.Conv2d(half, channels, 1)
        self.sigma = nn.Parameter(torch.zeros(()))
        self.pool = nn.MaxPool2d(_BLOCK, ceil_mode=True) if pooled else nn.Identity()
        keeps = out_channels in (None, channels)
        self.readout = (
            nn.Identity() if keeps else nn.Conv2d(channels, out_channels or 1, 1)
        )
        pairs = None if pixels is None else torch.zeros(pixels, pixels)
        self.bias = None if pairs is None else nn.Parameter(pairs)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Attend from every pixel to all, and add the input.

        Args:
            x: The input.

        Returns:
            The output.
        """
        query = self.theta(x).flatten(2).mT
        key, value = (self.pool(make(x)).flatten(2) for make in (self.phi, self.g))
        scores = query @ key
        if self.bias is not None:
            scores = scores + self.bias
        seen = (value @ scores.softmax(-1).mT).unflatten(2, x.shape[2:])
        attended: Tensor = self.readout(x + self.sigma * self.output(seen))
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
    grid = padded_grid(conv, size)
    return exchanged(
        conv,
        size,
        kind="swap",
        symmetry="Exchanging two tokens that are not the query permutes keys and "
        "values alike: the softmax sums over the same pairs.",
        layer=lambda seed: _random(conv, grid, seed, knows_positions=False),
        control=lambda seed: _random(conv, grid, seed, knows_positions=True),
    )


def _random(
    conv: Convolution, grid: Grid, seed: int, *, knows_positions: bool
) -> nn.Module:
    """Return a random layer on the padded canvas of a convolution."""
    tokens = math.prod(grid.canvas_size)
    layer = ContentAttention(
        conv.in_channels,
        conv.out_channels,
        heads=math.prod(conv.kernel_size),
        head_dim=max(conv.in_channels, 4),
        tokens=tokens if knows_positions else None,
    )
    return OnTokens(randomised(layer, seed, scale=0.3), grid)


def refute_block(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange two pixels of one 2×2 block that a convolution weighs differently.

    The maximum over a block does not know their order; without pooling nothing else
    does. The pixel of the query is the same in both inputs, as it is added to the
    output.

    Args:
        conv: Any convolution over two axes with zero padding; the block is laid on
            its canvas, with padding tokens if it pads.
        size: Pixels per axis of the input.

    Returns:
        The witness.

    Raises:
        ArgumentError: If the convolution weighs the pixels of each block alike, as
            one of a single tap does.
    """
    require_plane(conv)
    grid = padded_grid(conv, size)
    query = middle(conv, size)
    pixel = pixel_of(conv, query)

    def block(place: Place) -> Place:
        padding = grid.geometry.padding
        return tuple(
            (p + before) // _BLOCK
            for p, (before, _) in zip(place, padding, strict=True)
        )

    def random(seed: int, *, knows_positions: bool) -> nn.Module:
        layer = SelfAttentionBlock(
            conv.in_channels,
            conv.out_channels,
            pooled=not knows_positions,
            pixels=math.prod(grid.canvas_size) if knows_positions else None,
        )
        return OnCanvas(randomised(layer, seed, scale=0.3), grid)

    together = ((a, b) for a, b in others(size, pixel) if block(a) == block(b))
    return Witness.of(
        conv,
        swapped(conv, size, query, together),
        (query, query),
        kind="swap",
        symmetry="Exchanging two pixels of one block that are not the query leaves "
        "the maximum over the block, and so all keys and values.",
        layer=lambda seed: random(seed, knows_positions=False),
        control=lambda seed: random(seed, knows_positions=True),
        needs=TOLD_APART,
    )


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
    Family(
        name="sagan",
        title="SAGAN block",
        verdict="no",
        claim=Claim(
            "The block computes no convolution that weighs two pixels of one 2×2 "
            "block differently, or two whole blocks, beside the query; the gated sum "
            "with its input changes nothing about it.",
            ("no encoding of positions", "keys and values pooled or not"),
            "Zhang, Goodfellow, Metaxas, Odena (2019)",
        ),
        refuter=refute_block,
    ),
)
