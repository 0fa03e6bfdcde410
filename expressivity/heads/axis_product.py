"""Products that act on one axis of a grid at a time, or on all of them jointly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.banded import BandedMatrix
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


class Scratch:
    """Buffers for the intermediate results of successive products.

    The allocator can take longer than the products. Successive steps of a product
    alternate between two buffers.
    """

    def __init__(self) -> None:
        """Start without buffers."""
        self._buffers: dict[tuple[int, ...], list[Tensor]] = {}

    def like(self, step: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return an uninitialised buffer that does not hold the step before.

        Args:
            step: The step before; the buffer has its dtype and device.
            shape: Shape of the next step.
        """
        buffers = self._buffers.setdefault(shape, [])
        for buffer in buffers:
            if buffer.data_ptr() != step.data_ptr():
                return buffer
        buffers.append(step.new_empty(shape))
        return buffers[-1]


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
        self,
        canvas: Float[Tensor, "batch channels *size"],
        scratch: Scratch | None = None,
    ) -> Float[Tensor, "batch channels *rows_per_axis"]:
        """Return Σ_k M₁(t₁, k₁) ⋯ M_d(t_d, k_d) X_k for every t.

        Computed in at least float32, outside autocast, and returned in the dtype and
        the memory format of the canvas.

        Args:
            canvas: Tokens on a grid.
            scratch: Buffers of earlier calls, which the result may lie in; only where
                autograd records nothing.
        """
        channels_last = is_channels_last(canvas)
        with without_autocast(canvas.device):
            result = canvas.to(compute_dtype(canvas.dtype))
            if channels_last:
                result = result.movedim(1, -1)
            shape, axes_from = list(result.shape), 1 if channels_last else 2
            for first, count, matrix in self.factors:
                start, stop = axes_from + first, axes_from + first + count
                after = shape[stop:]
                trail = (prod(after),) if after else ()
                flat, out = result.reshape(-1, matrix.columns, *trail), None
                if scratch is not None:
                    out = scratch.like(flat, (flat.shape[0], matrix.rows, *trail))
                result = matrix.apply(flat, out)
                shape[start:stop] = self.rows[first : first + count]
            result = result.reshape(shape).to(canvas.dtype)
            return result.movedim(-1, 1) if channels_last else result
