"""The smoothing identity: attention is a smoothing and a convolution.

Attention of a head depends on query and head only through the target t = q + Δ_h.
Heads that share α, and centers that differ by whole pixels, therefore read the same
smoothed canvas G_α X, and together they are one convolution of it without padding:

    Attn_α(X) = Conv_W(G_α X)    (DESIGN 2.3), exact at every α and every border.

Heads that share nothing form groups of one, each with a smoothing of its own, on
whichever side of its projections costs less. Heads that leak less than half an ulp
of their dtype are saturated: for them G_α is the identity at working precision, and
they are a convolution and nothing else, whatever their α; their derivatives with
respect to α and Δ are then taken for zero as well.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from jaxtyping import Float
from torch import Tensor

from expressivity.convolutions import convolve
from expressivity.grid import Grid
from expressivity.precision import compute_dtype
from expressivity.strategies.base import Heads, add_bias, are_recorded
from expressivity.strategies.separable.grouping import (
    groups_alone,
    groups_of,
    known_values,
)
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.plan import Step

Weights = tuple[Tensor, ...]

# A multiplication of a smoothing takes as long as two of a projection.
_SMOOTHING_COST = 2


@dataclass(frozen=True)
class Separable:
    """Smooth the canvas along each axis, then convolve it."""

    name: str = "separable"
    summary: str = "one smoothing per group of heads, then a convolution"

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Refuse content terms.

        Args:
            heads: Parameters of the heads.
            grid: Canvas and queries.
            x: The input.

        Returns:
            The reason, or ``None``.
        """
        if heads.content is not None:
            return "content scores do not factorise over the axes"
        return None

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Say how the heads are grouped and what is neglected.

        Args:
            heads: Parameters of the heads.
            grid: Canvas and queries.
            x: The input.

        Returns:
            One line a group.
        """
        steps = [step for step, _ in _program(heads, grid)]
        alike = Counter(step.describe(heads.alpha.dtype) for step in steps)
        return [
            f"{text}, alone" if count == 1 and len(steps) > 1 else text
            for text, count in alike.items()
        ]

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return Σ over groups of Conv(G_α X), at every query.

        Args:
            heads: Parameters of the heads.
            grid: Canvas and queries.
            x: The input.

        Returns:
            The attention output, bias included.
        """
        (step, weights), *others = _program(heads, grid)
        output = _attend(step, weights, heads, grid, x, heads.bias)
        if not others:
            return output
        # Half precision would lose digits with every head.
        wide = compute_dtype(output.dtype)
        total = output.to(wide)
        for step, weights in others:
            total = total + _attend(step, weights, heads, grid, x, None).to(wide)
        return total.to(output.dtype)


def _program(heads: Heads, grid: Grid) -> list[tuple[Step, Weights]]:
    """Return what every group of heads does on a grid, and with which projections."""
    values, alpha = known_values(heads), heads.alpha
    if values is None:
        groups = groups_alone(heads)
        steps = [Step.of(g, grid, alpha, keep=False) for g in groups]
        return [(step, _chain(heads, step)) for step in steps]

    def plan(*, apart: bool) -> list[Step]:
        groups = groups_of(values, alpha.dtype, apart=apart)
        return [Step.of(g, grid, alpha, keep=not apart) for g in groups]

    def compute() -> list[tuple[Step, Weights]]:
        return [(step, _chain(heads, step)) for step in plan(apart=False)]

    key = (grid, values, alpha.dtype, alpha.device)
    if not are_recorded((alpha, heads.centers, *heads.projections)):
        return heads.memo.get(("program", *key), heads.projections, compute)
    # Derivatives go through the projections, so only the plan can be kept.
    apart = are_recorded((alpha, heads.centers))
    steps = heads.memo.get(("plan", *key, apart), (), lambda: plan(apart=apart))
    return [(step, _chain(heads, step)) for step in steps]


