"""Banded matrices, and products that act on one axis of a grid at a time.

A band is kept as blocks of rows that share one window of columns: each block is one
small dense product, which is how both CPUs and GPUs like it best.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod
from typing import Protocol, Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.precision import compute_dtype, without_autocast

# One matrix over all axes beats one an axis while it has at most so many entries:
# 7×7 and 14×14 → 7×7 pixels, not 14×14 (measured on the layers of ResNet-50).
_JOINT_ENTRIES = 12_000


@dataclass(frozen=True)
class Windows:
    """Which columns the rows of a banded matrix reach.

    Attributes:
        rows: Rows that share a window.
        starts: First column of each window.
        width: Columns of every window.
    """

    rows: int
    starts: tuple[int, ...]
    width: int

    @classmethod
    def whole(cls, rows: int, columns: int) -> Self:
        """Return one window over everything.

        Args:
            rows: Rows of the matrix.
            columns: Columns of the matrix.

        Returns:
            The windows of a full matrix.
        """
        return cls(rows, (0,), columns)

    @classmethod
    def around(
        cls, spots: Sequence[int], columns: int, *, radius: int, rows: int
    ) -> Self:
        """Return windows that hold the band of every row.

        Args:
            spots: The middle of each row's band, ascending, on the matrix or off it
                (then the nearest column counts).
            columns: Columns of the matrix.
            radius: Columns on either side of the middle.
            rows: Rows that share a window.

        Returns:
            Windows of one width.

        Example:
            >>> Windows.around(range(6), 6, radius=1, rows=3)
            Windows(rows=3, starts=(0, 1), width=5)
        """
        middles = [min(max(spot, 0), columns - 1) for spot in spots]
        blocks = [middles[i : i + rows] for i in range(0, len(middles), rows)]
        width = min(columns, max(b[-1] - b[0] for b in blocks) + 2 * radius + 1)
        starts = (min(max(b[0] - radius, 0), columns - width) for b in blocks)
        return cls(rows, tuple(starts), width)


@dataclass(frozen=True)
class BandedMatrix:
    """A matrix that is zero outside the windows of its rows.

    Attributes:
        blocks: The windows' entries; spare rows of the last block mean nothing.
        starts: First column of each window.
        rows: Number of rows.
        columns: Number of columns.

    Example:
        >>> ones = torch.ones(2, 2, 2)
        >>> BandedMatrix(ones, starts=(0, 1), rows=4, columns=3).dense().tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """

    blocks: Float[Tensor, "blocks block_rows width"]
    starts: tuple[int, ...]
    rows: int
    columns: int

    @classmethod
    def full(cls, matrix: Float[Tensor, "rows columns"]) -> Self:
        """Return a matrix as one block.

        Args:
            matrix: Any matrix.

        Returns:
            The same matrix.
        """
        return cls(matrix[None], (0,), *matrix.shape)

    @cached_property
    def is_full(self) -> bool:
        """Whether there is one window over all columns."""
        return len(self.starts) == 1 and self.blocks.shape[2] == self.columns

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the matrix on a device, in a dtype.

        Args:
            device: Where the blocks should lie.
            dtype: What they should be rounded to.

        Returns:
            The matrix itself if nothing changes.
        """
        return replace(self, blocks=self.blocks.to(device, dtype))

    def dense(self) -> Float[Tensor, "rows columns"]:
        """Return the matrix with its zeros.

        Returns:
            A new matrix, or the only block.
        """
        if self.is_full:
            return self._only
        identity = torch.eye(
            self.columns, dtype=self.blocks.dtype, device=self.blocks.device
        )
        return self._product(identity, self.blocks).mT

    def apply(
        self, x: Float[Tensor, "lead columns *trail"]
    ) -> Float[Tensor, "lead rows *trail"]:
        """Multiply along the second dimension.

        Args:
            x: Two or three dimensions, in the dtype of the matrix.

        Returns:
            Σ_k M(t, k) x_k.
        """
        if self.is_full:
            return _times(self._only, x)
        recorded = x.requires_grad or self.blocks.requires_grad
        if torch.is_grad_enabled() and recorded:
            product: Tensor = _Banded.apply(x, self.blocks, self)  # type: ignore[no-untyped-call]
            return product
        return self._product(x, self.blocks)

    @cached_property
    def _only(self) -> Tensor:
        return self.blocks[0, : self.rows]

    def _product(self, x: Tensor, blocks: Tensor) -> Tensor:
        width = blocks.shape[2]
        parts = [
            _times(block[:count], x[:, start : start + width])
            for block, start, count in zip(
                blocks, self.starts, self._counts(), strict=True
            )
        ]
        return torch.cat(parts, 1)

    def _counts(self) -> list[int]:
        """Rows of each block that mean something."""
        rows = self.blocks.shape[1]
        return [min(rows, self.rows - i) for i in range(0, self.rows, rows)]


class _Context(Protocol):
    """What a function keeps for its backward pass."""

    matrix: BandedMatrix
    needs_input_grad: tuple[bool, bool, bool]
    saved_tensors: tuple[Tensor | None, Tensor]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...

    def save_for_forward(self, *tensors: Tensor | None) -> None: ...


