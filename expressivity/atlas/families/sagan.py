"""SAGAN's block: attention by content, in which pooled pixels lose their order.

The maximum over a block of pixels does not depend on their order, and nothing else in
the layer depends on where a pixel is. Statement ``swap_symmetry`` in ``proofs/``.
"""

import math

from torch import nn

from expressivity.atlas.canvas import OnCanvas, padded_grid, require_plane
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import Place, exchanged
from expressivity.atlas.layers.sagan import BLOCK, SelfAttentionBlock
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange two pixels of one 2×2 block of the canvas, the query's not being one."""
    require_plane(conv)
    grid = padded_grid(conv, size)

    def block(place: Place) -> Place:
        return tuple(
            (p + before) // BLOCK
            for p, (before, _) in zip(place, grid.geometry.padding, strict=True)
        )

    def make(restored: bool) -> nn.Module:
        layer = SelfAttentionBlock(
            conv.in_channels,
            conv.out_channels,
            pooled=not restored,
            pixels=math.prod(grid.canvas_size) if restored else None,
        )
        return OnCanvas(layer, grid)

    return exchanged(
        conv,
        size,
        kind="swap",
        symmetry="Exchanging two pixels of one block that are not the query leaves "
        "the maximum over the block, and so all keys and values.",
        make=make,
        scale=0.3,
        alike=lambda _, first, second: block(first) == block(second),
    )


FAMILIES = (
    Family(
        name="sagan",
        title="SAGAN block",
        claim=Claim(
            "The block computes no convolution that weighs two pixels of one 2×2 "
            "block differently, or two whole blocks, beside the query; the gated sum "
            "with its input changes nothing about it.",
            ("no encoding of positions", "keys and values pooled or not"),
            "Zhang, Goodfellow, Metaxas, Odena (2019)",
        ),
        refuter=refute,
    ),
)
