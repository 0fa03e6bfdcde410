"""Banded matrices.

A band is stored as blocks of rows that share one window of columns. Each block is one
small dense product, which suits both CPUs and GPUs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from math import ceil
from typing import Protocol, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.machine.recording import is_traced


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
        """Return the only window of a full matrix."""
        return cls(rows, (0,), columns)

    @classmethod
    def around(
        cls,
        first: Sequence[int],
        last: Sequence[int],
        columns: int,
        *,
        radius: int,
        rows: int,
    ) -> Self:
        """Return windows that hold the band of every row.

        Args:
            first: The first middle of each row's band, ascending, on the matrix or off
                it (then the nearest column counts).
            last: The last middle of each row's band, likewise.
            columns: Columns of the matrix.
            radius: Columns on either side of the middles.
            rows: Rows that share a window.

        Example:
            >>> Windows.around(range(6), range(6), 6, radius=1, rows=3)
            Windows(rows=3, starts=(0, 1), width=5)
        """

        def on_matrix(spot: int) -> int:
            return min(max(spot, 0), columns - 1)

        low = list(map(on_matrix, first[::rows]))
        ends = (min(start + rows, len(last)) - 1 for start in range(0, len(last), rows))
        high = [on_matrix(last[end]) for end in ends]
        reach = max(h - b for b, h in zip(low, high, strict=True))
        width = min(columns, reach + 2 * radius + 1)
        starts = (min(max(b - radius, 0), columns - width) for b in low)
        return cls(rows, tuple(starts), width)


@dataclass(frozen=True)
class BandedMatrix:
    """A matrix that is zero outside the windows of its rows.

    Attributes:
        blocks: Rows that share a window, from the first row to the last: the entries
            in their window.
        starts: First column of each window.
        columns: Number of columns.

    Example:
        >>> two = torch.ones(2, 2)
        >>> BandedMatrix((two, two), starts=(0, 1), columns=3).dense().tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """

    blocks: tuple[Float[Tensor, "_ _"], ...]
    starts: tuple[int, ...]
    columns: int

    @classmethod
    def full(cls, matrix: Float[Tensor, "rows columns"]) -> Self:
        """Return a matrix as one block."""
        return cls((matrix,), (0,), matrix.shape[1])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(block.shape[0] for block in self.blocks)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the matrix on a device, rounded to a dtype."""
        return replace(self, blocks=tuple(b.to(device, dtype) for b in self.blocks))

    def dense(self) -> Float[Tensor, "rows columns"]:
        """Return the matrix with its zeros: a new one, or the only block."""
        if len(self.blocks) == 1 and self.blocks[0].shape[1] == self.columns:
            return self.blocks[0]
        like = self.blocks[0]
        identity = torch.eye(self.columns, dtype=like.dtype, device=like.device)
        return self.apply(identity).mT.contiguous()

    def in_blocks(self, rows: int) -> Self:
        """Return the matrix in blocks of so many rows at most, as narrow as may be.

        Example:
            >>> matrix = BandedMatrix.full(torch.eye(4)).in_blocks(2)
            >>> matrix.starts, [tuple(block.shape) for block in matrix.blocks]
            ((0, 2), [(2, 2), (2, 2)])
        """
        blocks, starts = [], []
        for wide, start in zip(self.blocks, self.starts, strict=True):
            count = len(wide)
            for block in wide.split(ceil(count / ceil(count / rows))):
                used = block.any(0).nonzero().flatten().tolist() or [0]
                blocks.append(block[:, used[0] : used[-1] + 1].contiguous())
                starts.append(start + used[0])
        return replace(self, blocks=tuple(blocks), starts=tuple(starts))

    def apply(
        self, x: Float[Tensor, "lead columns *trail"]
    ) -> Float[Tensor, "lead rows *trail"]:
        """Return Σ_k M(t, k) x_k, where k counts the second dimension.

        Args:
            x: Two or three dimensions, in the dtype of the matrix.
        """
        return self.prepared(x.shape, x.dtype)(x)

    def prepared(
        self, shape: Sequence[int], dtype: torch.dtype
    ) -> Callable[[Tensor], Tensor]:
        """Return :meth:`apply` as a function of tensors of one shape and dtype."""
        if len(self.blocks) == 1:
            (block,), (start,) = self.blocks, self.starts
            width, times = block.shape[1], _prepared(block.to(dtype), shape)
            if width == self.columns:
                return times
            return lambda x: times(x.narrow(1, start, width))
        return self._apply_blocks

    def _apply_blocks(self, x: Tensor) -> Tensor:
        is_recorded = x.requires_grad or any(
            block.requires_grad for block in self.blocks
        )
        # No tracer takes a function with derivatives of its own.
        if torch.is_grad_enabled() and is_recorded and not is_traced():
            product: Tensor = _Banded.apply(self.starts, x, *self.blocks)  # type: ignore[no-untyped-call]
            return product
        return _banded(self.starts, x, self.blocks)


