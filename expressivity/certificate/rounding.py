"""What rounding adds to an attention layer and to a convolution, at most.

Both are sums of products of stored numbers. Each product takes part in a known number
of rounded operations, so that an output is off by at most

    M · ((1 + u)^casts (1 + u')^terms − 1),    M = Σ_h |W_out| |W_val| B + |b|,

u of the dtype for what is written to memory, u' of the accumulator for what is added
up. Attention comes on top, as Σ_k |p̂_k − p_k| of every head; what a strategy neglects
as well. The counts below are those of the strategies' own code, at their largest.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.bounds import head_leaks
from expressivity.certificate.arithmetic import (
    EXP_OF_HALF,
    EXP_ULPS,
    Arithmetic,
)
from expressivity.certificate.attention_error import (
    Axis,
    ScoreError,
    attention_error,
)
from expressivity.constructor.compare import placement
from expressivity.errors import CertificateError
from expressivity.geometry import Convolution
from expressivity.grid import Grid
from expressivity.precision import rounding_level
from expressivity.strategies import Heads

_JOINT = 12_000  # not below the entries of a smoothing of all axes at once
# What `fused` drops of a product of positions, in parts of it: digits beyond the third.
_DROPPED = {torch.bfloat16: 2.0**-21, torch.float32: 2.0**-30, torch.float64: 0.0}
_FARTHEST = 2**20  # pixels; heads further off may be smoothed, saturated or not


@dataclass(frozen=True)
class Setting:
    """A layer on canvases of one size.

    Attributes:
        heads: Its parameters.
        grid: The canvas and the queries.
        dtype: Dtype of parameters and input.
        alpha: Locality strengths, as floats.
        centers: Attention centers, as floats.
    """

    heads: Heads
    grid: Grid
    dtype: torch.dtype
    alpha: tuple[float, ...]
    centers: tuple[tuple[float, ...], ...]

    @property
    def arithmetic(self) -> Arithmetic:
        """Rounding of the dtype."""
        return Arithmetic.of(self.dtype)

    def axes(self, head: int) -> list[Axis]:
        """Return the canvas as one head sees it.

        Args:
            head: Index of the head.

        Returns:
            One axis after the other.
        """
        return [
            _axis(tokens, query, center)
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
    """

    casts: int
    terms: int
    lost: tuple[float, ...]
    lost_of_bias: float = 0.0


def of_dense(setting: Setting) -> Counts:
    """Return the roundings of ``dense``: all in at least float32, one cast at the end.

    Args:
        setting: Layer and canvas.

    Returns:
        The counts.
    """
    heads, arithmetic = setting.heads, setting.arithmetic
    terms = _inner(heads) + heads.value_width * len(heads.alpha) + 2
    lost = (
        attention_error(alpha, setting.axes(head), _quadratic(setting), arithmetic)
        for head, alpha in enumerate(setting.alpha)
    )
    return Counts(3, terms, tuple(lost))


def of_separable(setting: Setting) -> Counts:
    """Return the roundings of ``separable``, whichever way it takes.

    Args:
        setting: Layer and canvas.

    Returns:
        The counts.
    """
    heads = setting.heads
    leaks = head_leaks(
        torch.tensor(setting.alpha, dtype=torch.float64, device="cpu"),
        torch.tensor(setting.centers, dtype=torch.float64, device="cpu"),
    ).tolist()
    one_hot = rounding_level(setting.dtype)
    composed = heads.value_width if len(heads.projections) == 2 else 0
    saturated = max(leaks) <= one_hot
    # Kernel, smoothing, two projections, bias, sum of the groups; then the result.
    # Heads on one pixel are added up in the dtype.
    crowd = max(Counter(tuple(map(round, c)) for c in setting.centers).values())
    casts = 2 + crowd + (1 if composed else 0) + (0 if saturated else 4)
    inner = heads.projections[-1].shape[2]
    terms = composed + len(heads.alpha) * (inner + 1) + heads.value_width + 4
    near = max(map(abs, sum(setting.centers, ()))) < _FARTHEST
    lost = [
        2 * leak if near and leak <= one_hot else _smoothed(setting, head)
        for head, leak in enumerate(leaks)
    ]
    return Counts(casts, terms, tuple(lost), lost_of_bias=max(lost))


