"""Windows of displacements, and which queries reach which part of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from jaxtyping import Int
from torch import Tensor

from expressivity.checks import integers, shown
from expressivity.errors import ArgumentError, InputError
from expressivity.geometry.positions import grid_positions
from expressivity.machine.caching import cached_unless_traced

# Pixels; no canvas is so wide.
_FARTHEST = 2**24


class Stretch(NamedTuple):
    """Queries along one axis that reach the same entries of a window.

    Attributes:
        queries: Their positions, in pixels of the canvas.
        entries: Indices of the entries whose tokens are on the canvas.
    """

    queries: range
    entries: range


@dataclass(frozen=True)
class Window:
    """A box of displacements that heads may attend to.

    Attributes:
        low: The first displacement, in pixels, per axis.
        size: Displacements per axis.
        step: Pixels from one to the next, per axis.

    Raises:
        ArgumentError: If the fields differ in their number of axes, or a size or a
            step is below 1.

    Example:
        >>> Window(low=(-2,), size=(3,), step=(2,)).displacements().tolist()
        [[-2], [0], [2]]
    """

    low: tuple[int, ...]
    size: tuple[int, ...]
    step: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.low) == len(self.size) == len(self.step):
            raise ArgumentError(
                "low, size and step of a window need one integer per axis each, got "
                f"{self.low}, {self.size} and {self.step}"
            )
        if min(self.size) < 1 or min(self.step) < 1:
            raise ArgumentError(
                "size and step of a window need to be at least 1, got "
                f"{self.size} and {self.step}"
            )

    @classmethod
    def of(cls, low: object, size: object, step: object) -> Self:
        """Return a window, given attributes that need not be tuples of integers.

        Raises:
            ArgumentError: If one is no sequence of integers.
        """
        fields = {"low": low, "size": size, "step": step}
        numbers = {name: integers(value) for name, value in fields.items()}
        for name, value in numbers.items():
            if not value or max(map(abs, value)) > _FARTHEST:
                raise ArgumentError(
                    f"{name} of a window needs one integer an axis, within "
                    f"±{_FARTHEST} pixels, got {shown(fields[name])}"
                )
        return cls(*(value or () for value in numbers.values()))

    def displacements(
        self, device: torch.device | str = "cpu"
    ) -> Int[Tensor, "entries axes"]:
        """Return the displacements in pixels, in row-major order."""
        axes = zip(self.low, self.size, self.step, strict=True)
        return grid_positions([range(a, a + n * s, s) for a, n, s in axes], device)

    def stretches(
        self, queries: Sequence[range], canvas_size: Sequence[int]
    ) -> tuple[tuple[Stretch, ...], ...]:
        """Part the queries of each axis by the entries that lie on the canvas for them.

        Args:
            queries: Query positions along each axis.
            canvas_size: Tokens along each axis.

        Returns:
            The stretches of each axis, in order: a single one where every query reaches
            the whole window.

        Raises:
            InputError: If some query reaches no token.

        Example:
            >>> Window((-1,), (3,), (1,)).stretches([range(5)], [5])[0][:2]
            (Stretch(queries=range(0, 1), entries=range(1, 3)),
             Stretch(queries=range(1, 4), entries=range(0, 3)))
        """
        axes = zip(self.low, self.size, self.step, queries, canvas_size, strict=True)
        stretches = tuple(_stretches_along(*axis) for axis in axes)
        for axis, stretches_of_axis in enumerate(stretches):
            for query, entries in stretches_of_axis:
                if not len(entries):
                    raise InputError(
                        f"axis {axis}: the window of displacements from "
                        f"{self.low[axis]} to "
                        f"{self.low[axis] + self.step[axis] * (self.size[axis] - 1)} "
                        f"needs to reach a token from every query, got none from "
                        f"{query[0]} on a canvas of {canvas_size[axis]}: widen the "
                        "window or enlarge the input"
                    )
        return stretches


@cached_unless_traced
def _stretches_along(
    low: int, size: int, step: int, query: range, tokens: int
) -> tuple[Stretch, ...]:
    stretches: list[Stretch] = []
    first, stop, start = -1, -1, 0
    for place in query:
        before = (first, stop)
        first = max(0, -((place + low) // step))
        stop = max(first, min(size, (tokens - 1 - place - low) // step + 1))
        if (first, stop) == before:
            stretches.pop()
        else:
            start = place
        queries = range(start, place + 1, query.step)
        stretches.append(Stretch(queries, range(first, stop)))
    return tuple(stretches)