def _banded(
    starts: Sequence[int],
    x: Tensor,
    blocks: Sequence[Tensor | None],
) -> Tensor:
    """Multiply each block with its window of the second dimension."""
    parts = [
        _times(block, x.narrow(1, start, block.shape[1]))
        for start, block in zip(starts, blocks, strict=True)
        if block is not None
    ]
    return torch.cat(parts, 1)


class _Context(Protocol):
    """What a function keeps for its backward pass."""

    starts: tuple[int, ...]
    columns: int
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...

    def save_for_forward(self, *tensors: Tensor) -> None: ...


class _Banded(torch.autograd.Function):
    """The banded product, with a backward pass that costs no more than it.

    Autograd would form a gradient as large as the input for every window.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(starts: tuple[int, ...], x: Tensor, *blocks: Tensor) -> Tensor:
        return _banded(starts, x, blocks)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[object, ...], output: Tensor
    ) -> None:
        ctx.starts = cast("tuple[int, ...]", inputs[0])
        x, *blocks = cast("tuple[Tensor, ...]", inputs[1:])
        ctx.columns = x.shape[1]
        ctx.save_for_backward(x if any(ctx.needs_input_grad[2:]) else None, *blocks)
        ctx.save_for_forward(x, *blocks)

    @staticmethod
    def jvp(
        ctx: _Context, _: None, along_x: Tensor | None, *along_blocks: Tensor | None
    ) -> Tensor:
        x, *blocks = ctx.saved_tensors
        tangents = [] if along_x is None else [_banded(ctx.starts, along_x, blocks)]
        if any(block is not None for block in along_blocks):
            tangents.append(_banded(ctx.starts, x, along_blocks))
        return reduce(torch.add, tangents)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *blocks = ctx.saved_tensors
        along_x = None
        if ctx.needs_input_grad[1]:
            shape = (gradient.shape[0], ctx.columns, *gradient.shape[2:])
            along_x = gradient.new_zeros(shape)
        along_blocks: list[Tensor | None] = [None for _ in blocks]
        parts = gradient.split([block.shape[0] for block in blocks], 1)
        for index, (start, block, part) in enumerate(
            zip(ctx.starts, blocks, parts, strict=True)
        ):
            if along_x is not None:
                along_x.narrow(1, start, block.shape[1]).add_(_times(block.mT, part))
            if ctx.needs_input_grad[2 + index]:
                window = x.narrow(1, start, block.shape[1])
                along_blocks[index] = _outer(part, window)
        return None, along_x, *along_blocks


def _outer(
    rows: Float[Tensor, "lead rows *trail"],
    columns: Float[Tensor, "lead columns *trail"],
) -> Float[Tensor, "rows columns"]:
    """Return Σ rows columnsᵀ over everything but their dimension."""
    if rows.dim() == 3:
        (_, m, trail), n = rows.shape, columns.shape[1]
        if m * n <= trail * (m + n):  # products are no more than the copies below
            return torch.bmm(rows, columns.mT).sum(0)
    left, right = (t.movedim(1, 0).reshape(t.shape[1], -1) for t in (rows, columns))
    return left @ right.mT


def _times(
    block: Float[Tensor, "rows columns"], x: Float[Tensor, "lead columns *trail"]
) -> Float[Tensor, "lead rows *trail"]:
    """Multiply along the second dimension, on the way that copies nothing."""
    return _prepared(block.to(x.dtype), x.shape)(x)


def _prepared(
    block: Float[Tensor, "rows columns"], shape: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """Return a function that multiplies along the second dimension of a shape."""
    if len(shape) == 2:
        columns = block.mT
        return lambda x: torch.mm(x, columns)
    return partial(torch.bmm, block.expand(shape[0], *block.shape))
