"""What one group of heads adds to the output."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Self

import torch
from torch import Tensor

from expressivity.convolutions import convolve
from expressivity.grid import Grid
from expressivity.strategies.base import Heads, add_bias, are_recorded
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.plan import Step

# A multiplication of a smoothing takes as long as two of a projection.
_SMOOTHING_COST = 2
_MANY_TOKENS = 512


@dataclass(frozen=True)
class Part:
    """A group of heads: where they look, and what they carry from there.

    Attributes:
        step: Where they look, and how that is evaluated.
        weights: Their kernel; of heads with one target, the projections that tokens
            pass one after the other.
        place: Of heads with one target: how many of those come before the smoothing.
    """

    step: Step
    weights: tuple[Tensor, ...]
    place: int

    @classmethod
    def of(cls, step: Step, heads: Heads) -> Self:
        """Compose the projections of a group, as far as that is worth it.

        Args:
            step: Where the heads look.
            heads: Parameters of all heads.

        Returns:
            The part. Where the group is the whole layer, with one projection stored,
            its kernel is a view of that.
        """
        weights = _composed(heads, step.group.lattice)
        return cls(step, weights, _place_of_smoothing(weights, heads.groups, step))

    def attend(
        self,
        heads: Heads,
        grid: Grid,
        x: Tensor,
        bias: Tensor | None,
        total: Tensor | None = None,
    ) -> Tensor:
        """Return the output of the group.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
            x: The input.
            bias: Added to every output.
            total: Instead of the bias: the output of other groups, to be added to.

        Returns:
            (batch, out_channels, *queries).
        """
        step, groups = self.step, heads.groups
        if step.reading is not None:
            read, padding = step.reading(grid, x), step.reading.padding
            bias = self._with_zero_derivatives(bias, heads)
            if step.group.lattice.is_point:
                return _projected(read, self.weights, groups, bias, total)
        elif step.group.lattice.is_point:
            return self._smoothed_and_projected(heads, grid, x, bias, total)
        else:
            smoothing = step.smoothing_with(heads, grid)
            read, padding = smoothing(grid.tokens(x)), (0,) * len(grid.size)
        output = convolve(
            read,
            self.weights[0],
            bias,
            stride=step.stride,
            padding=padding,
            dilation=step.dilation,
            groups=groups,
        )
        return output if total is None else total + output

    def _smoothed_and_projected(
        self,
        heads: Heads,
        grid: Grid,
        x: Tensor,
        bias: Tensor | None,
        total: Tensor | None,
    ) -> Tensor:
        """Return the output of heads with one target: the order is free.

        A smoothing commutes with the projections of tokens.
        """
        smoothing, tokens = self.step.smoothing_with(heads, grid), grid.tokens(x)
        groups = heads.groups
        before, after = self.weights[: self.place], self.weights[self.place :]
        if after:
            tokens = smoothing(_projected(tokens, before, groups))
            return _projected(tokens, after, groups, bias, total)
        # A constant passes where no token is taken for zero.
        passed = None if grid.has_zero_tokens else bias
        output = smoothing(_projected(tokens, before, groups, passed))
        output = output if passed is bias else add_bias(output, bias)
        return output if total is None else total + output

    def _with_zero_derivatives(
        self, bias: Tensor | None, heads: Heads
    ) -> Tensor | None:
        """Let a bias depend on α and Δ of saturated heads: their derivatives are 0."""
        if not are_recorded([heads.alpha, heads.centers]):
            return bias
        chosen = list(self.step.group.lattice.heads)
        zero = (0 * heads.alpha[chosen]).sum() + (0 * heads.centers[chosen]).sum()
        if bias is None:
            return zero.expand(heads.out_channels)
        return bias + zero


def _composed(heads: Heads, lattice: Lattice) -> tuple[Tensor, ...]:
    """Return the kernel of some heads; of a single one, two projections if cheaper."""
    value, output = heads.value_weight, heads.output_weight
    if value is None or output is None:
        return (lattice.kernel(heads.projections[0].flatten(0, 1)),)
    (rank, channels), outputs = value.shape[1:3], output.shape[1]
    if len(lattice.heads) == 1 and rank * (outputs + channels) < outputs * channels:
        head, ones = lattice.heads[0], (1,) * len(lattice.counts)
        return tuple(
            weight[..., head].reshape(-1, weight.shape[2], *ones)
            for weight in (value, output)
        )
    return (lattice.kernel(heads.matrices().movedim(0, -1).flatten(0, 1)),)


def _place_of_smoothing(weights: tuple[Tensor, ...], groups: int, step: Step) -> int:
    """Return how many projections come before the smoothing.

    Those act on every token, the others on the targets only; the place is the one
    where everything together takes the fewest multiplications.
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
    weights: tuple[Tensor, ...],
    groups: int,
    bias: Tensor | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Pass every token through projections; add a bias or a total to the last."""
    ones = (1,) * (tokens.dim() - 2)
    for index, weight in enumerate(weights, start=1):
        last = index == len(weights)
        added = (bias, total) if last else (None, None)
        if groups == 1 and _suits_a_product(tokens):
            tokens = _product(weight.flatten(1), tokens, *added)
        else:
            tokens = convolve(
                tokens, weight, added[0], stride=ones, dilation=ones, groups=groups
            )
            tokens = tokens if added[1] is None else added[1] + tokens
    return tokens


def _suits_a_product(tokens: Tensor) -> bool:
    """Whether a product of matrices is no slower than the convolution that it is."""
    # On a CPU it is up to twice as fast for one image, or for large ones; many small
    # ones together are better convolved.
    return tokens.shape[0] == 1 or prod(tokens.shape[2:]) >= _MANY_TOKENS


def _product(
    weight: Tensor, tokens: Tensor, bias: Tensor | None, total: Tensor | None
) -> Tensor:
    """Multiply every token by a matrix, and add a bias or a total."""
    flat = tokens.flatten(2)
    weights = weight.expand(flat.shape[0], *weight.shape)
    if bias is not None:
        product = torch.baddbmm(bias[:, None], weights, flat)
    elif total is not None:
        product = torch.baddbmm(total.flatten(2), weights, flat)
    else:
        product = torch.bmm(weights, flat)
    return product.reshape(tokens.shape[0], -1, *tokens.shape[2:])
