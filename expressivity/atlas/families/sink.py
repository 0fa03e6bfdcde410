"""A sink token: zero padding without padding tokens.

Relative attention on an image without padding tokens repeats border pixels, as its rows
sum to one. A sink makes up for that if its score is

- −α/2, halfway between the target's 0 and the next best −α: the sink takes a share of
  e^(−α/2) where there is a target, and leaves as much where there is none; or
- 0, with values twice as large: it takes as much as the target, and where there is none
  leaves 2e^−α.
"""

import torch
from torch import nn

from expressivity.atlas.canvas import bare_grid, require
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.sink import SinkAttention
from expressivity.atlas.strength import locality
from expressivity.atlas.taps import tap_factors
from expressivity.geometry.convolution import Convolution


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return a layer whose sinks score halfway between targets and their neighbours."""
    return _filled(conv, size, alpha, score=-alpha / 2, gain=1.0)


def construct_doubled(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return a layer whose sinks score as targets do; its values are doubled."""
    return _filled(conv, size, alpha, score=0.0, gain=2.0)


def _filled(
    conv: Convolution, size: Size, alpha: float, *, score: float, gain: float
) -> nn.Module:
    """Return a layer with one strength and one score of the sink for all heads."""
    require(conv.padding_mode == "zeros", conv, "zero padding")
    value, output = tap_factors(conv)
    layer = SinkAttention(bare_grid(conv, size), gain * value, output)
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.sink.fill_(score)
        if conv.bias is not None:
            layer.bias.copy_(conv.bias)
    return layer.to(conv.weight)


_CONDITIONS = (
    "outputs on pixels",
    "head dimension no less than the rank of a tap",
)
_SOURCE = "Xiao et al. (2024); Cordonnier, Loukas, Jaggi (2020)"
FAMILIES = (
    Family(
        name="sink",
        title="sink token",
        claim=Claim(
            "Computes every zero-padded convolution without padding tokens, with an "
            "error of order e^(−α/2).",
            ("a score of the sink that is learned", *_CONDITIONS),
            _SOURCE,
        ),
        strength=locality(56.0),
        heads="K²",
        constructor=construct,
    ),
    Family(
        name="sink-zero",
        title="sink token of score zero",
        claim=Claim(
            "The same where the sink's score is fixed at zero, with values twice as "
            "large and an error of order e^−α.",
            _CONDITIONS,
            _SOURCE,
        ),
        strength=locality(32.0),
        heads="K²",
        constructor=construct_doubled,
    ),
)