def of_fused(setting: Setting) -> Counts:
    """Return the roundings of ``fused``: scores are sums of digits, in any order.

    Args:
        setting: Layer and canvas.

    Returns:
        The counts.

    Raises:
        CertificateError: If the scores leave the range of the dtype, or the dtype is
            float16, whose range they may leave on the way.
    """
    if setting.dtype == torch.float16:
        raise CertificateError(
            "the digits of positions may leave the range of float16, where nothing is "
            "known: certify another dtype or strategy"
        )
    heads, arithmetic = setting.heads, setting.arithmetic
    half = setting.dtype != torch.promote_types(setting.dtype, torch.float32)
    blocks = math.prod(setting.grid.canvas_size) / 32 + 1
    lost = []
    for head, alpha in enumerate(setting.alpha):
        # (|k| + |t|)², counted from the middle of the canvas.
        reach = sum(
            (axis.tokens + axis.outside + 2) ** 2 for axis in setting.axes(head)
        )
        largest = 1.1 * abs(alpha) * reach
        if not largest < torch.finfo(setting.dtype).max / 8:
            raise CertificateError(
                f"scores up to {largest:.3g} leave the range of {setting.dtype}: "
                "certify another strategy"
            )
        factors = 6 * (len(setting.grid.size) + 2)
        scores = ScoreError(
            absolute=((factors + 4) * arithmetic.computed + _DROPPED[setting.dtype])
            * largest
            + (EXP_OF_HALF if half else 0.0),
            # Scores are rounded twice, and α once.
            relative=3 * arithmetic.stored if half else arithmetic.computed,
            of_positions=False,
        )
        error = attention_error(alpha, setting.axes(head), scores, arithmetic)
        # Blocks of keys are scaled to each other where a later one is nearer.
        scaling = blocks * (EXP_ULPS + 2) * arithmetic.computed
        lost.append(error + 2 * scaling)
    terms = _inner(heads) + heads.value_width + len(heads.alpha) + 4
    return Counts(8 if half else 4, terms, tuple(lost))


# A strategy that is not listed cannot be certified.
MODELS: dict[str, Callable[[Setting], Counts]] = {
    "dense": of_dense,
    "separable": of_separable,
    "fused": of_fused,
}


def layer_rounding(
    attention: RelativeSelfAttention, grid: Grid, strategy: str, bound: float
) -> Float[Tensor, " out_channels"]:
    """Return how far the computed output of a layer is from its exact one, at most.

    Args:
        attention: A layer without content terms.
        grid: Canvas and queries, the largest of interest.
        strategy: Name of the strategy that evaluates it.
        bound: Largest ‖x‖_∞.

    Returns:
        One number per output channel, in float64, rounded upward.

    Raises:
        CertificateError: If nothing is known of the strategy, or numbers may leave the
            range of the dtype.
    """
    if strategy not in MODELS:
        raise CertificateError(
            f"nothing is known of how strategy {strategy!r} rounds: use one of "
            f"{', '.join(MODELS)}"
        )
    heads, dtype = attention.heads(), attention.dtype
    strengths, centers = placement(attention)
    setting = Setting(
        heads,
        grid,
        dtype,
        tuple(strengths.tolist()),
        tuple(map(tuple, centers.tolist())),
    )
    counts, sizes = MODELS[strategy](setting), _sizes(heads) * bound
    lost = torch.tensor(counts.lost, dtype=torch.float64, device="cpu")
    return _rounded(
        sizes @ (1 + lost),
        sizes @ lost,
        _gain(heads, bound),
        attention.bias,
        counts,
        dtype,
    )


def convolution_rounding(
    conv: Convolution, bound: float
) -> Float[Tensor, " out_channels"]:
    """Return how far torch's convolution is from the exact one, at most.

    Args:
        conv: A plain convolution.
        bound: Largest ‖x‖_∞.

    Returns:
        One number per output channel, in float64, rounded upward.

    Raises:
        CertificateError: If numbers may leave the range of the dtype.
    """
    weight = conv.weight.detach().double().cpu()
    sizes = weight.flatten(1).abs().sum(1) * bound
    counts = Counts(3, weight[0].numel() + 1, ())
    none, one = torch.zeros_like(sizes), torch.ones_like(sizes)
    return _rounded(sizes, none, one, conv.bias, counts, conv.weight.dtype)


