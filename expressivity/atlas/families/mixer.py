"""MLP-Mixer and the feed-forward-only network: a perceptron in place of attention.

Tolstikhin et al. (2021) and Melas-Kyriazi (2021). The perceptron over the tokens is
shared by all channels, and a normaliser comes before it. In turn:

- **Without stem, without normaliser** the linearised block computes k_Δ M exactly: the
  convolutions whose taps are all multiples of one matrix M (ρ = 1). Statement
  ``gelu_identity`` in ``proofs/``.
- **Without stem, normalised** it does not. Mixer: adding a number to all channels of
  one token is invisible to all others. Feed-forward-only: adding a number to all
  channels of all tokens moves all outputs alike, whereas zero padding does not; here
  the paper's class token, which does not move along, breaks the symmetry. Statement
  ``normaliser``.
- **With a stem**, normalised, every convolution is computed on bounded inputs. Each of
  the ρ spatial kernels has channels of its own, offsets tell the perceptron over the
  tokens which, and the head weighs them with the matrices B_r. Beside constants that
  are B times the inputs the normaliser hardly varies: an error of order B^−2. Mixer:
  copies of the input with alternating signs, whose mean is zero, and two channels that
  hold a constant and its opposite; offsets are biases of the normaliser.
  Feed-forward-only: copies of the input with offsets, and three class tokens. One holds
  a zero and so gives away the mean that the normaliser subtracts; two hold the
  constants.

On all of Rⁿ no setting of a normalised block does, with or without stem: what the
token mixing adds is bounded. The channel mixing is switched off (W₄ = 0): its skip
connection carries the tokens. That of the token mixing is cancelled by subtracting the
identity from its matrix.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.canvas import OnTokens, bare_grid, require
from expressivity.atlas.family import Claim, Family, Sample, Size, default_sample
from expressivity.atlas.inputs import at, middle, summed_most
from expressivity.atlas.layers.mixer import (
    FeedForwardBlock,
    MixerBlock,
    MixingLayer,
    Mlp,
)
from expressivity.atlas.strength import ANCHOR, WIDE
from expressivity.atlas.taps import zeroed
from expressivity.atlas.token_mixing import (
    SPACING,
    head_of,
    linear_mlp,
    mixing_matrices,
    spatial_factors,
    switched_off,
    toothed_mlp,
)
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid

INPUT_BOUND = 4.0
_SHIFT, _GRAIN = 1.0, 2.0**-20
# Of random layers: small ones are easier to optimise.
_HIDDEN, _SCALE = 16, 0.2


def construct_mixer(conv: Convolution, size: Size) -> nn.Module:
    """Return a Mixer block without normaliser that computes a convolution exactly."""
    return _without_stem(MixerBlock, conv, size)


def construct_feed_forward(conv: Convolution, size: Size) -> nn.Module:
    """Return the same for a feed-forward-only block."""
    return _without_stem(FeedForwardBlock, conv, size)


def refute_mixer(conv: Convolution, size: Size) -> Witness:
    """Add a number to all channels of the pixel that an output adds up most."""
    query = middle(conv, size)
    inputs = torch.cat([_image(conv, size)] * 2)
    at(inputs[1], summed_most(conv, size, query)).add_(_SHIFT)
    grid = bare_grid(conv, size)
    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind="normaliser",
        symmetry="The normaliser takes off what all channels of a token share, before "
        "its pixel is mixed into others.",
        make=lambda restored: _block(MixerBlock, conv, grid, normalised=not restored),
        scale=_SCALE,
        needs="a convolution that sees the sum of another pixel's channels",
    )


def refute_feed_forward(conv: Convolution, size: Size) -> Witness:
    """Add a number to all channels of all pixels; compare a corner and the middle.

    Args:
        conv: A convolution with zero padding.
        size: Pixels per axis of the input.

    Returns:
        The witness: two inputs at two outputs. By how much the outputs move is the
        same at both, so some output errs by a quarter of the difference. Its control
        has a class token.
    """
    corner, center = (0,) * len(size), middle(conv, size)
    image, grid = _image(conv, size), bare_grid(conv, size)
    return Witness.of(
        conv,
        torch.cat([image, image + _SHIFT] * 2),
        (corner, corner, center, center),
        kind="normaliser",
        symmetry="Both normalisers take off what moves the image as a whole; the skip "
        "connections carry it to all outputs alike.",
        make=lambda restored: _block(
            FeedForwardBlock, conv, grid, class_tokens=int(restored)
        ),
        scale=_SCALE,
        relation=_moved_apart,
        share=1 / 4,
        needs="a convolution that moves a corner and the middle differently when the "
        "image moves as a whole, as zero padding does",
    )


def _moved_apart(outputs: Tensor) -> Tensor:
    """Return by how much more the second pair of outputs moves than the first."""
    return (outputs[3] - outputs[2]) - (outputs[1] - outputs[0])


def _without_stem(kind: type[MixerBlock], conv: Convolution, size: Size) -> nn.Module:
    """Return a linearised block that computes one spatial kernel, and M as its head."""
    factors, basis = spatial_factors(conv)
    require(
        len(basis) == 1,
        conv,
        "taps that are all multiples of one matrix (ρ = 1), unless a stem widens the "
        f"channels (here ρ = {len(basis)})",
    )
    mixing = linear_mlp(mixing_matrices(conv, size, factors)[0])
    block = kind(mixing, switched_off(conv.in_channels), normalised=False)
    layer = MixingLayer(block, head_of(conv, basis[0]))
    return OnTokens(layer.to(conv.weight), bare_grid(conv, size))


def _image(conv: Convolution, size: Size) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(0)
    shape = (1, conv.in_channels, *size)
    image = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    # So few digits that adding _SHIFT is exact: the symmetry holds for what is stored.
    return (image / _GRAIN).round() * _GRAIN


def _block(
    kind: type[MixerBlock],
    conv: Convolution,
    grid: Grid,
    *,
    normalised: bool = True,
    class_tokens: int = 0,
) -> nn.Module:
    """Return a block without stem."""
    tokens, channels = math.prod(grid.canvas_size) + class_tokens, conv.in_channels
    block = kind(Mlp(tokens, _HIDDEN), Mlp(channels, _HIDDEN), normalised=normalised)
    learned = (
        torch.zeros(class_tokens, channels, device="cpu") if class_tokens else None
    )
    head = nn.Linear(channels, conv.out_channels)
    return OnTokens(MixingLayer(block, head, class_tokens=learned), grid)


def construct_mixer_with_stem(
    conv: Convolution, size: Size, anchor: float, input_bound: float = INPUT_BOUND
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
    require(conv.weight.dtype in WIDE, conv, "weights in float32 or float64")
    factors, basis = spatial_factors(conv)
    ranks, _, channels = basis.shape
    copies = ranks + ranks % 2  # an even number: signs alternate, the mean is zero
    opposite = torch.tensor([1.0, -1.0], device="cpu").double()
    signs = opposite.repeat(copies // 2)
    constant = input_bound * anchor * math.sqrt(copies * channels)
    width = copies * channels + 2
    levels = _levels(ranks, input_bound)
    matrices = mixing_matrices(conv, size, factors)
    mixing = toothed_mlp(matrices, levels, bound=input_bound, tail=anchor**-2)
    block = MixerBlock(mixing, switched_off(width)).double()
    stem = zeroed(nn.Linear(channels, width))
    block.token_norm = norm = zeroed(nn.LayerNorm(width))
    with torch.no_grad():
        eye = torch.eye(channels, dtype=torch.float64, device="cpu")
        stem.weight[:-2] = (signs[:, None, None] * eye).flatten(0, 1)
        stem.bias[-2:] = constant * opposite
        # Undoes the deviation of the constants alone, and drops the constants.
        norm.weight[:-2] = math.sqrt(2 * constant**2 / width + norm.eps)
        norm.bias[: ranks * channels] = levels.repeat_interleave(channels)
    carried = signs[:ranks, None, None] * basis
    read = carried.movedim(1, 0).flatten(1)
    head = head_of(conv, functional.pad(read, (0, width - read.shape[1])))
    layer = MixingLayer(block, head, stem=stem)
    return OnTokens(layer.to(conv.weight), bare_grid(conv, size))


def construct_feed_forward_with_stem(
    conv: Convolution, size: Size, anchor: float, input_bound: float = INPUT_BOUND
) -> nn.Module:
    """Return the same for a feed-forward-only block, with three class tokens."""
    require(conv.weight.dtype in WIDE, conv, "weights in float32 or float64")
    factors, basis = spatial_factors(conv)
    ranks, _, channels = basis.shape
    pixels = math.prod(size)
    # The mean that the normaliser subtracts is within the bound, too.
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
    # The block mixes differences to the class token that holds a zero.
    matrices = mixing_matrices(conv, size, factors)
    rows = torch.cat([matrices, -matrices.sum(2, keepdim=True)], 2)
    mixing = toothed_mlp(
        functional.pad(rows, (0, 2, 0, 3)),
        levels,
        bound=2 * input_bound,
        tail=anchor**-2,
    )
    block = FeedForwardBlock(mixing, switched_off(len(offsets))).double()
    block.token_norm = norm = zeroed(nn.LayerNorm(pixels + 3))
    stem = nn.Linear(channels, len(offsets)).double()
    read = basis.movedim(1, 0).flatten(1)
    head = head_of(conv, read)
    with torch.no_grad():
        stem.weight.copy_(
            torch.eye(channels, dtype=torch.float64, device="cpu").repeat(ranks, 1)
        )
        stem.bias.copy_(offsets)
        norm.weight[:-2] = math.sqrt(squares / (pixels + 3) + norm.eps)
        head.bias.sub_(read @ offsets)  # the skip connection carries them
    layer = MixingLayer(block, head, stem=stem, class_tokens=class_tokens)
    return OnTokens(layer.to(conv.weight), bare_grid(conv, size))


def _levels(ranks: int, bound: float) -> Tensor:
    steps = torch.arange(ranks, dtype=torch.float64, device="cpu")
    return SPACING * bound * (steps - (ranks - 1) / 2)


def _takes() -> Sample:
    """Return a convolution whose taps are multiples of one matrix."""
    sample = default_sample()
    weight = sample.conv.weight
    with torch.no_grad():
        ratios = weight[:1, :1] / weight[:1, :1, :1, :1]
        weight.copy_(weight[:, :, :1, :1] * ratios)
    return sample


_NO_STEM = (
    "no stem: as many channels as the input",
    "no normaliser",
    "taps that are all multiples of one matrix",
)
FAMILIES = (
    Family(
        name="mixer",
        title="MLP-Mixer block",
        claim=Claim(
            "Linearised token mixing computes a spatial kernel times a channel "
            "matrix, exactly. With its normaliser a block of the input's own channels "
            "computes no convolution that sees the sum of another pixel's channels.",
            _NO_STEM,
            "Tolstikhin et al. (2021)",
        ),
        strength=None,
        constructor=construct_mixer,
        takes=_takes,
        refuter=refute_mixer,
    ),
    Family(
        name="mixer-stem",
        title="MLP-Mixer with a stem",
        claim=Claim(
            "Computes every convolution on bounded inputs, with an error of order "
            "B^−2 where constants are B times the inputs; on all of Rⁿ none.",
            (
                f"inputs within a bound, by default {INPUT_BOUND:g}",
                "float32 or wider",
                "ρ C_in + 2 channels, with ρ rounded up to an even number",
                "four hidden units a token for each of ρ spatial kernels",
            ),
            "Tolstikhin et al. (2021)",
        ),
        strength=ANCHOR,
        constructor=construct_mixer_with_stem,
    ),
    Family(
        name="feed-forward-only",
        title="feed-forward-only block",
        claim=Claim(
            "Linearised token mixing computes a spatial kernel times a channel "
            "matrix, exactly. With its normalisers and without a class token a block "
            "of the input's own channels computes no zero padding.",
            _NO_STEM,
            "Melas-Kyriazi (2021)",
        ),
        strength=None,
        constructor=construct_feed_forward,
        takes=_takes,
        refuter=refute_feed_forward,
    ),
    Family(
        name="feed-forward-only-stem",
        title="feed-forward-only with a stem",
        claim=Claim(
            "Computes every convolution on bounded inputs, with an error of order "
            "B^−2 where constants are B times the inputs; on all of Rⁿ none.",
            (
                f"inputs within a bound, by default {INPUT_BOUND:g}",
                "float32 or wider",
                "ρ C_in channels and three class tokens",
                "four hidden units a token for each of ρ spatial kernels",
            ),
            "Melas-Kyriazi (2021)",
        ),
        strength=ANCHOR,
        constructor=construct_feed_forward_with_stem,
    ),
)
