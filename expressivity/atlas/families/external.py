"""External attention: pixels meet only in sums over all of them.

For each unit of the memory there is one softmax over all pixels, and in that sum no
pixel has a place. Statement ``swap_symmetry`` in ``proofs/``.
"""

import math

from torch import nn

from expressivity.atlas.canvas import OnTokens, padded_grid
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.external import ExternalAttention
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange two pixels beside the query's; the layer has padding tokens."""
    grid = padded_grid(conv, size)

    def make(restored: bool) -> nn.Module:
        layer = ExternalAttention(
            conv.in_channels,
            conv.out_channels,
            heads=math.prod(conv.kernel_size),
            head_dim=max(conv.in_channels, 4),
            tokens=math.prod(grid.canvas_size) if restored else None,
        )
        return OnTokens(layer, grid)

    return exchanged(
        conv,
        size,
        kind="swap",
        symmetry="Exchanging two tokens that are not the query leaves every sum over "
        "pixels, and the query meets the others in those sums only.",
        make=make,
    )


FAMILIES = (
    Family(
        name="external",
        title="external attention",
        claim=Claim(
            "External attention computes no convolution that weighs two pixels beside "
            "the query differently: pixels meet only in sums over all of them.",
            ("no encoding of positions",),
            "Guo, Liu, Mu, Hu (2021)",
        ),
        refuter=refute,
    ),
)
