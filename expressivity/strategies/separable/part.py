"""What one group of heads adds to the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from math import prod
from typing import Self, TypeGuard

import torch
from torch import Tensor

from expressivity.convolutions import FUNCTIONS, is_product_faster, prepared_product
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.heads.stencils import Stencils
from expressivity.machine.memory_format import format_of, in_format
from expressivity.machine.recording import are_recorded, is_ordinary
from expressivity.numbers.precision import autocast_is_on
from expressivity.strategies.base import Attend, add_bias
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.reading import Reading
from expressivity.strategies.separable.strips import are_worth_it, in_strips

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

    def describe(self, heads: Heads, tokens: Tensor) -> str:
        """Say in a line what the group does.

        Args:
            heads: Parameters of all heads.
            tokens: What :meth:`Grid.tokens` returns.

        Returns:
            What :meth:`Step.describe` says of the tokens after the first projections.
        """
        batch, channels, *size = tokens.shape
        if self.place:
            channels = self.weights[self.place - 1].shape[0]
        smoothed = torch.empty(
            (batch, channels, *size),
            dtype=tokens.dtype,
            device=tokens.device,
            memory_format=format_of(tokens),
        )
        return self.step.describe(heads.dtype, smoothed, heads.out_channels)

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
        reading = self.step.prepared
        if isinstance(reading, Reading):
            mix = self._mixing(self.weights, base, padding=reading.padding)
            return mix(reading(grid, tokens))
        tokens = self._projection(grid, tokens, base)(tokens)
        return self._smoothing(heads, grid, tokens, base)(tokens)

    def prepared(self, heads: Heads, grid: Grid) -> Attend:
        """Return :meth:`attend` as a function of the input, for a layer without others.

        The inputs are of one kind, as :meth:`Strategy.prepared` has it. What they are
        smoothed by is chosen for the first.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
        """
        reading, bias = self.step.prepared, heads.bias
        if isinstance(reading, Reading):
            mix = self._mixing(self.weights, bias, padding=reading.padding)
            if reading.is_plain and not grid.copies_pixels:
                return mix
            return lambda x: mix(reading(grid, grid.tokens(x)))
        copies, projects = grid.copies_pixels, self.place > 0
        kept: list[tuple[Attend, Attend]] = []

        def attend(x: Tensor) -> Tensor:
            tokens = grid.tokens(x) if copies else x
            if kept:
                project, smooth = kept[0]
                return smooth(project(tokens) if projects else tokens)
            project = self._projection(grid, tokens, bias)
            tokens = project(tokens)
            smooth = self._smoothing(heads, grid, tokens, bias, repeats=True)
            kept.append((project, smooth))  # several threads may: all choose the same
            return smooth(tokens)

        return attend

    def _adds_early(self, grid: Grid, base: Tensor | None) -> bool:
        """Whether a bias is added before the smoothing."""
        # Rows that sum to one leave a constant as it is.
        is_last = self.place == len(self.weights)
        return is_last and _is_bias(base) and not grid.has_zero_tokens

    def _projection(self, grid: Grid, like: Tensor, base: Tensor | None) -> Attend:
        """Return the projections before the smoothing, for tokens like some."""
        early = base if self._adds_early(grid, base) else None
        return self._mixing(self.weights[: self.place], early, like=like)

    def _smoothing(
        self,
        heads: Heads,
        grid: Grid,
        like: Tensor,
        base: Tensor | None,
        *,
        repeats: bool = False,
    ) -> Attend:
        """Return the smoothing and what follows, for tokens like some.

        Where it repeats, more is done beforehand.
        """
        if self._adds_early(grid, base):
            base = None
        step, after = self.step, self.weights[self.place :]
        stencils = step.stencils_for(like, heads.out_channels)
        bias, total = (base, None) if _is_bias(base) else (None, base)
        copies = stencils is not None and stencils.wanted is torch.channels_last
        if stencils is not None and copies and are_worth_it(like, after):
            taps, channels = 1, like.shape[1]
            if after:
                taps, channels = after[0].shape[2], after[-1].shape[0]
            strips = partial(
                in_strips,
                stencils,
                self._finish(after, bias, like),
                shape=(len(like), channels, *map(len, grid.queries)),
                stride=self.stride[0],
                reach=1 + self.dilation[0] * (taps - 1),
            )
            return strips if total is None else lambda tokens: total + strips(tokens)
        smoothing = stencils or step.smoothing_with(heads, grid)
        if autocast_is_on(like.device):
            smooth: Attend = smoothing
        elif isinstance(smoothing, Stencils):
            smooth = smoothing.prepared(like)
        else:
            involved = (like, *after, *([] if base is None else [base]))
            free = repeats and _are_unrecorded(*involved)
            smooth = smoothing.prepared(like, unrecorded=free, lent=bool(after))
        if stencils is None:
            finish = self._mixing(after, base, like=like)
        else:
            finish = self._finish(after, base, like)
        return lambda tokens: finish(smooth(tokens))

    def _finish(
        self,
        kernels: tuple[Tensor, ...],
        base: Tensor | None,
        like: Tensor,
    ) -> Attend:
        """Return what makes of pixels from stencils what they add to the output.

        The pixels are those of tokens like some.
        """
        mix = self._mixing(kernels, base, like=like)
        if not kernels:
            return mix
        largest, wanted = kernels[0].numel(), format_of(like)

        def finish(pixels: Tensor) -> Tensor:
            if largest > pixels.numel():
                # Stencils may return channels last: torch copies the kernel to that
                # format if it was made for another one: a large kernel stays as it is.
                pixels = in_format(wanted, pixels)
            return mix(pixels)

        return finish

    def _mixing(
        self,
        kernels: tuple[Tensor, ...],
        base: Tensor | None,
        *,
        padding: Sequence[int] | int = 0,
        like: Tensor | None = None,
    ) -> Attend:
        """Return the convolution with one kernel after the other, and a sum.

        Args:
            kernels: The kernels, none for the identity.
            base: A bias or an output to add.
            padding: Zeros that each convolution adds.
            like: Pixels like those that come in, if products of matrices may replace
                convolutions, with other roundings.
        """
        bias, total = (base, None) if _is_bias(base) else (None, base)
        stages: list[Attend] = []
        for kernel in kernels:
            added = bias if kernel is kernels[-1] else None
            if like is not None and is_product_faster(like, kernel, added, self.groups):
                stages.append(prepared_product(kernel, added, like))
            else:
                stages.append(self._convolution(kernel, added, padding))
        if not kernels and bias is not None:
            stages.append(lambda pixels: add_bias(pixels, bias))
        if total is not None:
            stages.append(lambda output: total + output)
        if len(stages) == 1:
            return stages[0]
        return lambda tokens: reduce(lambda given, stage: stage(given), stages, tokens)

    def _convolution(
        self, kernel: Tensor, bias: Tensor | None, padding: Sequence[int] | int
    ) -> Attend:
        """Return the convolution with a kernel, and a bias if it is to add one."""
        function = FUNCTIONS[kernel.dim() - 2]
        arguments = (kernel, bias, self.stride, padding, self.dilation, self.groups)
        return lambda tokens: function(tokens, *arguments)


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


def _are_unrecorded(pixels: Tensor, *others: Tensor) -> bool:
    """Whether pixels are on a CPU and nothing records what becomes of them."""
    if type(pixels) is not Tensor or not pixels.is_cpu or not is_ordinary():
        return False
    return not are_recorded((pixels, *others))


def _is_bias(base: Tensor | None) -> TypeGuard[Tensor]:
    """Whether an output is added to a bias, not to another output or to nothing."""
    return base is not None and base.dim() == 1
