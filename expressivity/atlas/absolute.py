"""ViT: an absolute encoding of positions, learned and added to the embedding.

Content and positions have channels of their own, so that queries and keys see the one
and values the other; which encodings do is in :mod:`expressivity.atlas.encodings`. A
class token can stand for what is not there, and LayerNorm be made a constant.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from expressivity.atlas.encodings import (
    Encoding,
    class_encoding,
    quadratic_encoding,
)
from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import at, middle, summed_most
from expressivity.atlas.strength import ANCHOR, WIDE, locality
from expressivity.atlas.tokens import (
    OnTokens,
    bare_grid,
    padded_grid,
    require,
    token_grid,
)
from expressivity.atlas.vit import AbsoluteAttention, with_encoding
from expressivity.atlas.witness import Witness, randomised
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid


def construct(
    conv: Convolution,
    size: tuple[int, ...],
    alpha: float,
    *,
    encode: Callable[[Grid, float], Encoding] = quadratic_encoding,
) -> nn.Module:
    """Return a ViT's attention that computes a convolution.

    Args:
        conv: Any convolution with zero, reflect or circular padding.
        size: Pixels per axis of the input, fixed.
        alpha: Locality strength, 1/pixel².
        encode: Which encoding of positions.

    Returns:
        The layer.

    Raises:
        ArgumentError: If it pads by replication.
    """
    grid = token_grid(conv, size)
    layer = with_encoding(conv, encode(grid, alpha))
    return OnTokens(layer, grid).to(conv.weight)


def construct_with_class_token(
    conv: Convolution, size: tuple[int, ...], alpha: float
) -> nn.Module:
    """Return the same without padding tokens: heads look at the class token instead.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input, fixed.
        alpha: Locality strength, 1/pixel².

    Returns:
        The layer.

    Raises:
        ArgumentError: If the padding is no zeros, or some output lies on no pixel.
    """
    require(conv.padding_mode == "zeros", conv, "zero padding")
    grid = bare_grid(conv, size)
    layer = with_encoding(conv, class_encoding(grid, alpha), class_token=True)
    return OnTokens(layer, grid).to(conv.weight)


def construct_normalised(
    conv: Convolution, size: tuple[int, ...], alpha: float, anchor: float | None = None
) -> nn.Module:
    """Return a block with pre-LayerNorm, for inputs that are small beside a constant B.

    Two channels that hold ±B make the deviation that LayerNorm divides by constant,
    but for ‖x‖² beside B², and their sum gives away the mean. Rounding grows with B:
    of a precision ε, B³ = 1/ε leaves the most.

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


def refute_normalised(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Add ±1 to all channels of one token, which LayerNorm takes away again.

    The tokens are the pixels themselves. Where an embedding comes first, no finite set
    of inputs is a witness, as it is bounded; but every output is bounded, too: no
    setting is right on all inputs.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input.

    Returns:
        The witness.

    Raises:
        ArgumentError: If all taps but the query's sum to zero over the channels.
    """
    query = middle(conv, size)
    heaviest = summed_most(conv, size, query)
    inputs = torch.zeros(2, conv.in_channels, *size, dtype=torch.float64, device="cpu")
    for image, sign in zip(inputs, (1, -1), strict=True):
        at(image, heaviest).fill_(sign)
    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind="normaliser",
        symmetry="LayerNorm subtracts the mean over the channels: keys and values of "
        "the token stay as they are, and the residual connection is its own.",
        layer=lambda seed: _random(conv, size, seed, normalised=True),
        control=lambda seed: _random(conv, size, seed, normalised=False),
        needs="a tap beside the query's whose weights do not sum to zero over the "
        "channels",
    )


def _random(
    conv: Convolution, size: tuple[int, ...], seed: int, *, normalised: bool
) -> nn.Module:
    """Return a random block whose tokens are the pixels themselves."""
    grid = padded_grid(conv, size)
    channels = conv.in_channels
    layer = AbsoluteAttention(
        nn.Identity(),
        nn.MultiheadAttention(channels, channels, batch_first=True),
        nn.Linear(channels, conv.out_channels),
        tokens=math.prod(grid.canvas_size),
        normalised=normalised,
    )
    # Wider ones begin with saturated probabilities, which an attack is slow to leave.
    return OnTokens(randomised(layer, seed, scale=0.3), grid)


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
        verdict="yes",
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
        verdict="yes",
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
        verdict="conditional",
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
