"""Products along axes in memory that a thread keeps, where nothing records them.

A smoothed image is read once, by the convolution that follows. Memory for it that the
system lends anew has to be cleared first, and every view and every question to torch
takes as long as multiplying a small image. Here both happen once for images of a kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from math import prod
from typing import Self

import torch
from torch import Tensor

from expressivity.heads.banded import BandedMatrix
from expressivity.heads.buffers import MOST_KEPT, Buffers, kept_views
from expressivity.machine.memory_format import is_channels_last
from expressivity.numbers.precision import compute_dtype

# Rows of a block whose product lies in one piece. Blocks are faster than a full matrix
# of so many columns if they hold no more of its entries than this.
_ROWS, _COLUMNS, _ENTRIES = 16, 48, 0.6
# The same, where the products of blocks lie apart and are joined.
_COLUMNS_OF_PIECES = 96

Operation = Callable[..., Tensor]


@dataclass(frozen=True)
class Factor:
    """A matrix, and the shape of what it multiplies.

    Attributes:
        matrix: Acts on the second dimension.
        shape: (lead, columns) or (lead, columns, trail).
    """

    matrix: BandedMatrix
    shape: tuple[int, ...]

    @classmethod
    def of(cls, matrix: BandedMatrix, shape: tuple[int, ...]) -> Self:
        """Return a factor with its matrix in the blocks that are fastest."""
        given = cls(matrix, shape)
        if matrix.columns < (_COLUMNS_OF_PIECES if given.is_split else _COLUMNS):
            return cls(BandedMatrix.full(matrix.dense()), shape)
        if given.is_split:
            return given
        narrow = matrix.in_blocks(_ROWS)
        entries = sum(block.numel() for block in narrow.blocks)
        pays = entries <= _ENTRIES * matrix.rows * matrix.columns
        return cls(narrow, shape) if pays else given

    @property
    def is_split(self) -> bool:
        """Whether rows of the product are in several places of the memory."""
        return len(self.shape) == 3 and self.shape[0] > 1

    @property
    def are_joined(self) -> bool:
        """Whether the products of blocks lie apart, and are joined in the end."""
        return self.is_split and len(self.matrix.blocks) > 1

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of the product."""
        return (self.shape[0], self.matrix.rows, *self.shape[2:])

    @property
    def layout(self) -> tuple[object, ...]:
        """All that views of memory for the factor depend on."""
        shapes = tuple(block.shape for block in self.matrix.blocks)
        return self.shape, self.matrix.starts, shapes

    def operations(self, dtype: torch.dtype) -> list[Operation]:
        """Return what is done in turn: a product of each window, and their joining."""
        blocks = [block.to(dtype) for block in self.matrix.blocks]
        if len(self.shape) == 2:
            return [_from_the_right(block.mT) for block in blocks]
        lead = self.shape[0]
        times: list[Operation] = [
            partial(torch.bmm, block.expand(lead, *block.shape)) for block in blocks
        ]
        return [*times, partial(torch.cat, dim=1)] if self.are_joined else times

    def windows(self, tensor: Tensor) -> list[Tensor]:
        """Return what each block multiplies, of a tensor of this shape."""
        widths = [block.shape[1] for block in self.matrix.blocks]
        if widths == [self.matrix.columns]:
            return [tensor]
        pairs = zip(self.matrix.starts, widths, strict=True)
        return [tensor.narrow(1, start, width) for start, width in pairs]

    def outputs(self, result: Tensor, buffers: Buffers) -> list[Tensor]:
        """Return where the operations write, the last of them the result.

        Args:
            result: Memory of its shape.
            buffers: Memory for products that lie apart.
        """
        pieces = result.split([block.shape[0] for block in self.matrix.blocks], 1)
        if not self.are_joined:
            return list(pieces)
        apart = (
            buffers(f"smoothed, piece {number}", *piece.shape)
            for number, piece in enumerate(pieces)
        )
        return [*apart, result]


def is_kept(matrix: BandedMatrix, shape: tuple[int, ...]) -> bool:
    """Return whether a thread keeps memory for a product and what is multiplied.

    Args:
        matrix: Acts on the second dimension.
        shape: Of what it multiplies.
    """
    lead, columns, *trail = shape
    return prod([lead, max(columns, matrix.rows), *trail]) <= MOST_KEPT


def _from_the_right(columns: Tensor) -> Operation:
    def times(window: Tensor, *, out: Tensor | None) -> Tensor:
        return torch.mm(window, columns, out=out)

    return times


