"""Linear biases: attention that fades with the distance, on both sides alike.

Press, Smith, Lewis (2022), ALiBi, in its symmetric form for encoders: the score of a
head gets −m_h |δ|, δ = k − q. It is even in δ, so a query cannot tell the token t after
it from the one t before it: only even kernels, W_Δ = W_−Δ, remain, content scores,
biases and learned slopes notwithstanding.

Even kernels do remain: far from the ends, a head with ε = e^−m is

    x_q + ε (x_{q+1} + x_{q−1} − 2x_q) + O(ε²),

and one with an infinite slope takes x_q away; further heads reach further.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.biased import BiasedAttention
from expressivity.atlas.family import Claim, Family, Sample
from expressivity.atlas.pairs import TOLD_APART, Place, middle, pixel_of, swapped
from expressivity.atlas.tokens import OnTokens, displacements, padded_grid, require
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry.convolution import Convolution


class LinearBias(nn.Module):
    """−m_h |δ| for all heads and pairs of tokens.

    Attributes:
        slopes: m of each head, (heads, 1); or (heads, 2), for keys after the query
            and before it, which is not even any more.
    """

    displacement: Tensor

    def __init__(self, tokens: int, heads: int, *, sides: Literal[1, 2] = 1) -> None:
        """Create slopes m_h = 2^(−8h / heads), as the paper has them.

        Args:
            tokens: Length of the sequence.
            heads: Number of heads.
            sides: Slopes of a head: one, or one a side.
        """
        super().__init__()
        powers = -8 * torch.arange(1, heads + 1) / heads
        self.slopes = nn.Parameter(torch.exp2(powers)[:, None].repeat(1, sides))
        shifts = displacements((tokens,))[..., 0]
        self.register_buffer("displacement", shifts, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias.

        Returns:
            One row a query.
        """
        after, before = self.slopes[:, 0], self.slopes[:, -1]
        return -(
            after[:, None, None] * self.displacement.clamp(min=0)
            + before[:, None, None] * (-self.displacement).clamp(min=0)
        )


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange the tokens t after and t before a query.

    Args:
        conv: A convolution over one axis with zero padding.
        size: Length of the input.

    Returns:
        The witness; its control has one slope a side.

    Raises:
        ArgumentError: If the convolution is over several axes, or its kernel is even
            as far as the input shows.
    """
    require(isinstance(conv, nn.Conv1d), conv, "one axis")
    padded_grid(conv, size)
    query = middle(conv, size)
    return Witness.of(
        conv,
        swapped(conv, size, query, _mirrored(conv, size, query)),
        (query, query),
        kind="mirror",
        symmetry="Exchanging the tokens t after and t before the query permutes keys, "
        "values and biases alike: the bias is even in the displacement.",
        layer=lambda seed: _random(conv, size, seed, sides=1),
        control=lambda seed: _random(conv, size, seed, sides=2),
        needs=TOLD_APART,
    )


def _mirrored(
    conv: Convolution, size: tuple[int, ...], query: Place
) -> list[tuple[Place, Place]]:
    """Return all pairs of pixels as far after a query as before it."""
    (here,) = pixel_of(conv, query)
    reach = min(here, size[0] - 1 - here)
    return [((here + t,), (here - t,)) for t in range(1, reach + 1)]


def _random(
    conv: Convolution, size: tuple[int, ...], seed: int, *, sides: Literal[1, 2]
) -> nn.Module:
    """Return a random layer on the padded canvas, slopes included."""
    grid = padded_grid(conv, size)
    heads = math.prod(conv.kernel_size)
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        position_bias=LinearBias(grid.canvas_size[0], heads, sides=sides),
        heads=heads,
        head_dim=max(conv.in_channels, 4),
    )
    return OnTokens(randomised(layer, seed), grid)


def _fails() -> Sample:
    """Return a convolution over one axis."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv1d(2, 3, 3, padding=1, dtype=torch.float64, device="cpu")
        return Sample(conv, (5,))


FAMILIES = (
    Family(
        name="linear-bias",
        title="ALiBi, symmetric",
        verdict="no",
        claim=Claim(
            "Computes no convolution whose kernel is not even, W_Δ = W_−Δ: content "
            "scores, biases and learned slopes do not help.",
            ("one axis", "the same slope on both sides"),
            "Press, Smith, Lewis (2022)",
        ),
        refuter=refute,
        fails=_fails,
    ),
)
