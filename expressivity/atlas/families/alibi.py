"""ALiBi: a bias that is even in the displacement leaves even kernels only.

A query cannot tell the token t after it from the one t before it, so W_Δ = W_−Δ.
Content scores, biases of projections and learned slopes do not help. Statement
``mirror_symmetry`` in ``proofs/``.

Even kernels do remain: far from the ends, a head with ε = e^−m computes

    x_q + ε (x_{q+1} + x_{q−1} − 2x_q) + O(ε²),

a head with an infinite slope subtracts x_q, and further heads reach further.
"""

import math
from typing import Literal

from torch import nn

from expressivity.atlas.canvas import padded_grid, require
from expressivity.atlas.family import Claim, Family, Size, sample
from expressivity.atlas.inputs import exchanged
from expressivity.atlas.layers.alibi import LinearBias
from expressivity.atlas.taps import content_layer
from expressivity.atlas.witness import Witness
from expressivity.geometry.convolution import Convolution


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange the tokens t after and t before a query; the control has two slopes."""
    require(isinstance(conv, nn.Conv1d), conv, "one axis")
    grid = padded_grid(conv, size)
    heads = math.prod(conv.kernel_size)

    def make(restored: bool) -> nn.Module:
        sides: Literal[1, 2] = 2 if restored else 1
        return content_layer(
            conv, grid, LinearBias(grid.canvas_size[0], heads, sides=sides)
        )

    return exchanged(
        conv,
        size,
        kind="mirror",
        symmetry="Exchanging the tokens t after and t before the query permutes keys, "
        "values and biases alike: the bias is even in the displacement.",
        make=make,
        alike=lambda query, first, second: first[0] + second[0] == 2 * query[0],
    )


FAMILIES = (
    Family(
        name="alibi",
        title="ALiBi, symmetric",
        claim=Claim(
            "Computes no convolution whose kernel is not even, W_Δ = W_−Δ: content "
            "scores, biases and learned slopes do not help.",
            ("one axis", "the same slope on both sides"),
            "Press, Smith, Lewis (2022)",
        ),
        refuter=refute,
        fails=lambda: sample(nn.Conv1d, 2, 3, 3, padding=1, size=(5,)),
    ),
)