class _Banded(torch.autograd.Function):
    """The banded product, with a backward pass that costs no more than it.

    Left to autograd, every window would make a gradient as large as the input.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, blocks: Tensor, matrix: BandedMatrix) -> Tensor:
        return matrix._product(x, blocks)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[Tensor, Tensor, BandedMatrix], output: Tensor
    ) -> None:
        x, blocks, ctx.matrix = inputs
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, blocks)
        ctx.save_for_forward(x, blocks)

    @staticmethod
    def jvp(ctx: _Context, x: Tensor | None, blocks: Tensor | None, _: None) -> Tensor:
        pairs = (x, ctx.saved_tensors[1]), (ctx.saved_tensors[0], blocks)
        moved = [
            ctx.matrix._product(x, blocks)
            for x, blocks in pairs
            if x is not None and blocks is not None
        ]
        return torch.stack(moved).sum(0)

    @staticmethod
    def backward(
        ctx: _Context, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        (x, blocks), matrix = ctx.saved_tensors, ctx.matrix
        along_x = along_blocks = None
        if ctx.needs_input_grad[0]:
            shape = (len(gradient), matrix.columns, *gradient.shape[2:])
            along_x = gradient.new_zeros(shape)
        if ctx.needs_input_grad[1]:
            along_blocks = gradient.new_zeros(blocks.shape)
        parts = gradient.split(blocks.shape[1], 1)
        for index, (start, part) in enumerate(zip(matrix.starts, parts, strict=True)):
            window, count = slice(start, start + blocks.shape[2]), part.shape[1]
            if along_x is not None:
                along_x[:, window] += _times(blocks[index, :count].mT, part)
            if along_blocks is not None and x is not None:
                looked = x[:, window].movedim(1, 0).flatten(1)
                asked = part.movedim(1, 0).flatten(1)
                along_blocks[index, :count] += asked @ looked.mT
        return along_x, along_blocks, None


@dataclass(frozen=True)
class AxisProduct:
    """A Kronecker product of one matrix an axis, applied without being formed.

    Small ones are formed: one product over a few dozen pixels costs less than one an
    axis.

    Attributes:
        factors: The matrices, each with the axes it acts on: the first, and how many.
        rows: Rows of the matrix of each axis.
        columns: Columns of the matrix of each axis.
    """

    factors: tuple[tuple[int, int, BandedMatrix], ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, matrices: Sequence[BandedMatrix]) -> Self:
        """Prepare a product.

        Args:
            matrices: One an axis, the first axis first.

        Returns:
            The product, in the order that costs least.
        """
        shape = (
            tuple(matrix.rows for matrix in matrices),
            tuple(matrix.columns for matrix in matrices),
        )
        entries = prod(matrix.rows * matrix.columns for matrix in matrices)
        if len(matrices) > 1 and entries <= _JOINT_ENTRIES:
            joint = reduce(torch.kron, [matrix.dense() for matrix in matrices])
            return cls(((0, len(matrices), BandedMatrix.full(joint)),), *shape)
        # The axis that shrinks most goes first, else the last: it lies in one piece.
        order = sorted(
            enumerate(matrices),
            key=lambda item: (item[1].rows / item[1].columns, -item[0]),
        )
        factors = ((axis, 1, matrix) for axis, matrix in order)
        return cls(tuple(factors), *shape)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the product on a device, in a dtype.

        Args:
            device: Where the matrices should lie.
            dtype: What they should be rounded to.

        Returns:
            The product, for inputs of that dtype on that device.
        """
        moved = tuple(
            (first, count, matrix.to(device, dtype))
            for first, count, matrix in self.factors
        )
        return replace(self, factors=moved)

    def __call__(
        self, canvas: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch channels *rows_per_axis"]:
        """Return Σ_k M₁(t₁, k₁) ⋯ M_d(t_d, k_d) X_k for every t.

        Computed in at least float32, outside autocast, and returned in the dtype of
        the canvas.

        Args:
            canvas: Tokens on a grid.

        Returns:
            The product.
        """
        with without_autocast(canvas.device):
            result = canvas.to(compute_dtype(canvas.dtype))
            for first, count, matrix in self.factors:
                before = result.shape[: 2 + first]
                after = result.shape[2 + first + count :]
                trail = (prod(after),) if after else ()
                flat = result.reshape(-1, matrix.columns, *trail)
                rows = self.rows[first : first + count]
                result = matrix.apply(flat).reshape(before + rows + after)
            return result.to(canvas.dtype)


def _times(
    block: Float[Tensor, "rows columns"], x: Float[Tensor, "lead columns *trail"]
) -> Float[Tensor, "lead rows *trail"]:
    """Multiply along the second dimension, on the way that copies nothing."""
    if block.dtype != x.dtype:
        block = block.to(x.dtype)
    if x.dim() == 2:
        return x @ block.mT
    return torch.bmm(block.expand(x.shape[0], *block.shape), x)