def _attend(
    step: Step,
    weights: Weights,
    heads: Heads,
    grid: Grid,
    x: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """Return what one group of heads adds to the output."""
    groups = heads.groups
    if step.reading is not None:
        return convolve(
            step.reading(grid, x),
            weights[0],
            _with_zero_derivatives(bias, step.group.lattice, heads),
            stride=step.stride,
            padding=step.reading.padding,
            dilation=step.dilation,
            groups=groups,
        )
    smoothing, tokens = step.smoothing_with(heads, grid), grid.tokens(x)
    if not step.group.lattice.is_point:
        return convolve(
            smoothing(tokens),
            weights[0],
            bias,
            stride=step.stride,
            dilation=step.dilation,
            groups=groups,
        )
    # One target: the smoothing commutes with the projections. Its rows sum to one and
    # pass a bias on, unless there are tokens that hold zeros.
    widths = (x.shape[1], *(weight.shape[0] for weight in weights))
    place = _place_of_smoothing(
        widths,
        groups,
        prod(smoothing.columns),
        prod(smoothing.rows),
        smoothing.multiplications,
    )
    before, after = weights[:place], weights[place:]
    early = not after and not grid.has_zero_tokens
    tokens = smoothing(_projected(tokens, before, bias if early else None, groups))
    if not after and not early:
        return add_bias(tokens, bias)
    return _projected(tokens, after, bias, groups)


def _place_of_smoothing(
    widths: Sequence[int], groups: int, tokens: int, targets: int, smoothing: int
) -> int:
    """Return how many of a chain of projections come before the smoothing.

    Those act on every token, the others on the targets only.

    Args:
        widths: Channels before, between and after the projections.
        groups: Number of channel groups.
        tokens: Number of tokens.
        targets: Number of targets.
        smoothing: Multiplications that smoothing one channel takes.

    Returns:
        The place where everything together costs least, by multiplications.
    """
    mixing = [a * b // groups for a, b in pairwise(widths)]
    costs = [
        sum(mixing[:place]) * tokens
        + width * smoothing * _SMOOTHING_COST
        + sum(mixing[place:]) * targets
        for place, width in enumerate(widths)
    ]
    return costs.index(min(costs))


def _projected(
    tokens: Tensor, weights: Weights, bias: Tensor | None, groups: int
) -> Tensor:
    """Pass every token through a chain of projections, the last with a bias."""
    ones = (1,) * (tokens.dim() - 2)
    for index, weight in enumerate(weights, start=1):
        tokens = convolve(
            tokens,
            weight,
            bias if index == len(weights) else None,
            stride=ones,
            dilation=ones,
            groups=groups,
        )
    return tokens


def _chain(heads: Heads, step: Step) -> Weights:
    """Return the kernel of a group, or of a soft single head its two projections."""
    value, output, lattice = heads.value_weight, heads.output_weight, step.group.lattice
    if value is None or output is None:
        return (lattice.kernel(heads.projections[0].flatten(0, 1)),)
    (rank, channels), outputs = value.shape[1:3], output.shape[1]
    if (
        step.reading is None
        and len(lattice.heads) == 1
        and rank * (outputs + channels) < outputs * channels
    ):
        head, ones = lattice.heads[0], (1,) * len(lattice.counts)
        return tuple(
            weight[..., head].reshape(-1, weight.shape[2], *ones)
            for weight in (value, output)
        )
    return (lattice.kernel(heads.matrices().movedim(0, -1).flatten(0, 1)),)


def _with_zero_derivatives(
    bias: Tensor | None, lattice: Lattice, heads: Heads
) -> Tensor | None:
    """Let a bias depend on α and Δ of saturated heads: their derivatives are zeros."""
    if not are_recorded([heads.alpha, heads.centers]):
        return bias
    chosen = list(lattice.heads)
    zero = (0 * heads.alpha[chosen]).sum() + (0 * heads.centers[chosen]).sum()
    if bias is None:
        return zero.expand(heads.out_channels)
    return bias + zero
