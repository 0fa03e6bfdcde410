"""MLP-Mixer and the feed-forward-only network: a perceptron in place of attention.

Tolstikhin et al. (2021) and Melas-Kyriazi (2021); the blocks are in
:mod:`expressivity.atlas.token_mlps`, their weights in
:mod:`expressivity.atlas.token_mixing`. The perceptron over the tokens is shared by all
channels, and a normaliser comes before it. One after the other:

- **Without stem, without normaliser** the linearised block computes k_Δ M exactly: the
  convolutions whose taps are all multiples of one matrix M (ρ = 1).
- **Without stem, normalised** it does not. Mixer: adding a number to all channels of
  one token is invisible to all others. Feed-forward-only: adding a number to all
  channels of all tokens moves all outputs alike, whereas zero padding does not; here
  the paper's class token, which does not move along, breaks the symmetry.
- **With a stem** every convolution is computed on bounded inputs, normalised, as
  :mod:`expressivity.atlas.mixer_stem` says.

On all of Rⁿ no setting of a normalised block does, with or without stem: what the
token mixing adds is bounded. The channel mixing is switched off (W₄ = 0): its skip
connection carries the tokens. That of the token mixing is cancelled by taking the
identity off its matrix.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family, Sample, default_sample
from expressivity.atlas.mixer_stem import (
    INPUT_BOUND,
    construct_feed_forward_with_stem,
    construct_mixer_with_stem,
)
from expressivity.atlas.pairs import at, middle, summed_most
from expressivity.atlas.strength import ANCHOR
from expressivity.atlas.token_mixing import (
    head_of,
    linear_mlp,
    mixing_matrices,
    spatial_factors,
    switched_off,
)
from expressivity.atlas.token_mlps import (
    FeedForwardBlock,
    MixerBlock,
    MixingLayer,
    Mlp,
)
from expressivity.atlas.tokens import OnTokens, bare_grid, require
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry.convolution import Convolution

_SHIFT, _GRAIN = 1.0, 2.0**-20
# Of random layers: small ones are easier to optimise.
_HIDDEN, _SCALE = 16, 0.2


def construct_mixer(conv: Convolution, size: tuple[int, ...]) -> nn.Module:
    """Return a Mixer block without normaliser that computes a convolution exactly.

    Args:
        conv: A convolution whose taps are multiples of one matrix.
        size: Pixels per axis of the input.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the taps span more than one dimension, or some output stands
            on no pixel.
    """
    return _without_stem(MixerBlock, conv, size)


def construct_feed_forward(conv: Convolution, size: tuple[int, ...]) -> nn.Module:
    """Return a feed-forward-only block without normaliser that computes a convolution.

    Args:
        conv: A convolution whose taps are multiples of one matrix.
        size: Pixels per axis of the input.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the taps span more than one dimension, or some output stands
            on no pixel.
    """
    return _without_stem(FeedForwardBlock, conv, size)


def refute_mixer(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Add a number to all channels of a pixel that a convolution sees.

    Args:
        conv: A convolution that sees the sum of the channels of some other pixel.
        size: Pixels per axis of the input.

    Returns:
        The witness.

    Raises:
        ArgumentError: If the weights of every other pixel sum to zero, or some output
            stands on no pixel.
    """
    query = middle(conv, size)
    inputs = torch.cat([_image(conv, size)] * 2)
    at(inputs[1], summed_most(conv, size, query)).add_(_SHIFT)
    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind="normaliser",
        symmetry="The normaliser takes off what all channels of a token share, before "
        "its pixel is mixed into others.",
        layer=_random(MixerBlock, conv, size, normalised=True),
        control=_random(MixerBlock, conv, size, normalised=False),
        needs="a convolution that sees the sum of another pixel's channels",
    )


def refute_feed_forward(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Add a number to all channels of all pixels, and look in a corner and the middle.

    Args:
        conv: A convolution with zero padding.
        size: Pixels per axis of the input.

    Returns:
        The witness: two inputs at two outputs. By how much the outputs move is the
        same at both, so some output errs by a quarter of the difference.

    Raises:
        ArgumentError: If a constant image moves both outputs alike, as without zero
            padding; if some output stands on no pixel.
    """
    corner, center = (0,) * len(size), middle(conv, size)
    image = _image(conv, size)
    inputs = torch.cat([image, image + _SHIFT] * 2)
    query = (corner, corner, center, center)
    return Witness.of(
        conv,
        inputs,
        query,
        kind="normaliser",
        symmetry="Both normalisers take off what moves the image as a whole; the skip "
        "connections carry it to all outputs alike.",
        layer=_random(FeedForwardBlock, conv, size, normalised=True),
        control=_random(FeedForwardBlock, conv, size, normalised=True, class_tokens=1),
        relation=_moved_apart,
        share=1 / 4,
        needs="a convolution that moves a corner and the middle differently when the "
        "image moves as a whole, as zero padding does",
    )


def _moved_apart(outputs: Tensor) -> Tensor:
    """Return by how much more the second pair of outputs moves than the first."""
    return (outputs[3] - outputs[2]) - (outputs[1] - outputs[0])


def _without_stem(
    kind: type[MixerBlock | FeedForwardBlock], conv: Convolution, size: tuple[int, ...]
) -> nn.Module:
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


def _image(conv: Convolution, size: tuple[int, ...]) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(0)
    shape = (1, conv.in_channels, *size)
    image = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    # So few digits that adding _SHIFT is exact: the symmetry holds for what is stored.
    return (image / _GRAIN).round() * _GRAIN


def _random(
    kind: type[MixerBlock | FeedForwardBlock],
    conv: Convolution,
    size: tuple[int, ...],
    *,
    normalised: bool,
    class_tokens: int = 0,
) -> Callable[[int], nn.Module]:
    """Return what makes random layers without stem."""
    grid, pixels = bare_grid(conv, size), math.prod(size)
    channels = conv.in_channels

    def layer(seed: int) -> nn.Module:
        tokens = pixels + class_tokens
        token_mixing, channel_mixing = Mlp(tokens, _HIDDEN), Mlp(channels, _HIDDEN)
        block = kind(token_mixing, channel_mixing, normalised=normalised)
        learned = (
            torch.zeros(class_tokens, channels, device="cpu") if class_tokens else None
        )
        head = nn.Linear(channels, conv.out_channels)
        mixing = MixingLayer(block, head, class_tokens=learned)
        return OnTokens(randomised(mixing, seed, _SCALE), grid)

    return layer


_NO_STEM = (
    "no stem: as many channels as the input",
    "no normaliser",
    "taps that are all multiples of one matrix",
)


def _takes() -> Sample:
    """Return a convolution whose taps are multiples of one matrix."""
    sample = default_sample()
    weight = sample.conv.weight
    with torch.no_grad():
        ratios = weight[:1, :1] / weight[:1, :1, :1, :1]
        weight.copy_(weight[:, :, :1, :1] * ratios)
    return sample


FAMILIES = (
    Family(
        name="mixer",
        title="MLP-Mixer block",
        verdict="conditional",
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
        verdict="yes",
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
        verdict="conditional",
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
        verdict="yes",
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
