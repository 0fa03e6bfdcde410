"""A geometry laid on an input of one size: the canvas and the queries, in pixels.

Strategies see positions through a :class:`Grid` only. The canvas need not be laid
out for them: padding tokens that hold zeros change nothing but the normaliser of the
softmax, and where they are is a number per axis.
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
        geometry: The geometry that was laid out.
        size: Pixels of the input, per axis.
        canvas_size: Tokens of the canvas, padding tokens included, per axis.
        any_size: Whether the sizes may be symbols, which stand for other sizes too:
            then nothing that is decided by them holds.

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
        """Lay a geometry on an input.

        Args:
            geometry: Canvas and query grid.
            size: Pixels per axis of the input.

        Returns:
            The grid; the same object for the same arguments, while few are in use.

        Raises:
            InputError: As :meth:`ConvGeometry.check_input`.
        """
        sizes = tuple(map(int, size) if is_jit_traced() else size)  # else tensors
        return _grid(geometry, sizes, torch.compiler.is_compiling())

    def fixed(self) -> "Grid":
        """Return the grid with numbers for symbols.

        Returns:
            The same grid; a graph that is being traced takes no other size then.
        """
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
    def zeros_before(self) -> tuple[int, ...]:
        """Zero-valued tokens of the canvas before the first of :meth:`tokens`."""
        if not self.has_zero_tokens:
            return (0,) * len(self.size)
        return tuple(before for before, _ in self.geometry.token_padding)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the tokens that hold anything: the canvas less the zero tokens.

        Args:
            x: Input, (batch, channels, *size).

        Returns:
            The input itself, unless padding copies pixels.
        """
        return x if self.has_zero_tokens else self.geometry.canvas(x)

    def canvas(self, x: Tensor) -> Tensor:
        """Return all tokens.

        Args:
            x: Input, (batch, channels, *size).

        Returns:
            (batch, channels, *canvas_size).
        """
        return self.geometry.canvas(x)


def tokens_at(
    queries: Sequence[range], canvas: Float[Tensor, "batch channels ..."]
) -> Float[Tensor, "batch channels ..."]:
    """Return the token at each query; off the canvas, the nearest one.

    Args:
        queries: Query positions along each axis.
        canvas: The tokens.

    Returns:
        (batch, channels, *queries).
    """
    for axis, query in enumerate(queries, start=2):
        nearest = positions(query, canvas.device).clamp(0, canvas.shape[axis] - 1)
        canvas = canvas.index_select(axis, nearest)
    return canvas


@cached_unless_traced
def _grid(geometry: ConvGeometry, size: tuple[int, ...], any_size: bool, /) -> Grid:
    return Grid(geometry, size, geometry.canvas_size(size), any_size)
