"""How often each strategy rounds, and how far its attention is from exact attention.

What a strategy decides (which heads are saturated, what a band leaves out, whether a
smoothing is one matrix, how many digits a score has) is asked of the strategy itself.
The counts are those of the strategies' own code, at their largest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from expressivity.accuracy.certificate.arithmetic import (
    EXP_OF_HALF,
    EXP_ULPS,
    Arithmetic,
)
from expressivity.accuracy.certificate.attention_error import (
    Axis,
    ScoreError,
    attention_error,
)
from expressivity.accuracy.certificate.ranges import require_products, require_scores
from expressivity.errors import CertificateError
from expressivity.geometry.grid import Grid
from expressivity.heads.axis_product import JOINT_ENTRIES
from expressivity.heads.parameters import Heads
from expressivity.numbers.precision import compute_dtype
from expressivity.numbers.softmax import masked_mass
from expressivity.stock import multihead
from expressivity.strategies.fused import factors_of, left_out_of_scores
from expressivity.strategies.separable import OwnHeads, Step, largest_crowd, plans

_LARGEST_DIGIT = 2.0**14  # of a key, see encoding.factor_scale


@dataclass(frozen=True)
class Setting:
    """A layer on canvases of one size, or of every size up to that.

    Attributes:
        heads: Its parameters.
        grid: The canvas and the queries.
        dtype: Dtype of parameters and input.
        alpha: Locality strengths, as floats.
        centers: Attention centers, as floats.
        smaller_too: Whether smaller canvases are meant as well.
    """

    heads: Heads
    grid: Grid
    dtype: torch.dtype
    alpha: tuple[float, ...]
    centers: tuple[tuple[float, ...], ...]
    smaller_too: bool = False

    @property
    def arithmetic(self) -> Arithmetic:
        """Rounding of the dtype."""
        return Arithmetic.of(self.dtype)

    def axes(self, head: int) -> list[Axis]:
        """Return the axes of the canvas as one head sees them."""
        return [
            Axis.seen(tokens, query, center, smaller_too=self.smaller_too)
            for tokens, query, center in zip(
                self.grid.canvas_size,
                self.grid.queries,
                self.centers[head],
                strict=True,
            )
        ]


@dataclass(frozen=True)
class Counts:
    """How often a product is rounded on its way to an output, and what else is lost.

    Attributes:
        casts: Times it is written in the dtype.
        terms: Roundings while sums are accumulated.
        lost: Per head: what its attention is off by, as Σ_k |p̂_k − p_k|.
        lost_of_bias: The same of a bias that is added before attention.
        composed: Whether matrices of heads are multiplied or added up beforehand.
    """

    casts: int
    terms: int
    lost: tuple[float, ...]
    lost_of_bias: float = 0.0
    composed: bool = False


def of_dense(setting: Setting) -> Counts:
    """Count for ``dense``: all in at least float32, one cast at the end."""
    heads, arithmetic = setting.heads, setting.arithmetic
    terms = _inner(heads) + heads.value_width * len(heads.alpha) + 2
    lost = []
    for head, alpha in enumerate(setting.alpha):
        axes = setting.axes(head)
        require_scores(alpha, axes, compute_dtype(setting.dtype))
        rounded = Lost(attention_error(alpha, axes, _quadratic(setting), arithmetic))
        lost.append(rounded.then(_masked(setting, axes)).total)
    return Counts(3, terms, tuple(lost))


def of_separable(setting: Setting) -> Counts:
    """Count for ``separable``, whichever way it takes."""
    heads = setting.heads
    every = [step for plan in plans(heads, setting.grid) for step in plan]
    soft = [step for step in every if not step.is_saturated]
    neglected, joint = [0.0] * len(heads.alpha), set[int]()
    for step in every:
        off = max(2 * step.neglected, _by_stencils(step, setting))
        for head in step.heads:
            neglected[head] = max(neglected[head], off)
        if setting.smaller_too or step.is_joint(setting.grid):
            joint.update(step.heads)
    lost = [Lost(off) for off in neglected]
    for head in {head for step in soft for head in step.heads}:
        lost[head] = lost[head].then(_smoothed(setting, head, joint=head in joint))
    composed = heads.value_width if len(heads.projections) == 2 else 0
    # Kernel, smoothing, two projections, bias, sum of the groups; then the result.
    # Heads on one pixel are added up in the dtype.
    crowd = largest_crowd(setting.centers)
    casts = 2 + crowd + (1 if composed else 0) + (4 if soft else 0)
    inner = heads.projections[-1].shape[2]
    terms = composed + len(heads.alpha) * (inner + 1) + heads.value_width + 4
    every_loss = tuple(off.total for off in lost)
    if composed or crowd > 1:
        require_products(heads, crowd, setting.dtype)
    return Counts(
        casts, terms, every_loss, max(every_loss), bool(composed) or crowd > 1
    )


def of_fused(setting: Setting) -> Counts:
    """Count for ``fused``: scores are sums of digits, in any order."""
    if setting.dtype == torch.float16:
        raise CertificateError(
            "the digits of positions may leave the range of float16, where nothing is "
            "known: certify another dtype or strategy"
        )
    heads, arithmetic, dtype = setting.heads, setting.arithmetic, setting.dtype
    half = dtype != compute_dtype(dtype)
    blocks = math.prod(setting.grid.canvas_size) / 32 + 1
    factors = factors_of(setting.grid, dtype)
    # Factors are rounded as well; of float32, in float64.
    roundings = factors + 2 * len(setting.grid.size) + 8
    relative = roundings * arithmetic.computed + left_out_of_scores(dtype)
    lost = []
    for head, alpha in enumerate(setting.alpha):
        axes = setting.axes(head)
        # (|k| + |t|)², counted from the middle of the canvas.
        reach = sum(_square(axis.tokens + axis.outside + 2) for axis in axes)
        largest = 1.1 * abs(alpha) * reach
        if not largest < torch.finfo(dtype).max / 8:
            raise CertificateError(
                f"scores up to {largest:.3g} leave the range of {dtype}: "
                "certify another strategy"
            )
        scores = ScoreError(
            absolute=relative * largest
            + factors * _LARGEST_DIGIT * arithmetic.stored_tiny
            + (EXP_OF_HALF if half else 0.0),
            # Scores are rounded twice, and α once.
            relative=3 * arithmetic.stored if half else arithmetic.computed,
            of_positions=False,
            rescaled=blocks * EXP_ULPS * arithmetic.computed,
        )
        error = Lost(attention_error(alpha, axes, scores, arithmetic))
        lost.append(error.then(_in_blocks(blocks, arithmetic)).total)
    terms = _inner(heads) + heads.value_width + len(heads.alpha) + 4
    return Counts(8 if half else 4, terms, tuple(lost))


def of_multihead(setting: Setting) -> Counts:
    """Count for ``torch.nn.MultiheadAttention`` with weights of ``to_multihead``.

    All channels but those that are used hold zeros, which add nothing and round
    nothing.

    Args:
        setting: The layer and the canvas.

    Returns:
        The counts.

    Raises:
        CertificateError: If scores may leave the range of the dtype.
    """
    heads, arithmetic, dtype = setting.heads, setting.arithmetic, setting.dtype
    axes = len(setting.grid.size)
    blocks = math.prod(setting.grid.canvas_size) / 32 + 1
    # A query's number is a stored weight times a place, plus a stored bias, and may be
    # scaled: an error that all keys share, times where they are. Products with the
    # numbers of a key, which may be scaled as well, are added up and scaled.
    of_query, of_key = 10, axes + 6
    lost = []
    for head, alpha in enumerate(setting.alpha):
        seen = setting.axes(head)
        # (|k| + |t|)², counted from the middle of the canvas.
        reach = sum(_square(axis.tokens + axis.outside + 2) for axis in seen)
        largest = 1.1 * abs(alpha) * reach
        if not largest < torch.finfo(dtype).max / 8:
            raise CertificateError(
                f"scores up to {largest:.3g} leave the range of {dtype}: take a "
                "smaller alpha or size"
            )
        unit = arithmetic.computed * abs(alpha)
        scores = ScoreError(
            absolute=of_key * unit * sum(_expanded(axis) for axis in seen)
            + 8 * arithmetic.stored_tiny,
            relative=arithmetic.computed,
            of_positions=False,
            rescaled=blocks * EXP_ULPS * arithmetic.computed,
            per_pixel=of_query
            * unit
            * max(
                2 * axis.tokens + 2 * abs(center)
                for axis, center in zip(seen, setting.centers[head], strict=True)
            ),
        )
        error = Lost(attention_error(alpha, seen, scores, arithmetic))
        lost.append(error.then(_in_blocks(blocks, arithmetic)).total)
    # Values, the sum over all heads at once, and biases of both projections.
    terms = _inner(heads) + heads.value_width * (len(heads.alpha) + 1) + 8
    return Counts(8, terms, tuple(lost))


# A strategy that is not listed cannot be certified.
MODELS: dict[str, Callable[[Setting], Counts]] = {
    "dense": of_dense,
    "separable": of_separable,
    "fused": of_fused,
    multihead.NAME: of_multihead,
}


@dataclass(frozen=True)
class Lost:
    """What the attention of a head is off by, one error after the other.

    Attributes:
        total: Σ_k |p̂_k − p_k|.
    """

    total: float

    def then(self, error: float) -> "Lost":
        """Return what it is off by after one more error.

        Args:
            error: Of rows that sum to one.

        Returns:
            Both, and the error of the error.
        """
        return Lost((self.total + error + self.total * error) * (1 + 1e-15))


def _expanded(axis: Axis) -> float:
    """Return 2|k||t| + k² at its largest, in pixels from the middle of an axis."""
    middle = axis.tokens / 2 + 1
    return 2 * middle * (middle + axis.outside) + middle * middle


def _in_blocks(blocks: float, arithmetic: Arithmetic) -> float:
    """Return what multiplying sums by the same factors as their weights comes to.

    Where a later block of keys is nearer, all that was added up before is multiplied by
    one power of e: sums of values and of weights, each rounded once a block. The power
    itself may be off, but by the same for both, which changes the weights of one block
    beside those of another: that is ``ScoreError.rescaled``.
    """
    return 4 * blocks * arithmetic.computed


def _by_stencils(step: Step | OwnHeads, setting: Setting) -> float:
    """Return what stencils lose more than matrices of the same rows do.

    They neglect more. Along an axis they round the sum of the taps on the canvas once
    a tap, its reciprocal, the product of the reciprocals, and what that multiplies.
    """
    if isinstance(step, OwnHeads) or step.radii is None:
        return 0.0
    roundings = sum(2 * radius + 5 for radius in step.radii)
    neglected = Lost(2 * step.neglected_by_stencils)
    return neglected.then(roundings * setting.arithmetic.computed).total


def _smoothed(setting: Setting, head: int, *, joint: bool) -> float:
    """Return what smoothing one axis after the other, or all at once, comes to."""
    arithmetic, axes = setting.arithmetic, setting.axes(head)
    alpha, unit = setting.alpha[head], arithmetic.computed
    total = Lost(0.0)
    for axis in axes:
        require_scores(alpha, [axis], compute_dtype(setting.dtype))
        # e^(score − log Σ): the logarithm is a number of this size.
        lowest = abs(alpha) * _square(axis.outside + axis.fraction)
        logarithm = math.log(axis.tokens + 1) + lowest
        scores = ScoreError(2 * unit * (1 + logarithm), 4 * unit, of_positions=True)
        total = total.then(attention_error(alpha, [axis], scores, arithmetic))
        total = total.then(_masked(setting, [axis]))
    if joint:
        fewer = [
            replace(
                axis,
                tokens=min(axis.tokens, JOINT_ENTRIES),
                fewest=min(axis.fewest, JOINT_ENTRIES),
            )
            for axis in axes
        ]
        none = ScoreError(0.0, 0.0, of_positions=False)
        summed = attention_error(alpha, fewer, none, arithmetic, most=JOINT_ENTRIES)
        total = total.then(summed).then(_masked(setting, axes))
    return total.total


def _masked(setting: Setting, axes: list[Axis]) -> float:
    """Return what the mask of negligible scores comes to, over some axes."""
    tokens = math.prod(axis.tokens for axis in axes)
    return 2 * masked_mass(tokens, compute_dtype(setting.dtype))


def _inner(heads: Heads) -> int:
    """Return the terms of a value projection."""
    value = heads.value_weight
    return 0 if value is None else int(value.shape[2])


def _quadratic(setting: Setting) -> ScoreError:
    """Return what rounding −α(k − q − Δ)², summed over axes, comes to."""
    unit = setting.arithmetic.computed
    return ScoreError(0.0, (len(setting.grid.size) + 2) * unit, of_positions=True)


def _square(number: float) -> float:
    """Return a square; infinity where that is out of range."""
    return number * number