def _rounded(
    sizes: Tensor,
    lost: Tensor,
    gain: Tensor,
    bias: Tensor | None,
    counts: Counts,
    dtype: torch.dtype,
) -> Tensor:
    """Put sizes of what is summed and the counts of its roundings together."""
    arithmetic = Arithmetic.of(dtype)
    if bias is not None:
        added = bias.detach().double().cpu().abs()
        sizes, lost = sizes + added, lost + counts.lost_of_bias * added
    if not float(sizes.max()) < torch.finfo(dtype).max / 4:
        raise CertificateError(
            f"outputs up to {float(sizes.max()):.3g} may leave the range of {dtype}: "
            "certify a smaller input_bound or a wider dtype"
        )
    growth = arithmetic.growth(casts=counts.casts, terms=counts.terms)
    # What underflows is off by a tiny number, and is then multiplied like the rest.
    tiny = (
        counts.casts * arithmetic.stored_tiny + counts.terms * arithmetic.computed_tiny
    )
    return (sizes * growth + lost + tiny * gain) * (1 + 1e-9)


def _sizes(heads: Heads) -> Tensor:
    """Return Σ_c (|W_outᵀ| |W_valᵀ|) of every head, (out_channels, heads)."""
    absolute = [w.detach().double().cpu().abs() for w in heads.projections]
    inner = absolute[-1].sum(2)  # (groups, rows, heads)
    if len(absolute) == 1:
        return inner.flatten(0, 1)
    return torch.einsum("godh,gdh->goh", absolute[0], inner).flatten(0, 1)


def _gain(heads: Heads, bound: float) -> Tensor:
    """Return what a number on the way to an output is multiplied by, at most."""
    absolute = [w.detach().double().cpu().abs() for w in heads.projections]
    entries = math.prod(heads.projections[-1].shape[2:])
    inner = absolute[-1].sum(dim=(2, 3)).max()
    return 1 + absolute[0].sum(dim=(2, 3)).flatten() + inner + bound * entries


def _inner(heads: Heads) -> int:
    """Return the terms of a value projection."""
    value = heads.value_weight
    return 0 if value is None else int(value.shape[2])


def _quadratic(setting: Setting) -> ScoreError:
    """Return what rounding −α(k − q − Δ)², summed over axes, comes to."""
    unit = setting.arithmetic.computed
    return ScoreError(0.0, (len(setting.grid.size) + 2) * unit, of_positions=True)


def _smoothed(setting: Setting, head: int) -> float:
    """Return what smoothing one axis after the other, or all at once, comes to."""
    arithmetic, axes = setting.arithmetic, setting.axes(head)
    alpha, unit = setting.alpha[head], arithmetic.computed
    entries = math.prod(
        axis.tokens * len(query)
        for axis, query in zip(axes, setting.grid.queries, strict=True)
    )
    total = 0.0
    for axis in axes:
        # e^(score − log Σ): the logarithm is a number of this size.
        lowest = abs(alpha) * (axis.outside + axis.fraction) ** 2
        logarithm = math.log(axis.tokens + 1) + lowest
        scores = ScoreError(2 * unit * (1 + logarithm), 4 * unit, of_positions=True)
        total += attention_error(alpha, [axis], scores, arithmetic)
    if entries <= _JOINT:
        together = ScoreError(0.0, 0.0, of_positions=False)
        total += attention_error(alpha, axes, together, arithmetic)
    return total + 4 * unit  # bands leave out half an ulp of one


def _axis(tokens: int, query: range, center: float) -> Axis:
    low, high = query[0] + center, query[-1] + center
    return Axis(
        tokens,
        abs(center - round(center)),
        max(0.0, -low, high - (tokens - 1)),
        max(abs(low), abs(high), float(tokens)),
    )
