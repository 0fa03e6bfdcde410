"""Directions that span given vectors, each vector up to rounding of its own size.

The largest singular value says nothing about a small vector among large ones: a
threshold relative to it would drop a channel of small weights. Vectors are therefore
scaled to one size first, and directions are added until they reproduce every vector.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_EPS = torch.finfo(torch.float64).eps
_ULPS = 4  # for each number that a product adds up


def span_rounding(length: int) -> float:
    """Return the error of a vector of some length, reproduced from its directions.

    Directions are orthonormal and in float64; the error is relative to the norm.
    """
    return _ULPS * length * _EPS


def spanning_directions(
    vectors: Float[Tensor, "length vectors"], rounding: float = 0.0
) -> Float[Tensor, "length rank"]:
    """Return few directions whose span contains every vector.

    Multiplying a vector by a number other than zero changes neither the directions nor
    their number, up to rounding.

    Args:
        vectors: One a column, finite.
        rounding: How far a vector may be off the span, relative to its own norm, beyond
            the rounding of float64.

    Returns:
        Orthonormal columns Q with ‖v − Q Qᵀ v‖ ≤ (``rounding`` + rounding of float64)
        ‖v‖ for every column v; float64, on the device of the vectors. None for zeros.

    Example:
        The second vector is small, and has a direction of its own.

        >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1e-30]])
        >>> spanning_directions(vectors).shape
        torch.Size([2, 2])
    """
    sized = vectors.double() / power_of_two(vectors.abs().amax(0))
    directions = principal_directions(sized)
    # The squared norm of each vector along the last, the last two, … directions.
    parts = (directions.mT @ sized).square().flip(0).cumsum(0).flip(0)
    allowed = (rounding + span_rounding(len(vectors))) ** 2 * sized.square().sum(0)
    rank = int((parts > allowed).any(1).sum())
    return directions[:, :rank]


def principal_directions(
    vectors: Float[Tensor, "length vectors"],
) -> Float[Tensor, "length directions"]:
    """Return left singular vectors of a matrix, the largest singular value first."""
    # A triangle has the same left singular vectors, and is small where a kernel is not.
    triangle = torch.linalg.qr(vectors.mT, mode="r").R
    directions: Tensor = torch.linalg.svd(triangle.mT, full_matrices=False).U
    return directions


def power_of_two(sizes: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the largest power of two that is no larger than each size, one for zero.

    Sizes are finite and not negative. Division by a power of two is exact.

    Example:
        >>> power_of_two(torch.tensor([0.0, 0.75, 5.0])).tolist()
        [1.0, 0.5, 4.0]
    """
    sizes = sizes.double()
    mantissas = 2 * torch.frexp(sizes).mantissa
    return torch.where(sizes > 0, sizes / mantissas, 1.0)
