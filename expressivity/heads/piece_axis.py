"""The smoothing of a piece along one axis, by some heads at once, in buffers.

Tokens are (heads, lead, axis, trail): everything before the axis is one dimension, and
everything after it, channels last, another. Tokens that all heads share come once.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

# Matrices are repeated for everything before the axis if tokens are as many times as
# large: one product of many matrices then replaces one a head.
_WORTH_REPEATING = 4
# Numbers of a buffer that is kept, at most: 8 MiB in float32.
MOST_KEPT = 2**21


class _Kept(threading.local):
    """Memory that this thread has used before, by name and dtype."""

    def __init__(self) -> None:
        self.flat: dict[tuple[str, torch.dtype], Tensor] = {}


_kept = _Kept()


class Buffers:
    """Memory for intermediate results, by name; pieces use it one after the other.

    The system clears what it lends, which takes longer than to compute with it: a
    thread keeps its buffers for the next call, unless they are large.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._large: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return an uninitialised tensor, which lies where the last of its name did."""
        size, key = prod(shape), (name, self._like.dtype)
        flat = self._large.get(name, _kept.flat.get(key))
        if flat is None or flat.numel() < size:
            with torch.inference_mode(mode=False):  # other modes may write there later
                flat = torch.empty(size, dtype=self._like.dtype, device="cpu")
            if size <= MOST_KEPT:
                _kept.flat[key] = flat
            else:
                self._large[name] = flat
        return flat[:size].view(shape)


@dataclass(frozen=True)
class _Block:
    """Some rows of the matrices, and where they are.

    Attributes:
        matrices: (heads, rows, columns).
        rows: The first row along the axis, and how many.
        columns: The first column, and how many.
    """

    matrices: Tensor
    rows: tuple[int, int]
    columns: tuple[int, int]


class PieceAxis:
    """The smoothing along one axis of a piece.

    Attributes:
        below: The tokens before it, (heads or 1, lead, columns, trail).
        above: The tokens after it, (heads, lead, rows, trail).
        number: Which axis of the images it is.
    """

    def __init__(
        self,
        blocks: Sequence[Tensor],
        starts: Sequence[int],
        below: Tensor,
        buffers: Buffers,
        number: int,
    ) -> None:
        _, lead, self._columns, trail = below.shape
        heights = [block.shape[1] for block in blocks]
        heads, self._rows = blocks[0].shape[0], sum(heights)
        self.below, self._buffers, self.number = below, buffers, number
        self.above = buffers(f"above {number}", heads, lead, self._rows, trail)
        self._blocks = [
            _Block(block, (bottom, height), (start, block.shape[2]))
            for block, bottom, height, start in zip(
                blocks, accumulate(heights, initial=0), heights, starts, strict=False
            )
        ]

    @property
    def is_full(self) -> bool:
        """Whether one block is all there is."""
        return self._blocks[0].columns[1] == self._columns and not self._blocks[1:]

    def smooth(self) -> None:
        """Write what each head makes of the tokens below to those above."""
        for block in self._blocks:
            above = self.above.narrow(2, *block.rows)
            _multiply(block.matrices, self.below.narrow(2, *block.columns), above)

    def pulled(self, error: Tensor) -> Tensor:
        """Return errors above times the transposed matrix of each head, in a buffer."""
        heads, lead, _, trail = error.shape
        result = self._buffers(
            f"error {self.number}", heads, lead, self._columns, trail
        )
        if self.is_full:
            _multiply(self._blocks[0].matrices.mT, error, result)
            return result
        result.zero_()
        for head, own in enumerate(result.split(1)):
            self._add_pulled(slice(head, head + 1), error, own[0])
        return result

    def add_pulled(self, error: Tensor, total: Tensor) -> None:
        """Add, over all heads, errors above times the transposed matrix of each.

        Args:
            error: (heads, lead, rows, trail).
            total: (lead, columns, trail).
        """
        self._add_pulled(slice(None), error, total)

    def _add_pulled(self, heads: slice, error: Tensor, total: Tensor) -> None:
        for block in self._blocks:
            matrices, own = block.matrices[heads], error[heads]
            target = total.narrow(1, *block.columns)
            if len(total) == 1 and self.is_full:
                _, rows, columns = matrices.shape
                stacked = matrices.reshape(-1, columns).mT
                target[0].addmm_(stacked, own.reshape(len(own) * rows, -1))
                continue
            for matrix, above in zip(matrices, own.narrow(2, *block.rows), strict=True):
                target.baddbmm_(matrix.mT.expand(len(total), -1, -1), above)

    def add_outer(self, error: Tensor, totals: Sequence[Tensor | None]) -> None:
        """Add Σ error · tokens below to the derivatives of the blocks.

        Args:
            error: (heads, lead, rows, trail).
            totals: (heads, rows, columns) of each block, ``None`` if not wanted.
        """
        for block, total in zip(self._blocks, totals, strict=True):
            if total is None:
                continue
            left = error.narrow(2, *block.rows)
            right = self.below.narrow(2, *block.columns).mT
            self._add_outer(left, right, total)

    def _add_outer(self, left: Tensor, right: Tensor, total: Tensor) -> None:
        heads, lead, rows, _ = left.shape
        columns, is_shared = right.shape[3], len(right) < heads
        if lead == 1:
            if is_shared and self.is_full:
                stacked = left.reshape(heads * rows, -1)
                total.view(-1, columns).addmm_(stacked, right[0, 0])
            else:
                total.baddbmm_(left[:, 0], right[:, 0].expand(heads, -1, -1))
            return
        if is_shared:
            pairs = self._buffers("pairs", lead, rows, columns)
            for own, above in zip(total.unbind(), left.unbind(), strict=True):
                own.add_(torch.bmm(above, right[0], out=pairs).sum(0))
            return
        pairs = self._buffers("pairs", heads * lead, rows, columns)
        torch.bmm(left.flatten(0, 1), right.flatten(0, 1), out=pairs)
        total.add_(pairs.view(heads, lead, rows, columns).sum(1))


def _multiply(matrices: Tensor, tokens: Tensor, out: Tensor) -> None:
    """Write the products of the matrix of each head and all that lies along the axis.

    Args:
        matrices: (heads, rows, columns).
        tokens: (heads or 1, lead, columns, trail).
        out: (heads, lead, rows, trail).
    """
    (heads, lead, rows, trail), columns = out.shape, tokens.shape[2]
    is_shared, is_whole = len(tokens) < heads, out.is_contiguous()
    if lead == 1:
        if is_shared and is_whole:
            stacked = matrices.reshape(-1, columns)
            torch.mm(stacked, tokens[0, 0], out=out.view(-1, trail))
        else:
            torch.bmm(matrices, tokens[:, 0].expand(heads, -1, -1), out=out[:, 0])
    elif is_whole and not is_shared and _WORTH_REPEATING * columns <= trail:
        repeated = matrices[:, None].expand(heads, lead, rows, columns).flatten(0, 1)
        torch.bmm(repeated, tokens.flatten(0, 1), out=out.flatten(0, 1))
    else:
        for head, matrix in enumerate(matrices):
            below = tokens[0 if is_shared else head]
            torch.bmm(matrix.expand(lead, rows, columns), below, out=out[head])
