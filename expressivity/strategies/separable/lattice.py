"""Heads whose centers lie on one lattice of whole pixels: the taps of a convolution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import floordiv, sub
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

Offset = tuple[int, ...]


@dataclass(frozen=True)
class Lattice:
    """Heads on the points of a lattice, and where their targets are.

    Attributes:
        heads: Their indices.
        taps: Lattice point of each head, counted from the corner.
        low: Pixels from the origin of the offsets to the corner, per axis.
        step: Pixels between lattice points, per axis.
        counts: Lattice points per axis.
    """

    heads: tuple[int, ...]
    taps: tuple[Offset, ...]
    low: Offset
    step: Offset
    counts: Offset

    @classmethod
    def point(cls, head: int, axes: int) -> Self:
        """Return the lattice of a single head: one point, at the origin."""
        return cls((head,), ((0,) * axes,), (0,) * axes, (1,) * axes, (1,) * axes)

    @classmethod
    def spanned(cls, heads: Sequence[int], offsets: Sequence[Offset]) -> Self:
        """Return the lattice with the fewest points that holds some heads.

        Args:
            heads: Indices of the heads.
            offsets: Center of each in pixels, counted from any origin.
        """
        low = tuple(map(min, zip(*offsets, strict=True)))
        from_corner = [tuple(map(sub, offset, low)) for offset in offsets]
        step = tuple(max(1, math.gcd(*axis)) for axis in zip(*from_corner, strict=True))
        taps = tuple(tuple(map(floordiv, point, step)) for point in from_corner)
        counts = tuple(1 + max(axis) for axis in zip(*taps, strict=True))
        return cls(tuple(heads), taps, low, step, counts)

    @property
    def is_point(self) -> bool:
        """Whether all heads have one target."""
        return math.prod(self.counts) == 1

    def is_everyone(self, heads: int) -> bool:
        """Return whether a layer has these heads and no others, in the order of points.

        The kernel is then the matrices of the heads, one after the other.

        Args:
            heads: Number of heads of the layer.
        """
        return self.heads == tuple(range(heads)) and self.taps == self.points

    @property
    def points(self) -> tuple[Offset, ...]:
        """All lattice points, in row-major order."""
        return tuple(product(*map(range, self.counts)))

    def targets(self, queries: Sequence[range]) -> list[range]:
        """Return the targets, less the origin, along each axis.

        The ranges are no finer than the queries and the taps need.
        """
        return [
            range(
                query.start + low,
                query[-1] + low + step * (count - 1) + 1,
                self._pitch(query, step, count),
            )
            for query, low, step, count in zip(
                queries, self.low, self.step, self.counts, strict=True
            )
        ]

    def stride(self, queries: Sequence[range]) -> list[int]:
        """Return the stride of the convolution of the targets: targets per query."""
        return [
            query.step // self._pitch(query, step, count)
            for query, step, count in zip(queries, self.step, self.counts, strict=True)
        ]

    def dilation(self, queries: Sequence[range]) -> list[int]:
        """Return the dilation of the convolution of the targets: targets per tap."""
        return [
            step // self._pitch(query, step, count) if count > 1 else 1
            for query, step, count in zip(queries, self.step, self.counts, strict=True)
        ]

    def kernel(
        self, matrices: Float[Tensor, "out_channels channels heads"]
    ) -> Float[Tensor, "out_channels channels *taps"]:
        """Return the matrices of all heads laid on the lattice, as a kernel.

        Heads on one point add up. The kernel is a view if the lattice is everyone's.
        """
        if not self.is_everyone(matrices.shape[2]):
            # No index is a tensor: the code would wait for a GPU.
            nothing = torch.zeros_like(matrices[..., 0])
            at = dict.fromkeys(self.points, nothing)
            for head, tap in zip(self.heads, self.taps, strict=True):
                at[tap] = at[tap] + matrices[..., head]
            matrices = torch.stack(list(at.values()), -1)
        return matrices.reshape(*matrices.shape[:2], *self.counts)

    @staticmethod
    def _pitch(query: range, step: int, count: int) -> int:
        """Pixels between neighbouring targets along one axis."""
        return math.gcd(query.step, step) if count > 1 else query.step
