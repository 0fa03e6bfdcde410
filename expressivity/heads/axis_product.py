"""Products that act on one axis of a grid at a time, or on all of them jointly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.banded import BandedMatrix
from expressivity.heads.kept_product import is_kept, kept_product
from expressivity.machine.memory_format import is_channels_last
from expressivity.numbers.precision import compute_dtype, without_autocast
from expressivity.numbers.softmax import without_negligible

# One matrix over all axes beats one an axis while it has at most so many entries:
# 7×7 and 14×14 → 7×7 pixels, not 14×14 (measured on the layers of ResNet-50).
JOINT_ENTRIES = 12_000


def is_joint(shapes: Sequence[tuple[int, int]]) -> bool:
    """Return whether one matrix over all axes replaces the matrices of the axes.

    Args:
        shapes: Rows and columns of the matrix of each axis.

    Example:
        >>> is_joint([(7, 7), (7, 7)]), is_joint([(14, 14), (14, 14)])
        (True, False)
    """
    entries = prod([rows * columns for rows, columns in shapes])
    return len(shapes) > 1 and entries <= JOINT_ENTRIES


@dataclass(frozen=True)
class AxisProduct:
    """A Kronecker product of one matrix an axis; only small ones are formed.

    Over a few dozen pixels one product costs less than one an axis.

    Attributes:
        factors: The matrices, each with the axes it acts on: the first, and how many.
        rows: Rows of the matrix of each axis.
    """

    factors: tuple[tuple[int, int, BandedMatrix], ...]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, matrices: Sequence[BandedMatrix]) -> Self:
        """Return the product of one matrix an axis, in the order that costs least."""
        rows = tuple(matrix.rows for matrix in matrices)
        if is_joint([(matrix.rows, matrix.columns) for matrix in matrices]):
            joint = reduce(torch.kron, [matrix.dense() for matrix in matrices])
            joint = without_negligible(joint)
            return cls(((0, len(matrices), BandedMatrix.full(joint)),), rows)
        # The axis that shrinks most goes first, else the last: it lies in one piece.
        order = sorted(
            enumerate(matrices),
            key=lambda item: (item[1].rows / item[1].columns, -item[0]),
        )
        factors = ((axis, 1, matrix) for axis, matrix in order)
        return cls(tuple(factors), rows)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the product for inputs of a dtype on a device."""
        factors = tuple(
            (first, count, matrix.to(device, dtype))
            for first, count, matrix in self.factors
        )
        return replace(self, factors=factors)

    def __call__(
        self, canvas: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch channels *rows_per_axis"]:
        """Return Σ_k M₁(t₁, k₁) ⋯ M_d(t_d, k_d) X_k for every t.

        Computed in at least float32, outside autocast, and returned in the dtype and
        the memory format of the canvas.

        Args:
            canvas: Tokens on a grid.
        """
        with without_autocast(canvas.device):
            return self.prepared(canvas)(canvas)

    def prepared(
        self, like: Tensor, *, unrecorded: bool = False, lent: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """Return the product as a function of canvases of one kind, without autocast.

        Args:
            like: A canvas of their shape, dtype and memory format.
            unrecorded: Whether canvases are on a CPU and nothing records what becomes
                of them, so that they may be multiplied in memory that a thread keeps.
            lent: Whether the result may lie there too, until the next product.
        """
        last, dtype = is_channels_last(like), compute_dtype(like.dtype)
        batch, channels, *size = like.shape
        shape = [batch, *size, channels] if last else [batch, channels, *size]
        axes_from, factors = 1 if last else 2, []
        for first, count, matrix in self.factors:
            start, stop = axes_from + first, axes_from + first + count
            trail = [prod(shape[stop:])] if shape[stop:] else []
            factors.append((matrix, (prod(shape[:start]), matrix.columns, *trail)))
            shape[start:stop] = self.rows[first : first + count]
        if unrecorded and all(is_kept(*factor) for factor in factors):
            return kept_product(factors, shape, like, lent=lent)
        products = [(flat, matrix.prepared(flat, dtype)) for matrix, flat in factors]

        def product(canvas: Tensor) -> Tensor:
            result = canvas.movedim(1, -1) if last else canvas
            result = result.to(dtype)
            for flat, times in products:
                result = times(result.reshape(flat))
            result = result.reshape(shape).to(canvas.dtype)
            return result.movedim(-1, 1) if last else result

        return product
