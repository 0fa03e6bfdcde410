"""What one group of heads adds to the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Self, TypeGuard

from torch import Tensor

from expressivity.convolutions import convolve
from expressivity.geometry.grid import Grid
from expressivity.heads.axis_product import AxisProduct, Scratch
from expressivity.heads.parameters import Heads
from expressivity.strategies.base import add_bias
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.reading import Reading

# A multiplication of a smoothing takes as long as two of a projection.
_SMOOTHING_COST = 2


@dataclass(frozen=True)
class Part:
    """A group of heads: what they attend to, and what they carry from there.

    Attributes:
        step: What they attend to, and how that is evaluated.
        weights: Their kernel; for heads with one target, the matrices that multiply a
            token, one after the other.
        place: For heads with one target: how many matrices come before the smoothing.
    """

    step: Step
    weights: tuple[Tensor, ...]
    place: int

    @classmethod
    def of(cls, step: Step, heads: Heads) -> Self:
        """Return a group with its projections composed, as far as that is worth it.

        Where the group is the whole layer and one projection is the identity, the
        kernel is a view of the other.
        """
        weights = _composed(heads, step.group.lattice)
        return cls(step, weights, _place_of_smoothing(weights, heads.groups, step))

    def attend(
        self,
        heads: Heads,
        grid: Grid,
        tokens: Tensor,
        base: Tensor | None,
        scratch: Scratch | None = None,
    ) -> Tensor:
        """Return the output of the group, added to what is there already.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
            tokens: What :meth:`Grid.tokens` returns.
            base: What the output is added to: a bias, (out_channels,), or the output of
                other groups, (batch, out_channels, *queries).
            scratch: Buffers to overwrite; the output of other groups may then be
                overwritten too.

        Returns:
            (batch, out_channels, *queries).
        """
        step, point = self.step, self.step.group.lattice.is_point
        if isinstance(step.prepared, Reading):
            pixels, padding = step.prepared(grid, tokens), step.prepared.padding
            if point:
                return _projected(pixels, self.weights, heads.groups, base)
        else:
            smoothing = step.smoothing_with(heads, grid)
            if point:
                # Rows that sum to one leave a constant as it is.
                early = not grid.has_zero_tokens
                return self._commuted(
                    tokens, smoothing, heads.groups, base, scratch, early=early
                )
            pixels, padding = smoothing(tokens), (0,) * len(grid.size)
        return _convolved(
            pixels,
            self.weights[0],
            base,
            stride=step.stride,
            padding=padding,
            dilation=step.dilation,
            groups=heads.groups,
        )

    def _commuted(
        self,
        tokens: Tensor,
        smoothing: AxisProduct,
        groups: int,
        base: Tensor | None,
        scratch: Scratch | None,
        *,
        early: bool,
    ) -> Tensor:
        """Smooth and project for one target; a bias may go in before, if early."""
        before, after = self.weights[: self.place], self.weights[self.place :]
        if before:
            early = early and not after and _is_bias(base)
            tokens = _projected(tokens, before, groups, base if early else None)
            base = None if early else base
        tokens = smoothing(tokens, scratch)
        if after:
            return _projected(tokens, after, groups, base)
        return add_bias(tokens, base) if _is_bias(base) else _sum(tokens, base)


def _composed(heads: Heads, lattice: Lattice) -> tuple[Tensor, ...]:
    """Return the kernel of some heads; of a single one, two projections if cheaper."""
    value, output = heads.value_weight, heads.output_weight
    if value is None or output is None:
        kernel = lattice.kernel(heads.projections[0].flatten(0, 1))
    elif len(lattice.heads) == 1:
        inner, outer = (weight[..., lattice.heads[0]] for weight in (value, output))
        (rank, channels), outputs = inner.shape[1:], outer.shape[1]
        if rank * (outputs + channels) < outputs * channels:
            return inner.flatten(0, 1), outer.flatten(0, 1)
        kernel = (outer @ inner).flatten(0, 1)
    else:
        kernel = lattice.kernel(_matrices(heads))
    return (kernel.flatten(1) if lattice.is_point else kernel,)


def _matrices(heads: Heads) -> Tensor:
    """Return W_outᵀ W_valᵀ of every head, heads last, composed once for all grids."""

    def compose() -> Tensor:
        return heads.matrices().movedim(0, -1).flatten(0, 1).contiguous()

    return heads.memo.get("matrices", heads.projections, compose, differentiable=True)


def _place_of_smoothing(weights: tuple[Tensor, ...], groups: int, step: Step) -> int:
    """Return how many projections come before the smoothing.

    Those act on every token, the others on the targets only. The place is the one with
    the fewest multiplications altogether.
    """
    widths = (weights[0].shape[1] * groups, *(weight.shape[0] for weight in weights))
    mixing = [a * b // groups for a, b in pairwise(widths)]
    costs = [
        sum(mixing[:place]) * step.tokens
        + width * step.cost * _SMOOTHING_COST
        + sum(mixing[place:]) * prod([len(targets) for targets in step.targets])
        for place, width in enumerate(widths)
    ]
    return costs.index(min(costs))


def _projected(
    tokens: Tensor,
    matrices: tuple[Tensor, ...],
    groups: int,
    base: Tensor | None = None,
) -> Tensor:
    """Multiply every token by matrices, and add a bias or an output at the end."""
    # A product of matrices is slower than this convolution on some processors, and
    # rounds otherwise than the convolution that the heads came from.
    ones = (1,) * (tokens.dim() - 2)
    for matrix in matrices:
        kernel = matrix.reshape(*matrix.shape, *ones)
        added = base if matrix is matrices[-1] else None
        tokens = _convolved(
            tokens, kernel, added, stride=ones, dilation=ones, groups=groups
        )
    return tokens


def _convolved(
    tokens: Tensor,
    kernel: Tensor,
    base: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | int = 0,
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolve, and add a bias or an output."""
    bias, total = (base, None) if _is_bias(base) else (None, base)
    output = convolve(
        tokens,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    return _sum(output, total)


def _is_bias(base: Tensor | None) -> TypeGuard[Tensor]:
    """Whether an output is added to a bias, not to another output or to nothing."""
    return base is not None and base.dim() == 1


def _sum(output: Tensor, total: Tensor | None) -> Tensor:
    return output if total is None else total + output
