"""T5: a bias of the scores for every bucket of displacements.

Raffel et al. (2020), T5, bidirectional: the score q · k, unscaled, gets a bias of the
bucket that δ = k − q falls in. Half of the buckets are for keys after the query. Of the
b of one side, the first b / 2 hold one distance each; the j-th of the others begins
where the distance passes b/2 · (m / (b/2))^(j/(b/2)), m the largest distance, and the
last one never ends. With 32 buckets and m = 128 the distances 0, …, 7 are alone, then
come 8–11, 12–15, 16–22, ….
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import displacements

BUCKETS = 32
MAX_DISTANCE = 128


def bucket(
    displacement: int, *, buckets: int = BUCKETS, max_distance: int = MAX_DISTANCE
) -> int:
    """Return the bucket of a displacement.

    Args:
        displacement: δ = k − q.
        buckets: Number of buckets, a multiple of four.
        max_distance: The distance m; from there on all share the last bucket.

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
            max_distance: The distance from which on all share the last bucket.
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
        """Return the bias, one row a query."""
        bias: Tensor = self.table(self.buckets)
        return bias.movedim(-1, 0)
