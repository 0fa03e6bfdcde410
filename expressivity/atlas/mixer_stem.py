"""A stem that makes a normalised token mixing any convolution, on bounded inputs.

Each of the ρ spatial kernels has channels of its own, and offsets tell the perceptron
over the tokens which; the head weighs them with the matrices B_r. The normaliser hardly
varies beside constants that are B times the inputs: its error is of order B^−2.

- **MLP-Mixer**: copies of the input with alternating signs, whose mean is zero, and two
  channels that hold a constant and its opposite; offsets are biases of the normaliser.
- **Feed-forward-only**: copies of the input with offsets, and three class tokens: one
  holds a zero, by which the mean that is taken off is known, two hold the constants.

On all of Rⁿ no setting does: what a normalised token mixing adds is bounded.
"""

import math

import torch
from torch import Tensor, nn

from expressivity.atlas.strength import WIDE
from expressivity.atlas.token_mixing import (
    SPACING,
    head_of,
    mixing_matrices,
    spatial_factors,
    switched_off,
    toothed_mlp,
)
from expressivity.atlas.token_mlps import FeedForwardBlock, MixerBlock, MixingLayer
from expressivity.atlas.tokens import OnTokens, bare_grid, require
from expressivity.geometry.convolution import Convolution

INPUT_BOUND = 4.0
_WIDE = "weights in float32 or float64"


def construct_mixer_with_stem(
    conv: Convolution,
    size: tuple[int, ...],
    anchor: float,
    input_bound: float = INPUT_BOUND,
) -> nn.Module:
    """Return a stem and a normalised Mixer block that compute a convolution.

    Args:
        conv: Any convolution whose outputs stand on pixels.
        size: Pixels per axis of the input.
        anchor: B, how large the constants are beside the inputs, in the norm that the
            normaliser takes. Rounding grows with it, and ε^−1/3 leaves the most digits.
        input_bound: Largest absolute value of the inputs.

    Returns:
        The layer; its error is of order B^−2 on all inputs within the bound.

    Raises:
        ArgumentError: If some output stands on no pixel, or weights are of half
            precision, in which offsets leave no digits for the image.
    """
    require(conv.weight.dtype in WIDE, conv, _WIDE)
    factors, basis = spatial_factors(conv)
    ranks, _, channels = basis.shape
    copies = ranks + ranks % 2  # an even number: signs alternate, the mean is zero
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64, device="cpu").repeat(
        copies // 2
    )
    constant = input_bound * anchor * math.sqrt(copies * channels)
    width = copies * channels + 2
    levels = _levels(ranks, input_bound)
    stem = nn.Linear(channels, width).double()
    block = MixerBlock(
        toothed_mlp(
            mixing_matrices(conv, size, factors),
            levels,
            bound=input_bound,
            tail=anchor**-2,
        ),
        switched_off(width),
    ).double()
    block.token_norm = norm = nn.LayerNorm(width).double()
    with torch.no_grad():
        eye = torch.eye(channels, dtype=torch.float64, device="cpu")
        stem.weight.zero_()
        stem.weight[:-2] = (signs[:, None, None] * eye).flatten(0, 1)
        stem.bias.zero_()
        stem.bias[-2:] = constant * torch.tensor(
            [1.0, -1.0], dtype=torch.float64, device="cpu"
        )
        # The deviation of the constants alone, undone; they themselves are dropped.
        norm.weight.fill_(math.sqrt(2 * constant**2 / width + norm.eps))
        norm.weight[-2:] = 0
        norm.bias.zero_()
        norm.bias[: ranks * channels] = levels.repeat_interleave(channels)
    read = torch.zeros(conv.out_channels, width, dtype=torch.float64, device="cpu")
    carried = signs[:ranks, None, None] * basis
    read[:, : ranks * channels] = carried.movedim(1, 0).flatten(1)
    layer = MixingLayer(block, head_of(conv, read), stem=stem)
    return OnTokens(layer.to(conv.weight), bare_grid(conv, size))


def construct_feed_forward_with_stem(
    conv: Convolution,
    size: tuple[int, ...],
    anchor: float,
    input_bound: float = INPUT_BOUND,
) -> nn.Module:
    """Return a stem and a normalised feed-forward-only block for a convolution.

    Args:
        conv: Any convolution whose outputs stand on pixels.
        size: Pixels per axis of the input.
        anchor: B, how large the constants are beside the inputs, in the norm that the
            normaliser takes. Rounding grows with it, and ε^−1/3 leaves the most digits.
        input_bound: Largest absolute value of the inputs.

    Returns:
        The layer; its error is of order B^−2 on all inputs within the bound.

    Raises:
        ArgumentError: If some output stands on no pixel, or weights are of half
            precision, in which offsets leave no digits for the image.
    """
    require(conv.weight.dtype in WIDE, conv, _WIDE)
    factors, basis = spatial_factors(conv)
    ranks, _, channels = basis.shape
    pixels = math.prod(size)
    # The mean that is taken off is within the bound, too.
    levels = _levels(ranks, 2 * input_bound)
    offsets = levels.repeat_interleave(channels)
    # Tokens of a channel: pixels x + L, class tokens L and −(pixels + 1) L / 2 ± B. All
    # channels have mean zero and the same sum of squares where the image is zero.
    known = (pixels + 1) * offsets.square() * (1 + (pixels + 1) / 2)
    varying = pixels * input_bound * (2 * float(offsets.abs().max()) + input_bound)
    squares = anchor**2 * varying + float(known.max())
    constants = ((squares - known) / 2).sqrt()
    balance = -(pixels + 1) * offsets / 2
    class_tokens = torch.stack([offsets, balance + constants, balance - constants])
    # What is mixed are differences to the class token that holds a zero.
    matrices = mixing_matrices(conv, size, factors)
    rows = torch.cat([matrices, -matrices.sum(2, keepdim=True)], 2)
    block = FeedForwardBlock(
        toothed_mlp(
            nn.functional.pad(rows, (0, 2, 0, 3)),
            levels,
            bound=2 * input_bound,
            tail=anchor**-2,
        ),
        switched_off(len(offsets)),
    ).double()
    block.token_norm = norm = nn.LayerNorm(pixels + 3).double()
    stem = nn.Linear(channels, len(offsets)).double()
    read = basis.movedim(1, 0).flatten(1)
    head = head_of(conv, read)
    with torch.no_grad():
        stem.weight.copy_(
            torch.eye(channels, dtype=torch.float64, device="cpu").repeat(ranks, 1)
        )
        stem.bias.copy_(offsets)
        norm.weight.fill_(math.sqrt(squares / (pixels + 3) + norm.eps))
        norm.weight[-2:] = 0
        norm.bias.zero_()
        head.bias.sub_(read @ offsets)  # the skip connection carries them
    layer = MixingLayer(block, head, stem=stem, class_tokens=class_tokens)
    return OnTokens(layer.to(conv.weight), bare_grid(conv, size))


def _levels(ranks: int, bound: float) -> Tensor:
    steps = torch.arange(ranks, dtype=torch.float64, device="cpu")
    return SPACING * bound * (steps - (ranks - 1) / 2)
