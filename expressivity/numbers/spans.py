"""Which directions hold given vectors, each up to rounding of its own size.

The largest singular value says nothing about a small vector among large ones: a
threshold relative to it drops what a channel of small weights consists of. So vectors
are brought to one size before their directions are counted, and directions are added
until every vector is reproduced.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_EPS = torch.finfo(torch.float64).eps
_ULPS = 4  # for each number that a product adds up


def span_rounding(length: int) -> float:
    """Return how exactly float64 can reproduce a vector from orthonormal directions.

    Args:
        length: Numbers of a vector.

    Returns:
        The error, relative to the vector's norm.
    """
    return _ULPS * length * _EPS


def spanning_directions(
    vectors: Float[Tensor, "length vectors"], rounding: float = 0.0
) -> Float[Tensor, "length rank"]:
    """Return the fewest directions found whose span holds every vector.

    Multiplying a vector with a number that is not zero changes neither the directions
    nor their number, up to rounding.

    Args:
        vectors: One a column, finite.
        rounding: How far a vector may be off the span, relative to its own norm, beyond
            the rounding of float64.

    Returns:
        Orthonormal columns Q with ‖v − Q Qᵀ v‖ ≤ (``rounding`` + rounding of float64)
        ‖v‖ for every column v; float64, on the device of the vectors. None for zeros.

    Example:
        The second direction is small, and all that the second vector consists of.

        >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1e-30]])
        >>> spanning_directions(vectors).shape
        torch.Size([2, 2])
    """
    sized = vectors.double() / power_of_two(vectors.abs().amax(0))
    directions = principal_directions(sized)
    # What is left of each vector without the last, the last two, … directions.
    parts = (directions.mT @ sized).square().flip(0).cumsum(0).flip(0)
    allowed = (rounding + span_rounding(len(vectors))) ** 2 * sized.square().sum(0)
    rank = int((parts > allowed).any(1).sum())
    return directions[:, :rank]


def principal_directions(
    vectors: Float[Tensor, "length vectors"],
) -> Float[Tensor, "length directions"]:
    """Return the left singular vectors of a matrix, the largest singular value first.

    Args:
        vectors: One a column.

    Returns:
        Orthonormal columns, as many as the smaller side of the matrix is long.
    """
    # A triangle has the same left singular vectors, and is small where a kernel is not.
    triangle = torch.linalg.qr(vectors.mT, mode="r").R
    directions: Tensor = torch.linalg.svd(triangle.mT, full_matrices=False).U
    return directions


def power_of_two(sizes: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return powers of two of the given sizes: to divide by them is exact.

    Args:
        sizes: Not negative, finite.

    Returns:
        The largest power of two that is no larger than each; one for zero; float64.

    Example:
        >>> power_of_two(torch.tensor([0.0, 0.75, 5.0])).tolist()
        [1.0, 0.5, 4.0]
    """
    sizes = sizes.double()
    mantissas = 2 * torch.frexp(sizes).mantissa
    return torch.where(sizes > 0, sizes / mantissas, 1.0)
