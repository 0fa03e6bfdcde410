"""Attention by content alone: no layer of it knows where a token is.

Without an encoding of positions, exchanging two tokens beside the query's changes
nothing that the query sees. So a convolution that weighs two other pixels differently
is out of reach. Statement ``swap_symmetry`` in ``proofs/``.
"""

import math

from torch import nn

from expressivity.atlas.canvas import padded_grid
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.biased import FreeBias
from expressivity.atlas.taps import content_layer
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange two pixels; uniform attention computes kernels that weigh all alike."""
    grid = padded_grid(conv, size)
    heads, tokens = math.prod(conv.kernel_size), math.prod(grid.canvas_size)

    def make(restored: bool) -> nn.Module:
        return content_layer(conv, grid, FreeBias(heads, tokens) if restored else None)

    return exchanged(
        conv,
        size,
        kind="swap",
        symmetry="Exchanging two tokens that are not the query permutes keys and "
        "values alike: the softmax sums over the same pairs.",
        make=make,
        scale=0.3,
    )


FAMILIES = (
    Family(
        name="content",
        title="content only",
        claim=Claim(
            "Attention without any encoding of positions computes no convolution that "
            "weighs two pixels beside the query differently.",
            ("no encoding of positions",),
            "Vaswani et al. (2017), without encodings",
        ),
        refuter=refute,
    ),
)
