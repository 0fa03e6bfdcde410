"""Relative position buckets: far displacements share their bias.

Raffel et al. (2020), T5, bidirectional: the score q · k, unscaled, gets a bias of the
bucket that δ = k − q falls in. Half of the buckets are for keys after the query. Of the
b of one side, the first b / 2 hold one distance each; the j-th of the others begins
where the distance passes b/2 · (m / (b/2))^(j/(b/2)), m the largest distance, and the
last one never ends. With 32 buckets and m = 128 the distances 0, …, 7 are alone, then
come 8–11, 12–15, 16–22, ….

So taps of |δ| ≤ 7 each have a bucket, and a head; beyond, pixels that share a bucket
can be exchanged unseen, by content too.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.biased import BiasedAttention, one_head_a_tap
from expressivity.atlas.family import Claim, Family, Sample
from expressivity.atlas.pairs import TOLD_APART, Place, pixel_of, swapped
from expressivity.atlas.tokens import (
    OnTokens,
    displacements,
    padded_grid,
    require,
    token_grid,
)
from expressivity.atlas.witness import Witness, randomised
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

BUCKETS = 32
MAX_DISTANCE = 128


def bucket(
    displacement: int, *, buckets: int = BUCKETS, max_distance: int = MAX_DISTANCE
) -> int:
    """Return the bucket of a displacement.

    Args:
        displacement: δ = k − q.
        buckets: Number of buckets, a multiple of four.
        max_distance: The distance m from which on all share the last bucket.

    Returns:
        A number below ``buckets``; from the middle on for keys after the query.

    Example:
        >>> [bucket(-d) for d in (0, 7, 8, 11, 12, 127, 128, 1000)]
        [0, 7, 8, 8, 9, 15, 15, 15]
        >>> bucket(7), bucket(8)
        (23, 24)
    """
    side, distance = buckets // 2, abs(displacement)
    alone = side // 2
    steps = side - alone
    # distance ≥ alone (m / alone)^(j / steps), in whole numbers: floats may miss by one
    passed = [
        j
        for j in range(1, steps)
        if distance**steps * alone**j >= alone**steps * max_distance**j
    ]
    number = min(distance, alone) + len(passed)
    return number + (side if displacement > 0 else 0)


class BucketBias(nn.Module):
    """The bias of all heads and pairs of tokens.

    Attributes:
        table: One number a bucket and head, (buckets, heads).
        buckets: The bucket of every pair, (tokens, tokens).
    """

    buckets: Tensor

    def __init__(
        self,
        tokens: int,
        heads: int,
        *,
        buckets: int = BUCKETS,
        max_distance: int = MAX_DISTANCE,
    ) -> None:
        """Create a random table.

        Args:
            tokens: Length of the sequence.
            heads: Number of heads.
            buckets: Number of buckets.
            max_distance: From which on all share the last bucket.
        """
        super().__init__()
        self.table = nn.Embedding(buckets, heads)
        of_shift = torch.tensor([
            bucket(shift, buckets=buckets, max_distance=max_distance)
            for shift in range(1 - tokens, tokens)
        ])
        shifts = displacements((tokens,))[..., 0].long() + tokens - 1
        self.register_buffer("buckets", of_shift[shifts], persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias.

        Returns:
            One row a query.
        """
        bias: Tensor = self.table(self.buckets)
        return bias.movedim(-1, 0)


def construct(conv: Convolution, size: tuple[int, ...], alpha: float) -> nn.Module:
    """Return attention with bucket biases that computes a convolution.

    Args:
        conv: A convolution over one axis that reaches seven tokens at most, and whose
            padding is tokens.
        size: Length of the input.
        alpha: Bias of a tap's bucket, above all others of its head.

    Returns:
        The layer. T5 leaves out all biases of projections: that of the convolution is
        the only one.

    Raises:
        ArgumentError: If the convolution is over several axes, reaches too far or
            pads by replication.
    """
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


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange two tokens of one bucket.

    Args:
        conv: A convolution over one axis with zero padding.
        size: Length of the input; tokens of one bucket must lie on it.

    Returns:
        The witness; its control has a bucket for every displacement.

    Raises:
        ArgumentError: If the convolution is over several axes or weighs all tokens of
            a bucket alike: with a reach of seven it does.
    """
    require(isinstance(conv, nn.Conv1d), conv, "one axis")
    tokens = padded_grid(conv, size).canvas_size[0]
    last = ConvGeometry.from_conv(conv).output_size(size)[0] - 1
    # From the ends of the sequence one sees farthest.
    witnesses = []
    for query in {(0,), (last,)}:
        try:
            witnesses.append(_witness(conv, size, query, tokens))
        except ArgumentError as error:
            reason = error
    if not witnesses:
        raise reason
    return max(witnesses, key=lambda witness: witness.bound)


def _of_one_bucket(
    conv: Convolution, size: tuple[int, ...], query: Place
) -> list[tuple[Place, Place]]:
    """Return all pairs of pixels that share a bucket at a query."""
    (here,) = pixel_of(conv, query)
    numbers = [bucket(pixel - here) for pixel in range(size[0])]
    return [
        ((first,), (second,))
        for second in range(size[0])
        for first in range(second)
        if numbers[first] == numbers[second]
    ]


def _witness(
    conv: Convolution, size: tuple[int, ...], query: Place, tokens: int
) -> Witness:
    """Return the witness at one output, against any setting of the layer."""
    # So many that each side has one for every distance.
    plenty = 4 * tokens
    return Witness.of(
        conv,
        swapped(conv, size, query, _of_one_bucket(conv, size, query)),
        (query, query),
        kind="bucket",
        symmetry="Exchanging two tokens whose displacements share a bucket permutes "
        "keys, values and biases alike.",
        layer=lambda seed: _random(conv, size, seed, BUCKETS, MAX_DISTANCE),
        control=lambda seed: _random(conv, size, seed, plenty, 2 * plenty),
        needs=TOLD_APART,
    )


def _random(
    conv: Convolution, size: tuple[int, ...], seed: int, buckets: int, distance: int
) -> nn.Module:
    """Return a random layer, with biases of projections that T5 leaves out."""
    grid = padded_grid(conv, size)
    heads = math.prod(conv.kernel_size)
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        position_bias=BucketBias(
            grid.canvas_size[0], heads, buckets=buckets, max_distance=distance
        ),
        heads=heads,
        head_dim=max(conv.in_channels, 4),
        scale=1.0,
    )
    return OnTokens(randomised(layer, seed), grid)


def _takes() -> Sample:
    """Return a convolution that reaches seven tokens."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv1d(2, 3, 15, padding=7, dtype=torch.float64, device="cpu")
        return Sample(conv, (12,))


def _fails() -> Sample:
    """Return one that reaches eight, by dilation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv1d(
            2, 3, 3, padding=8, dilation=8, dtype=torch.float64, device="cpu"
        )
        return Sample(conv, (12,))


FAMILIES = (
    Family(
        name="buckets",
        title="T5 position buckets",
        verdict="conditional",
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
        takes=_takes,
        fails=_fails,
    ),
)
