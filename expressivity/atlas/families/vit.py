"""ViT: an absolute encoding of positions, learned and added to the embedding.

Content and positions have channels of their own: queries and keys read the positions,
values read the content. :mod:`expressivity.atlas.encodings` has the encodings. A class
token can stand for padding, and LayerNorm can be made nearly a constant.
"""

import math

import torch
from torch import nn

from expressivity.atlas.canvas import (
    OnTokens,
    bare_grid,
    padded_grid,
    require,
    token_grid,
)
from expressivity.atlas.encodings import Encoding, class_encoding, quadratic_encoding
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import at, middle, summed_most, zeros
from expressivity.atlas.layers.multihead import HeadWeights
from expressivity.atlas.layers.vit import AbsoluteAttention
from expressivity.atlas.strength import ANCHOR, WIDE, locality
from expressivity.atlas.taps import tap_factors
from expressivity.atlas.witness import Witness
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return a ViT's attention on a canvas with padding tokens."""
    grid = token_grid(conv, size)
    layer = with_encoding(conv, quadratic_encoding(grid, alpha))
    return OnTokens(layer, grid).to(conv.weight)


def construct_with_class_token(
    conv: Convolution, size: Size, alpha: float
) -> nn.Module:
    """Return the same without padding tokens: heads attend to the class token."""
    require(conv.padding_mode == "zeros", conv, "zero padding")
    grid = bare_grid(conv, size)
    layer = with_encoding(conv, class_encoding(grid, alpha), class_token=True)
    return OnTokens(layer, grid).to(conv.weight)


def construct_normalised(
    conv: Convolution, size: Size, alpha: float, anchor: float | None = None
) -> nn.Module:
    """Return a block with pre-LayerNorm, for inputs that are small beside a constant B.

    LayerNorm divides by the deviation over the channels. Two channels that hold ±B make
    it constant, but for ‖x‖² beside B²; their sum gives away the mean. Rounding grows
    with B: of a precision ε, B³ = 1/ε leaves the most digits.

    Args:
        conv: Any convolution with zero, reflect or circular padding.
        size: Pixels per axis of the input, fixed.
        alpha: Locality strength, 1/pixel².
        anchor: B, at least one; by default ε^−1/3, and no larger.

    Returns:
        The layer; a token x comes out too small by ‖x‖²/(4B²) of its size, at most.

    Raises:
        ArgumentError: If it pads by replication, weights are of half precision, in
            which constants leave no digits for the tokens, or the anchor is too large
            or below one.
    """
    require(conv.weight.dtype in WIDE, conv, "weights in float32 or float64")
    anchor = ANCHOR.checked(anchor, conv.weight.dtype)
    if anchor < 1:
        raise ArgumentError(f"anchor needs to be at least 1, got {anchor}")
    grid = token_grid(conv, size)
    encoding = quadratic_encoding(grid, alpha)
    reach = encoding.position.abs().amax(0).clamp(min=1)
    layer = with_encoding(conv, encoding.in_units(2 * reach), anchor=anchor)
    return OnTokens(layer, grid).to(conv.weight)


def refute_normalised(conv: Convolution, size: Size) -> Witness:
    """Add ±1 to all channels of one token, which LayerNorm takes away again.

    The tokens are the pixels themselves. Where an embedding comes first, no finite set
    of inputs is a witness, as it is bounded; but every output is bounded, too: no
    setting is right on all inputs.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input.

    Returns:
        The witness; its control has no LayerNorm.
    """
    query, channels = middle(conv, size), conv.in_channels
    heaviest = summed_most(conv, size, query)
    inputs = zeros(conv, size)
    for image, sign in zip(inputs, (1, -1), strict=True):
        at(image, heaviest).fill_(sign)
    grid = padded_grid(conv, size)

    def make(restored: bool) -> nn.Module:
        layer = AbsoluteAttention(
            nn.Identity(),
            nn.MultiheadAttention(channels, channels, batch_first=True),
            nn.Linear(channels, conv.out_channels),
            tokens=math.prod(grid.canvas_size),
            normalised=not restored,
        )
        return OnTokens(layer, grid)

    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind="normaliser",
        symmetry="LayerNorm subtracts the mean over the channels: keys and values of "
        "the token stay as they are, and the residual connection is its own.",
        make=make,
        scale=0.3,
        needs="a tap beside the query's whose weights do not sum to zero over the "
        "channels",
    )


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
        what LayerNorm needs, then zeros to which the block adds the outputs.
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
        # Positions have their own share in the deviation: ±B is so much smaller.
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
    readout = nn.Linear(embed, conv.out_channels)
    layer = AbsoluteAttention(
        embedding,
        weights.attention(first_output=first_output),
        readout,
        tokens=len(position) - class_token,
        class_token=class_token,
        normalised=normalised,
    ).double()
    with torch.no_grad():
        for linear in (embedding, readout):
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)
        readout.weight.copy_(readout.weight.roll(first_output, 1))
        layer.position.copy_(position)
        if conv.bias is not None:
            readout.bias.copy_(conv.bias)
    return layer


_SOURCE = "Dosovitskiy et al. (2021), equations 1 and 2"
_CONDITIONS = (
    "a fixed size",
    "content and positions on channels of their own",
    "head dimension no less than the rank of a tap and that of the encoding",
)
FAMILIES = (
    Family(
        name="vit",
        title="ViT, learned absolute encoding",
        claim=Claim(
            "Computes every convolution as the locality strength grows, with an error "
            "of order e^−α, in torch's own nn.MultiheadAttention.",
            ("padding tokens", *_CONDITIONS),
            _SOURCE,
        ),
        strength=locality(32.0),
        heads="K²",
        constructor=construct,
    ),
    Family(
        name="vit-cls",
        title="ViT with a class token",
        claim=Claim(
            "The class token takes the place of padding tokens, with an error of "
            "order e^(−α/2).",
            ("outputs on pixels", *_CONDITIONS),
            _SOURCE,
        ),
        strength=locality(56.0),
        heads="K²",
        constructor=construct_with_class_token,
    ),
    Family(
        name="vit-pre-ln",
        title="ViT block with pre-LayerNorm",
        claim=Claim(
            "Computes every convolution on every bounded set, with an error of order "
            "B^−2 + e^−α for two channels that hold ±B. On tokens of all values it "
            "computes none with a tap beside the query's that sees the mean.",
            (
                "bounded inputs",
                "float32 or wider",
                "two channels of constant, large size",
                *_CONDITIONS,
            ),
            _SOURCE,
        ),
        strength=locality(24.0),
        heads="K²",
        constructor=construct_normalised,
        refuter=refute_normalised,
    ),
)
