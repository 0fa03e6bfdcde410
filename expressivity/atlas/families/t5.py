"""T5: taps within reach of the small buckets each have one, and a head.

With 32 buckets and a largest distance of 128 the displacements |δ| ≤ 7 have a bucket
of their own. Beyond, tokens that share a bucket can be exchanged unseen, by content
too. Statement ``shared_bucket`` in ``proofs/``.
"""

import torch
from torch import nn

from expressivity.atlas.canvas import OnTokens, padded_grid, require, token_grid
from expressivity.atlas.family import Claim, Family, Size, sample
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.t5 import BUCKETS, MAX_DISTANCE, BucketBias, bucket
from expressivity.atlas.taps import content_layer, one_head_a_tap
from expressivity.atlas.witness import Witness
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return attention in which each head gives α to the bucket of its tap."""
    require(isinstance(conv, nn.Conv1d), conv, "one axis")
    grid = token_grid(conv, size)
    centers = ConvGeometry.from_conv(conv).centers()[:, 0]
    alone = BUCKETS // 4
    reach = int(centers.abs().max())
    require(reach < alone, conv, f"a reach of {alone - 1} tokens, not {reach}")
    bias = BucketBias(grid.canvas_size[0], len(centers)).double()
    with torch.no_grad():
        bias.table.weight.zero_()
        for head, center in enumerate(centers.tolist()):
            bias.table.weight[bucket(center), head] = alpha
    return OnTokens(one_head_a_tap(conv, bias), grid)


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange two tokens of one bucket; the control has one for every displacement."""
    require(isinstance(conv, nn.Conv1d), conv, "one axis")
    grid = padded_grid(conv, size)
    (tokens,), heads = grid.canvas_size, conv.kernel_size[0]
    plenty = 4 * tokens  # of buckets: each side has one for every distance
    last = ConvGeometry.from_conv(conv).output_size(size)[0] - 1

    def make(restored: bool) -> nn.Module:
        bias = BucketBias(
            tokens,
            heads,
            buckets=plenty if restored else BUCKETS,
            max_distance=2 * plenty if restored else MAX_DISTANCE,
        )
        return content_layer(conv, grid, bias, scale=1.0)

    return exchanged(
        conv,
        size,
        kind="bucket",
        symmetry="Exchanging two tokens whose displacements share a bucket permutes "
        "keys, values and biases alike.",
        make=make,
        alike=lambda query, first, second: (
            bucket(first[0] - query[0]) == bucket(second[0] - query[0])
        ),
        queries=[(0,), (last,)],  # the ends of the sequence see farthest
    )


FAMILIES = (
    Family(
        name="t5",
        title="T5 position buckets",
        claim=Claim(
            "Computes every convolution over one axis that reaches at most seven "
            "tokens; none that weighs two tokens of one bucket differently, and "
            "distances 8 to 11 share one.",
            (
                "one axis",
                "padding tokens",
                "a reach of seven: 32 buckets, largest distance 128, bidirectional",
                "one head a tap",
                "head dimension no less than the rank of a tap",
            ),
            "Raffel et al. (2020)",
        ),
        heads="K",
        constructor=construct,
        refuter=refute,
        takes=lambda: sample(nn.Conv1d, 2, 3, 15, padding=7, size=(12,)),
        fails=lambda: sample(nn.Conv1d, 2, 3, 3, padding=8, dilation=8, size=(12,)),
    ),
)
