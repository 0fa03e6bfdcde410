"""One banded matrix a head along one axis, with windows that all heads share."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise
from math import ceil, prod
from operator import add
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from expressivity.heads.banded import BandedMatrix

# Tokens of some heads: (heads or 1, batch, *size, width).
Smoothed = Float[Tensor, "_ _ ..."]


@dataclass(frozen=True)
class HeadMatrices:
    """One matrix a head along one axis, zero outside of windows that heads share.

    Its methods take the tokens of all heads at once, channels last, and write nothing
    in place, so that every transform of torch can follow them.

    Attributes:
        blocks: Rows that share a window, from the first row to the last: the entries
            in their window, of every head.
        starts: First column of each window.
        columns: Number of columns.

    Example:
        >>> two = torch.tensor([[[1.0, 2.0]], [[0.0, 1.0]]])  # two heads, one row
        >>> matrices = HeadMatrices((two,), starts=(1,), columns=3)
        >>> tokens = torch.tensor([5.0, 6.0, 7.0]).reshape(1, 1, 3, 1)
        >>> matrices.times(tokens, axis=0).flatten().tolist()
        [20.0, 7.0]
    """

    blocks: tuple[Float[Tensor, "heads _ _"], ...]
    starts: tuple[int, ...]
    columns: int

    @property
    def heads(self) -> int:
        """Number of heads."""
        return self.blocks[0].shape[0]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(block.shape[1] for block in self.blocks)

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first row of each block, and the one after its last."""
        heights = (block.shape[1] for block in self.blocks)
        return list(pairwise(accumulate(heights, initial=0)))

    def of_head(self, head: int) -> BandedMatrix:
        """Return the matrix of one head."""
        blocks = tuple(block[head] for block in self.blocks)
        return BandedMatrix(blocks, self.starts, self.columns)

    def transposed(self) -> Self:
        """Return the transposed matrices, in as many blocks, as narrow as may be.

        Example:
            >>> matrices = HeadMatrices((torch.eye(2)[None],), starts=(1,), columns=3)
            >>> matrices.transposed().of_head(0).dense().tolist()
            [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
        """
        if len(self.blocks) == 1 and self.blocks[0].shape[2] == self.columns:
            return replace(self, blocks=(self.blocks[0].mT,), columns=self.rows)
        size = ceil(self.columns / len(self.blocks))
        lows = range(0, self.columns, size)
        pairs = [self._columns(low, min(low + size, self.columns)) for low in lows]
        blocks, starts = zip(*pairs, strict=True)
        return replace(self, blocks=blocks, starts=starts, columns=self.rows)

    def _columns(self, low: int, high: int) -> tuple[Tensor, int]:
        """Return some columns as rows, in a window, and where that starts."""
        bounds, widths = self.bounds, [block.shape[2] for block in self.blocks]
        ends = list(map(add, self.starts, widths))
        those = range(bisect_right(ends, low), bisect_left(self.starts, high))
        if not those:
            return self.blocks[0].new_zeros(self.heads, high - low, 1), 0
        first, last = bounds[those[0]][0], bounds[those[-1]][1]
        rows = self.blocks[0].new_zeros(self.heads, high - low, last - first)
        for index in those:
            start, end = max(low, self.starts[index]), min(high, ends[index])
            own = slice(bounds[index][0] - first, bounds[index][1] - first)
            part = self.blocks[index].narrow(2, start - self.starts[index], end - start)
            rows[:, start - low : end - low, own] = part.mT
        used = rows.flatten(0, 1).any(0).nonzero().flatten().tolist() or [0]
        window = rows[:, :, used[0] : used[-1] + 1]
        return window.contiguous(), first + used[0]

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the matrices on a device, rounded to a dtype."""
        return replace(self, blocks=tuple(b.to(device, dtype) for b in self.blocks))

    def times(self, tokens: Smoothed, axis: int) -> Smoothed:
        """Return Σ_k M_h(t, k) x_k, where k counts an axis of the tokens."""
        flat = _flat(tokens, axis)
        parts = [
            block[:, None] @ flat.narrow(2, start, block.shape[2])
            for start, block in zip(self.starts, self.blocks, strict=True)
        ]
        return _unflat(torch.cat(parts, 2) if parts[1:] else parts[0], tokens, axis)

    def transposed_times(self, tokens: Smoothed, axis: int) -> Smoothed:
        """Return Σ_t M_h(t, k) x_t, where t counts an axis of the tokens."""
        heights = [block.shape[1] for block in self.blocks]
        parts = []
        for start, block, part in zip(
            self.starts, self.blocks, _flat(tokens, axis).split(heights, 2), strict=True
        ):
            after = self.columns - start - block.shape[2]
            parts.append(pad(block.mT[:, None] @ part, (0, 0, start, after)))
        return _unflat(reduce(torch.add, parts), tokens, axis)

    def outer(self, rows: Smoothed, columns: Smoothed, axis: int) -> list[Tensor]:
        """Return Σ rows_t columns_k over everything but an axis, for each block."""
        heights = [block.shape[1] for block in self.blocks]
        flat = _flat(columns, axis)
        return [
            (part @ flat.narrow(2, start, block.shape[2]).mT).sum(1)
            for start, block, part in zip(
                self.starts,
                self.blocks,
                _flat(rows, axis).split(heights, 2),
                strict=True,
            )
        ]


def _flat(tokens: Tensor, axis: int) -> Float[Tensor, "heads lead axis trail"]:
    """Return tokens with everything before an axis in one, and everything after."""
    size = tokens.shape[1:]  # no flatten: torch's older vmap lacks it
    lead, trail = prod(size[: 1 + axis]), prod(size[2 + axis :])
    return tokens.reshape(len(tokens), lead, size[1 + axis], trail)


def _unflat(flat: Tensor, like: Tensor, axis: int) -> Tensor:
    """Return the inverse of :func:`_flat`; the axis may have another length."""
    shape: Sequence[int] = (
        flat.shape[0],
        *like.shape[1 : 2 + axis],
        flat.shape[2],
        *like.shape[3 + axis :],
    )
    return flat.reshape(shape)