@dataclass(frozen=True)
class _Kind:
    """All that views of memory depend on.

    Attributes:
        factors: What multiplies the canvas, one after the other.
        shape: Of the product, channels where the canvas has them in memory.
        dtype: Dtype of the canvas.
        is_last: Whether the canvas is channels last.
        is_new: Whether the last operation returns new memory.
    """

    factors: tuple[Factor, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_last: bool
    is_new: bool

    def as_canvas(self, result: Tensor) -> Tensor:
        """Return the product laid out as the canvas."""
        images = result.view(self.shape)
        if not self.is_last:
            return images
        return images.permute(0, -1, *range(1, images.dim() - 1))

    def views(self) -> "_Views":
        """Return views of memory that this thread keeps."""
        dtype = compute_dtype(self.dtype)
        buffers = Buffers(dtype)
        results = [
            buffers(f"smoothed {number}", *factor.result)
            for number, factor in enumerate(self.factors)
        ]
        givens: list[Tensor | tuple[Tensor, ...]] = []
        outputs: list[Tensor | None] = []
        for number, (factor, result) in enumerate(
            zip(self.factors, results, strict=True)
        ):
            if number:
                before = results[number - 1]
                givens.extend(factor.windows(before.view(factor.shape)))
            own = factor.outputs(result, buffers)
            if factor.are_joined:
                givens.append(tuple(own[:-1]))
            outputs.extend(own)
        if self.is_new:
            outputs[-1] = None
        images = rounded = self.as_canvas(results[-1])
        converted = None
        if self.dtype != dtype:
            converted = buffers("smoothed, before", *self.factors[0].shape)
            rounded = self.as_canvas(Buffers(self.dtype)("smoothed", *self.shape))
        return _Views(converted, tuple(givens), tuple(outputs), images, rounded)


@dataclass(frozen=True)
class _Views:
    """Views of memory that a thread keeps.

    Attributes:
        converted: The canvas in another dtype, if it needs one.
        givens: What operations take, after those on windows of the canvas.
        outputs: Where all operations write; ``None`` for new memory.
        images: The result, laid out as the canvas.
        rounded: The same in the dtype of the canvas.
    """

    converted: Tensor | None
    givens: tuple[Tensor | tuple[Tensor, ...], ...]
    outputs: tuple[Tensor | None, ...]
    images: Tensor
    rounded: Tensor


def kept_product(
    matrices: Sequence[tuple[BandedMatrix, tuple[int, ...]]],
    shape: Sequence[int],
    like: Tensor,
    *,
    lent: bool,
) -> Callable[[Tensor], Tensor]:
    """Return the product of matrices with canvases of one kind.

    Args:
        matrices: What multiplies the canvas, one after the other, each on the second
            dimension of a shape of two or three.
        shape: Of the product, channels where the canvas has them in memory.
        like: A canvas of the same shape, dtype and memory format, on a CPU.
        lent: Whether the result may lie in kept memory: the next call in the same
            thread, of this function or of another, overwrites it then.

    Returns:
        A function of the canvas.
    """
    factors = tuple(Factor.of(*each) for each in matrices)
    dtype, last = compute_dtype(like.dtype), factors[-1]
    is_whole = last.are_joined or len(last.matrix.blocks) == 1
    is_new = not lent and like.dtype == dtype and is_whole
    kind = _Kind(factors, tuple(shape), like.dtype, is_channels_last(like), is_new)
    layouts = tuple(factor.layout for factor in factors)
    key = _token(layouts, kind.shape, kind.dtype, kind.is_last, is_new)
    operations = tuple(chain.from_iterable(f.operations(dtype) for f in factors))
    flat, windows = factors[0].shape, factors[0].windows
    order = (0, *range(2, like.dim()), 1) if kind.is_last else tuple(range(like.dim()))

    def product(canvas: Tensor) -> Tensor:
        views = kept_views(key, kind.views)
        given = canvas.permute(order).reshape(flat)
        if views.converted is not None:
            given = views.converted.copy_(given)
        givens = (*windows(given), *views.givens)
        for operate, each, out in zip(operations, givens, views.outputs, strict=True):
            result = operate(each, out=out)
        if is_new:
            return kind.as_canvas(result)
        if not lent:
            return views.images.to(kind.dtype, copy=True)
        if views.converted is not None:
            views.rounded.copy_(views.images)
        return views.rounded

    return product


@lru_cache(maxsize=1024)
def _token(*_: object) -> object:
    """Return one object for equal arguments: it is found faster than they are."""
    return object()
