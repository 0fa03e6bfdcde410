"""The smoothing identity: attention is a smoothing and a convolution.

Attention of a head depends on query and head only through the target t = q + Δ_h.
Heads that share α, and centers that differ by whole pixels, therefore read the same
smoothed canvas G_α X, and together they are one convolution of it without padding:

    Attn_α(X) = Conv_W(G_α X)    (DESIGN 2.3), exact at every α and every border.

Heads that share nothing form groups of one, each with a smoothing of its own.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from expressivity.convolutions import convolve
from expressivity.encoding import positions
from expressivity.precision import compute_dtype
from expressivity.smoothing import apply_per_axis, axis_smoothing
from expressivity.strategies.base import Heads, Queries

# A lattice with more empty points per head than this is not worth one kernel.
_SPARSEST = 4


@dataclass(frozen=True)
class Separable:
    """Smooth the canvas along each axis, then convolve it."""

    name: str = "separable"
    summary: str = "one smoothing per group of heads, then a convolution"

    def why_not(self, heads: Heads, queries: Queries, canvas: Tensor) -> str | None:
        """Refuse content terms.

        Args:
            heads: Parameters of the heads.
            queries: Query positions along each axis.
            canvas: The tokens.

        Returns:
            The reason, or ``None``.
        """
        if heads.content is not None:
            return "content scores do not factorise over the axes"
        return None

    def attend(
        self,
        heads: Heads,
        queries: Queries,
        canvas: Float[Tensor, "batch channels ..."],
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return Σ over groups of Conv(G_α X), at every query.

        Args:
            heads: Parameters of the heads.
            queries: Query positions along each axis.
            canvas: The tokens.

        Returns:
            The attention output, without bias.
        """
        dtype = compute_dtype(heads.alpha.dtype)
        matrices = heads.matrices().flatten(1, 2)

        def attend_group(group: _Group) -> Tensor:
            alpha, center = heads.alpha[group.first], heads.centers[group.first]
            smoothing = [
                axis_smoothing(
                    positions(targets, alpha.device) + center[axis].to(dtype),
                    keys,
                    alpha.to(dtype),
                )
                for axis, (targets, keys) in enumerate(
                    zip(group.targets(queries), canvas.shape[2:], strict=True)
                )
            ]
            return convolve(
                apply_per_axis(canvas, smoothing),
                group.kernel(matrices),
                stride=group.stride(queries),
                dilation=group.step,
                groups=heads.groups,
            )

        first, *others = map(attend_group, _groups(heads))
        if not others:
            return first
        # Half precision would lose digits with every head.
        wide = (part.to(compute_dtype(part.dtype)) for part in (first, *others))
        return reduce(torch.add, wide).to(first.dtype)


@dataclass(frozen=True)
class _Group:
    """Heads that share α and whose centers lie on one lattice.

    Attributes:
        heads: Their indices.
        taps: Lattice point of each head, counted from the corner.
        low: Pixels from the center of the first head to the corner, per axis.
        step: Pixels between lattice points, per axis.
        counts: Lattice points per axis.
    """

    heads: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]
    low: tuple[int, ...]
    step: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def alone(cls, head: int, axes: int) -> Self:
        """Return the group of one head."""
        return cls((head,), ((0,) * axes,), (0,) * axes, (1,) * axes, (1,) * axes)

    @classmethod
    def spanned(cls, heads: Sequence[int], offsets: Sequence[tuple[int, ...]]) -> Self:
        """Return the group whose lattice just holds these offsets in pixels."""
        low = tuple(map(min, zip(*offsets, strict=True)))
        moved = [tuple(map(int.__sub__, offset, low)) for offset in offsets]
        step = tuple(max(1, math.gcd(*axis)) for axis in zip(*moved, strict=True))
        taps = tuple(tuple(map(int.__floordiv__, m, step)) for m in moved)
        counts = tuple(1 + max(axis) for axis in zip(*taps, strict=True))
        return cls(tuple(heads), taps, low, step, counts)

    @property
    def first(self) -> int:
        """The head whose center the offsets are counted from."""
        return self.heads[0]

    @property
    def lattice(self) -> tuple[tuple[int, ...], ...]:
        """All lattice points, in row-major order."""
        return tuple(product(*map(range, self.counts)))

    def targets(self, queries: Queries) -> list[range]:
        """Return the targets, less the first center, that some tap reads."""
        return [
            range(
                query.start + low,
                query[-1] + low + step * (count - 1) + 1,
                1 if count > 1 else query.step,
            )
            for query, low, step, count in zip(
                queries, self.low, self.step, self.counts, strict=True
            )
        ]

    def stride(self, queries: Queries) -> list[int]:
        """Return how many targets lie between neighbouring queries."""
        return [
            query.step if count > 1 else 1
            for query, count in zip(queries, self.counts, strict=True)
        ]

    def kernel(
        self, matrices: Float[Tensor, "heads out_channels channels"]
    ) -> Float[Tensor, "out_channels channels *taps"]:
        """Lay the heads' matrices on the lattice; heads on one tap add up."""
        everyone = self.heads == tuple(range(len(matrices)))
        used = matrices if everyone else matrices[list(self.heads)]
        lattice = self.lattice
        if self.taps != lattice:
            spots = torch.tensor(list(map(lattice.index, self.taps)))
            empty = used.new_zeros(len(lattice), *used.shape[1:])
            used = empty.index_add(0, spots.to(used.device), used)
        return used.movedim(0, -1).reshape(*used.shape[1:], *self.counts)


def _groups(heads: Heads) -> Iterator[_Group]:
    """Yield groups of heads that can share a smoothing and a kernel."""
    axes = heads.centers.shape[1]
    values = None if _each_alone(heads) else _values(heads)
    if values is None:
        yield from (_Group.alone(head, axes) for head in range(heads.alpha.shape[0]))
        return
    alphas, centers = values
    shared: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for head, alpha in enumerate(alphas):
        fractions = (c - math.floor(c) for c in centers[head])
        shared[(alpha, *fractions)].append(head)
    for members in shared.values():
        origin = centers[members[0]]
        offsets = [
            tuple(round(c - o) for c, o in zip(centers[head], origin, strict=True))
            for head in members
        ]
        group = _Group.spanned(members, offsets)
        if math.prod(group.counts) <= _SPARSEST * len(members):
            yield group
        else:
            yield from (_Group.alone(head, axes) for head in members)


def _each_alone(heads: Heads) -> bool:
    """Whether the values of α and Δ must not decide how heads are grouped."""
    # Derivatives are asked for head by head, and a graph that is traced once may
    # later run with other values.
    parameters = (heads.alpha, heads.centers)
    return (
        torch.compiler.is_compiling()
        or (torch.is_grad_enabled() and any(p.requires_grad for p in parameters))
        or any(forward_ad.unpack_dual(p).tangent is not None for p in parameters)
    )


def _values(heads: Heads) -> tuple[list[float], list[list[float]]] | None:
    """Return α and Δ, or ``None`` where they have no values: meta, vmap, NaN."""
    try:
        alphas = heads.alpha.detach().double().tolist()
        centers = heads.centers.detach().double().tolist()
    except RuntimeError:
        return None
    finite = all(math.isfinite(c) for center in centers for c in center)
    return (alphas, centers) if finite else None
