"""The model of floating-point arithmetic that certificates assume.

* Every operation returns the exact result times 1 + δ with |δ| ≤ u (half an ulp of
  one), or is off by at most the smallest normal number, so that flushing subnormal
  numbers to zero is allowed.
* Sums of products are accumulated in any order, in at least float32, with or without
  fused multiply-add, but literally: neither by Winograd's or Strassen's scheme nor by
  a Fourier transform. Adding y to x is then off by at most |y| as well, since x is a
  number of the format: what is negligible cannot do more harm than its size.
* The exponential is within 64 ulps; in fused kernels for half precision, which
  approximate it, within 2^−11.

``settings`` knows what breaks this, as far as it can be recognised.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch

from expressivity.numbers.precision import compute_dtype

EXP_ULPS = 64
EXP_OF_HALF = 2.0**-11  # of fused kernels for half precision, relative
ASSUMPTIONS = (
    "every operation rounds to nearest, or to zero below the smallest normal number",
    (
        "sums are accumulated in any order, in at least float32, term by term (no "
        "Winograd, Strassen or Fourier transform)"
    ),
    (
        f"the exponential is within {EXP_ULPS} ulps, in fused kernels for half "
        "precision within 2^-11"
    ),
    "the layer runs eagerly, not compiled or transformed",
)


@dataclass(frozen=True)
class Arithmetic:
    """How a dtype rounds.

    Attributes:
        stored: u of what is written to a tensor of the dtype.
        computed: u of what sums are accumulated in: at least float32.
        stored_tiny: The smallest normal number of the dtype.
        computed_tiny: That of the accumulator.
    """

    stored: float
    computed: float
    stored_tiny: float
    computed_tiny: float

    @classmethod
    def of(cls, dtype: torch.dtype) -> Self:
        """Return the rounding of a dtype.

        Args:
            dtype: A floating dtype.

        Returns:
            Its units.

        Example:
            >>> Arithmetic.of(torch.bfloat16).stored == 2**-8
            True
        """
        stored, wide = torch.finfo(dtype), torch.finfo(compute_dtype(dtype))
        return cls(stored.eps / 2, wide.eps / 2, stored.tiny, wide.tiny)

    def growth(self, *, casts: int, terms: int) -> float:
        """Return (1 + u)^casts (1 + u')^terms − 1: the change relative to all sizes."""
        return math.expm1(
            casts * math.log1p(self.stored) + terms * math.log1p(self.computed)
        )
