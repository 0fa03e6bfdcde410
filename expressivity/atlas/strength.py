"""The number that makes a construction as exact as one likes, and where that ends."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from expressivity.errors import ArgumentError
from expressivity.heads.leak import check_positive

WIDE = (torch.float32, torch.float64)  # where constants leave digits for what varies


@dataclass(frozen=True)
class Strength:
    """What decides how exact a constructed layer is.

    Attributes:
        name: The option of ``construct``.
        symbol: In figures and tables.
        default: The strength for weights of a dtype; in float64 the layer is then
            within 1e−9 of the convolution, relative.
        largest: The largest strength for a dtype: beyond it the layer gets worse.
        reason: Why it does, in a clause.
    """

    name: str
    symbol: str
    default: Callable[[torch.dtype], float]
    largest: Callable[[torch.dtype], float]
    reason: str

    def checked(self, value: float | None, dtype: torch.dtype) -> float:
        """Return a strength that weights of a dtype can have.

        Args:
            value: The strength, or ``None`` for the default.
            dtype: Dtype of the weights.

        Returns:
            The same strength, or the default.

        Raises:
            ArgumentError: If it is not positive and finite, or too large.
        """
        if value is None:
            return self.default(dtype)
        strength, largest = check_positive(self.name, value), self.largest(dtype)
        if strength > largest:
            raise ArgumentError(
                f"{self.name} needs to be at most {largest:.4g} in {dtype}, got "
                f"{strength:.4g}: {self.reason}"
            )
        return strength


def third_of_digits(dtype: torch.dtype) -> float:
    """Return the factor B = ε^−1/3, by which rounding may grow.

    An error that falls with B^−2 and rounding that grows with B are equal there: two
    thirds of the digits are left, and no other factor leaves more.

    Args:
        dtype: Dtype of the weights.

    Returns:
        About 2e5 in float64, 200 in float32.
    """
    return float(torch.finfo(dtype).eps ** (-1 / 3))


def locality(default: float = 40.0) -> Strength:
    """Return α, by which a target's score is above the next best: errors of e^−α.

    Args:
        default: An α that brings the family within 1e−9 of the convolution in float64.

    Returns:
        The strength; in quadratic encodings it is the locality strength, 1/pixel².
    """
    return Strength(
        "alpha",
        "α",
        lambda dtype: default,
        lambda dtype: math.sqrt(torch.finfo(dtype).max),
        "scores are its product with squared distances, and would overflow",
    )


ANCHOR = Strength(
    "anchor",
    "B",
    third_of_digits,
    third_of_digits,
    "rounding grows with the constants, which take more digits than they give",
)
