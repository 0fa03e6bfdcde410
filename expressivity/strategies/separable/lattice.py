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
        """Return the lattice of a single head.

        Args:
            head: Its index.
            axes: Number of axes.

        Returns:
            One point, at the origin.
        """
        return cls((head,), ((0,) * axes,), (0,) * axes, (1,) * axes, (1,) * axes)

    @classmethod
    def spanned(cls, heads: Sequence[int], offsets: Sequence[Offset]) -> Self:
        """Return the lattice that just holds some heads.

        Args:
            heads: Indices of the heads.
            offsets: Center of each in pixels, counted from any origin.

        Returns:
            The lattice with the fewest points.
        """
        low = tuple(map(min, zip(*offsets, strict=True)))
        moved = [tuple(map(sub, offset, low)) for offset in offsets]
        step = tuple(max(1, math.gcd(*axis)) for axis in zip(*moved, strict=True))
        taps = tuple(tuple(map(floordiv, m, step)) for m in moved)
        counts = tuple(1 + max(axis) for axis in zip(*taps, strict=True))
        return cls(tuple(heads), taps, low, step, counts)

    @property
    def is_point(self) -> bool:
        """Whether all heads have one target."""
        return math.prod(self.counts) == 1

    def is_everyone(self, heads: int) -> bool:
        """Return whether these are all heads of a layer, each on its point, in order.

        Args:
            heads: Number of heads of the layer.

        Returns:
            Whether the kernel is the heads' matrices one after the other.
        """
        return self._is_ordered and len(self.heads) == heads

    @property
    def _is_ordered(self) -> bool:
        return self.heads == tuple(range(len(self.heads))) and self.taps == self.points

    @property
    def points(self) -> tuple[Offset, ...]:
        """All lattice points, in row-major order."""
        return tuple(product(*map(range, self.counts)))

    def targets(self, queries: Sequence[range]) -> list[range]:
        """Return the targets, less the origin, that some tap of some query reads.

        Args:
            queries: Query positions along each axis.

        Returns:
            One range an axis, no finer than the queries and taps need.
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
        """Return how many targets lie between neighbouring queries.

        Args:
            queries: Query positions along each axis.

        Returns:
            The stride of the convolution of the targets.
        """
        return [
            query.step // self._pitch(query, step, count)
            for query, step, count in zip(queries, self.step, self.counts, strict=True)
        ]

    def dilation(self, queries: Sequence[range]) -> list[int]:
        """Return how many targets lie between neighbouring taps.

        Args:
            queries: Query positions along each axis.

        Returns:
            The dilation of the convolution of the targets.
        """
        return [
            step // self._pitch(query, step, count) if count > 1 else 1
            for query, step, count in zip(queries, self.step, self.counts, strict=True)
        ]

    def kernel(
        self, matrices: Float[Tensor, "out_channels channels heads"]
    ) -> Float[Tensor, "out_channels channels *taps"]:
        """Lay the heads' matrices on the lattice; heads on one point add up.

        Args:
            matrices: One a head, of all heads of the layer.

        Returns:
            The kernel: a view where every head has its point, in order.
        """
        if not self.is_everyone(matrices.shape[2]):
            # Nothing is indexed by a tensor: a GPU would have to be waited for.
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
