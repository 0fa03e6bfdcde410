"""What one group of heads adds to the output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Self, TypeGuard

from torch import Tensor

from expressivity.convolutions import FUNCTIONS
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.heads.stencils import Stencils, kind_of
from expressivity.machine.memory_format import in_format_of
from expressivity.strategies.base import Attend, add_bias
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.reading import Reading
from expressivity.strategies.separable.strips import are_worth_it, in_strips

# How tokens are smoothed; and the stencils, if it is by those.
_Smoothing = tuple[Attend, Stencils | None]

# A multiplication of a smoothing takes as long as two of a projection.
_SMOOTHING_COST = 2


@dataclass(frozen=True)
class Part:
    """A group of heads: what they attend to, and what they carry from there.

    Attributes:
        step: What they attend to, and how that is evaluated.
        weights: Their kernel; for heads with one target, the matrices that multiply a
            token, one after the other, as kernels of one tap.
        place: How many of those come before the smoothing.
        groups: Groups of channels.
        stride: Pixels between the outputs of the kernel.
        dilation: Pixels between its taps.
    """

    step: Step
    weights: tuple[Tensor, ...]
    place: int
    groups: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, step: Step, heads: Heads) -> Self:
        """Return a group with its projections composed, as far as that is worth it.

        Where the group is the whole layer and one projection is the identity, the
        kernel is a view of the other.
        """
        weights, groups = _composed(heads, step.group.lattice), heads.groups
        if not step.group.lattice.is_point:
            return cls(step, weights, 0, groups, step.stride, step.dilation)
        # Their targets are read at the stride already.
        ones = (1,) * len(step.stride)
        place = _place_of_smoothing(weights, groups, step)
        kernels = tuple(weight.reshape(*weight.shape, *ones) for weight in weights)
        return cls(step, kernels, place, groups, ones, ones)

    def attend(
        self,
        heads: Heads,
        grid: Grid,
        tokens: Tensor,
        base: Tensor | None,
    ) -> Tensor:
        """Return the output of the group, added to what is there already.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
            tokens: What :meth:`Grid.tokens` returns.
            base: What the output is added to: a bias, (out_channels,), or the output of
                other groups, (batch, out_channels, *queries).

        Returns:
            (batch, out_channels, *queries).
        """
        step = self.step
        if isinstance(step.prepared, Reading):
            return self._read(step.prepared, grid, tokens, base)

        def choose(given: Tensor) -> _Smoothing:
            stencils = step.stencils_for(given)
            return stencils or step.smoothing_with(heads, grid), stencils

        return self._smoothed(choose, grid, tokens, base)

    def prepared(self, heads: Heads, grid: Grid) -> Attend:
        """Return :meth:`attend` as a function of the input, for a layer without others.

        The inputs have one shape and dtype. What they are smoothed by is chosen once,
        or once for each kind of them. Autocast is off.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
        """
        step, bias, kept = self.step, heads.bias, dict[object, _Smoothing]()
        reading = step.prepared
        if isinstance(reading, Reading):
            return lambda x: self._read(reading, grid, grid.tokens(x), bias)

        def choose(given: Tensor) -> _Smoothing:
            kind = kind_of(given)
            if kind not in kept:
                stencils = step.stencils_for(given)
                smoothing = stencils or step.smoothing_with(heads, grid)
                kept[kind] = smoothing.prepared(given), stencils
            return kept[kind]

        return lambda x: self._smoothed(choose, grid, grid.tokens(x), bias)

    def _read(
        self, reading: Reading, grid: Grid, tokens: Tensor, base: Tensor | None
    ) -> Tensor:
        """Convolve the pixels that saturated heads read."""
        pixels = reading(grid, tokens)
        return self._convolved(pixels, self.weights, base, reading.padding)

    def _smoothed(
        self,
        choose: Callable[[Tensor], _Smoothing],
        grid: Grid,
        tokens: Tensor,
        base: Tensor | None,
    ) -> Tensor:
        """Smooth between the projections before and after."""
        before, after = self.weights[: self.place], self.weights[self.place :]
        if before:
            # Rows that sum to one leave a constant as it is.
            early = not after and _is_bias(base) and not grid.has_zero_tokens
            tokens = self._convolved(tokens, before, base if early else None)
            base = None if early else base
        smooth, stencils = choose(tokens)
        if stencils is None or not are_worth_it(tokens, after):
            return self._finished(smooth(tokens), tokens, after, base)
        bias, total = (base, None) if _is_bias(base) else (None, base)
        taps, channels = 1, tokens.shape[1]
        if after:
            taps, channels = after[0].shape[2], after[-1].shape[0]
        output = in_strips(
            stencils,
            lambda pixels: self._finished(pixels, tokens, after, bias),
            tokens,
            (len(tokens), channels, *map(len, grid.queries)),
            stride=self.stride[0],
            reach=1 + self.dilation[0] * (taps - 1),
        )
        return _sum(output, total)

    def _finished(
        self,
        pixels: Tensor,
        given: Tensor,
        kernels: tuple[Tensor, ...],
        base: Tensor | None,
    ) -> Tensor:
        """Return what smoothed pixels add to the output."""
        if not kernels:
            return add_bias(pixels, base) if _is_bias(base) else _sum(pixels, base)
        if kernels[0].numel() > pixels.numel():
            # Stencils return channels last, and torch copies the kernel to that format
            # if it was made for another one: a large kernel stays as it is.
            pixels = in_format_of(given, pixels)
        return self._convolved(pixels, kernels, base)

    def _convolved(
        self,
        tokens: Tensor,
        kernels: tuple[Tensor, ...],
        base: Tensor | None,
        padding: Sequence[int] | int = 0,
    ) -> Tensor:
        """Convolve with one kernel after the other, and add a bias or an output."""
        function = FUNCTIONS[tokens.dim() - 2]
        bias, total = (base, None) if _is_bias(base) else (None, base)
        for kernel in kernels:
            added = bias if kernel is kernels[-1] else None
            tokens = function(
                tokens,
                kernel,
                added,
                self.stride,
                padding,
                self.dilation,
                self.groups,
            )
        return _sum(tokens, total)


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


def _is_bias(base: Tensor | None) -> TypeGuard[Tensor]:
    """Whether an output is added to a bias, not to another output or to nothing."""
    return base is not None and base.dim() == 1


def _sum(output: Tensor, total: Tensor | None) -> Tensor:
    return output if total is None else total + output
