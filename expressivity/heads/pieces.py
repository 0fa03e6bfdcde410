"""Pieces of the smoothing of all heads, small enough for the cache of a processor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod

import torch
from torch import Tensor

from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.piece_axis import Buffers, PieceAxis
from expressivity.heads.projections import paired, projected

# Numbers of a result that stay in the cache of a core, for one head: 1 MiB
# in float32; and for the heads that are smoothed together, in that of the processor.
IN_CACHE, TOGETHER = 2**18, 2**20


@dataclass(frozen=True)
class Place:
    """What a piece is of.

    Attributes:
        images: Which images.
        block: Which block of the last axis.
        window: The tokens along the last axis.
        rows: The queries along the last axis that attend to those.
        heads: Which heads.
        is_first: Whether no other piece of these heads comes before.
        begins: Whether no other heads of these queries come before.
        ends: Whether no other heads of these queries follow.
    """

    images: slice
    block: int
    window: slice
    rows: slice
    heads: slice
    is_first: bool
    begins: bool
    ends: bool


class Piece:
    """Some images, some heads, and the queries whose keys share a window.

    Attributes:
        x: The tokens of all images.
        place: What of them and of all heads this is.
        axes: The axes, in the order in which they are smoothed.
    """

    def __init__(
        self, x: Tensor, place: Place, before: Tensor | None, buffers: Buffers
    ) -> None:
        self.x, self.place, self.axes = x, place, list[PieceAxis]()
        self._before, self._buffers = before, buffers
        tokens = self.of_tokens(x)[None]
        if before is not None:
            heads, groups, _, width = before.shape
            shape = (heads, *tokens.shape[1:-1], groups * width)
            tokens = buffers("tokens", *shape)
        self._tokens = tokens
        self.shape: list[int] = list(tokens.shape)

    def add_axis(
        self, axis: int, blocks: Sequence[Tensor], starts: Sequence[int]
    ) -> None:
        """Smooth one more axis, with the blocks of some heads."""
        tokens = self._tokens
        if self.axes:
            tokens = self.axes[-1].above.view(self.shape)
        lead, trail = prod(self.shape[1 : 2 + axis]), prod(self.shape[3 + axis :])
        below = tokens.reshape(len(tokens), lead, self.shape[2 + axis], trail)
        own = PieceAxis(blocks, starts, below, self._buffers, axis)
        self.axes.append(own)
        self.shape[0] = own.above.shape[0]
        self.shape[2 + axis] = own.above.shape[2]

    def buffer(self, name: str, *shape: int) -> Tensor:
        """Return memory for a result."""
        return self._buffers(name, *shape)

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Return the part of a tensor that belongs to the queries: a view."""
        return tensor[self.place.images, ..., self.place.rows, :]

    def of_tokens(self, tensor: Tensor) -> Tensor:
        """Return the part of a tensor that belongs to the tokens: a view."""
        return tensor[self.place.images, ..., self.place.window, :]

    def smooth(self) -> Tensor:
        """Smooth the tokens for each head along all axes: (heads, queries, width)."""
        if self._before is not None:
            project(rows_of(self.of_tokens(self.x)), self._before, self._tokens)
        for axis in self.axes:
            axis.smooth()
        heads, *_, width = self.shape
        return self.axes[-1].above.view(heads, -1, width)


