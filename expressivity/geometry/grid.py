"""A geometry at one input size: the canvas and the queries, in pixels.

Strategies learn positions from a :class:`Grid` only. Few of them need the whole canvas:
a padding token of zeros changes nothing but the normaliser of the softmax, and a number
per axis says where such tokens are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.geometry import ConvGeometry
from expressivity.geometry.positions import positions
from expressivity.machine.caching import CachedHash, cached_unless_traced
from expressivity.machine.recording import is_jit_traced


@dataclass(frozen=True)
class Grid(CachedHash):
    """Where the tokens and the queries of one input size are.

    Attributes:
        geometry: The canvas and the queries, for every size.
        size: Pixels of the input, per axis.
        canvas_size: Tokens of the canvas, padding tokens included, per axis.
        any_size: Whether the sizes may be symbols of a tracer. A symbol stands for
            other sizes too, so that no decision may depend on it.

    Example:
        >>> grid = Grid.of(ConvGeometry.create((3,), padding=1), (5,))
        >>> grid.canvas_size, grid.queries
        ((7,), (range(1, 6),))
    """

    geometry: ConvGeometry
    size: tuple[int, ...]
    canvas_size: tuple[int, ...]
    any_size: bool = False

    @staticmethod
    def of(geometry: ConvGeometry, size: Sequence[int]) -> "Grid":
        """Return the grid of a geometry and an input size, from a cache if possible.

        It raises an ``InputError`` as :meth:`ConvGeometry.check_input` does.
        """
        sizes = tuple(map(int, size) if is_jit_traced() else size)  # else tensors
        return _grid(geometry, sizes, torch.compiler.is_compiling())

    def fixed(self) -> "Grid":
        """Return the same grid with numbers for symbols, for a graph of this size."""
        if not self.any_size:
            return self
        numbers = tuple(len(range(pixels)) for pixels in self.size)  # no symbols
        return _grid(self.geometry, numbers, False)

    @property
    def queries(self) -> tuple[range, ...]:
        """Query positions in pixels of the canvas, one range an axis."""
        return self.geometry.queries(self.size)

    @property
    def has_zero_tokens(self) -> bool:
        """Whether padding tokens that hold zeros are on the canvas."""
        padded = any(map(any, self.geometry.token_padding))
        return padded and self.geometry.padding_mode == "zeros"

    @property
    def copies_pixels(self) -> bool:
        """Whether padding tokens that hold other pixels are on the canvas."""
        return not self.has_zero_tokens and any(map(any, self.geometry.token_padding))

    @property
    def zeros_before(self) -> tuple[int, ...]:
        """Zero-valued tokens of the canvas before the first of :meth:`tokens`."""
        if not self.has_zero_tokens:
            return (0,) * len(self.size)
        return tuple(before for before, _ in self.geometry.token_padding)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the canvas of an input less the tokens of zeros.

        That is the input itself, (batch, channels, *size), unless padding copies it.
        """
        return x if self.has_zero_tokens else self.geometry.canvas(x)

    def canvas(self, x: Tensor) -> Tensor:
        """Return all tokens of an input, (batch, channels, *canvas_size)."""
        return self.geometry.canvas(x)


def tokens_at(
    queries: Sequence[range], canvas: Float[Tensor, "batch channels ..."]
) -> Float[Tensor, "batch channels ..."]:
    """Return the token at each query; off the canvas, the nearest one.

    Args:
        queries: Query positions along each axis.
        canvas: The tokens.
    """
    for axis, query in enumerate(queries, start=2):
        nearest = positions(query, canvas.device).clamp(0, canvas.shape[axis] - 1)
        canvas = canvas.index_select(axis, nearest)
    return canvas


@cached_unless_traced
def _grid(geometry: ConvGeometry, size: tuple[int, ...], any_size: bool, /) -> Grid:
    return Grid(geometry, size, geometry.canvas_size(size), any_size)