def pieces_of(
    x: Tensor, matrices: Sequence[HeadMatrices], before: Tensor | None
) -> Iterator[Piece]:
    """Yield pieces of the work, whose intermediate results stay in the cache.

    All heads of some queries come one after the other.
    """
    *others, last = matrices
    buffers, width = Buffers(x), width_after(before, x.shape[-1])
    widest = max(block.shape[2] for block in last.blocks)
    tallest = prod([max(along.rows, along.columns) for along in others])
    numbers = max(1, tallest * widest * width)
    images, heads = max(1, IN_CACHE // numbers), last.heads
    # Heads share a product along the first axis, but windows overlap along the last.
    order = list(range(len(matrices)))
    if len(last.blocks) > 1:
        order.reverse()
    together = min(heads, max(1, TOGETHER // (numbers * min(images, len(x) or 1))))
    for start in range(0, len(x), images):
        for index, (low, high) in enumerate(last.bounds):
            block, column = last.blocks[index], last.starts[index]
            for head in range(0, heads, together):
                some = slice(head, min(head + together, heads))
                place = Place(
                    slice(start, min(start + images, len(x))),
                    index,
                    slice(column, column + block.shape[2]),
                    slice(low, high),
                    some,
                    is_first=start == index == 0,
                    begins=head == 0,
                    ends=some.stop == heads,
                )
                own = None if before is None else before[some]
                piece = Piece(x, place, own, buffers)
                for axis in order:
                    if axis == len(others):
                        piece.add_axis(axis, [block[some]], [0])
                        continue
                    along = others[axis]
                    piece.add_axis(axis, [b[some] for b in along.blocks], along.starts)
                yield piece


def blocks_of(
    piece: Piece, matrices: Sequence[HeadMatrices], blocks: Sequence[Tensor | None]
) -> list[list[Tensor | None]]:
    """Return the blocks that a piece uses, of its heads, in the order of its axes.

    Args:
        piece: The piece.
        matrices: The matrices of all heads, one entry an axis.
        blocks: A tensor for each of their blocks, or none.
    """
    *others, _ = matrices
    rest = iter(blocks)
    own = [list(islice(rest, len(along.blocks))) for along in others]
    own.append([next(islice(rest, piece.place.block, None))])
    heads = piece.place.heads
    return [
        [None if block is None else block[heads] for block in own[axis.number]]
        for axis in piece.axes
    ]


def width_after(matrices: Tensor | None, inputs: int) -> int:
    """Return the numbers of a token after a projection, if there is one."""
    return inputs if matrices is None else matrices.shape[1] * matrices.shape[3]


def rows_of(tensor: Tensor) -> Tensor:
    """Return tokens as (tokens, numbers of each)."""
    return tensor.reshape(-1, tensor.shape[-1])


def project(tokens: Tensor, matrices: Tensor, out: Tensor) -> None:
    """Write what the matrix of each head makes of tokens that they share.

    Args:
        tokens: (tokens, channels).
        matrices: (heads, groups, inputs, outputs of a group).
        out: (heads, *tokens, outputs).
    """
    heads, groups, _, width = matrices.shape
    rows = out.view(heads, len(tokens), groups * width)
    if groups == 1:
        torch.bmm(tokens.expand(heads, -1, -1), matrices[:, 0], out=rows)
    else:
        rows.copy_(projected(tokens[None], matrices))


def add_projected(total: Tensor, tokens: Tensor, matrices: Tensor) -> None:
    """Add, over all heads, the tokens of each times its matrix.

    Args:
        total: (tokens, outputs).
        tokens: (heads, tokens, channels).
        matrices: (heads, groups, inputs, outputs of a group).
    """
    if matrices.shape[1] > 1:
        total.add_(projected(tokens, matrices).sum(0))
        return
    for own, matrix in zip(tokens.unbind(), matrices[:, 0].unbind(), strict=True):
        total.addmm_(own, matrix)


def add_pairs(total: Tensor, inputs: Tensor, outputs: Tensor, *, empty: bool) -> None:
    """Add Σ inputs outputsᵀ over tokens, which are the derivatives of projections.

    Args:
        total: (heads, groups, inputs, outputs of a group).
        inputs: (heads or 1, tokens, channels).
        outputs: (heads or 1, tokens, outputs).
        empty: Whether nothing, not even zeros, is in the total yet.
    """
    if total.shape[1] > 1:
        pairs = paired(inputs, outputs, total.shape[1])
        total.copy_(pairs) if empty else total.add_(pairs)
        return
    heads, flat = len(total), total[:, 0]
    left, right = inputs.mT.expand(heads, -1, -1), outputs.expand(heads, -1, -1)
    if empty:
        torch.bmm(left, right, out=flat)
    else:
        flat.baddbmm_(left, right)
