"""Worst-case error of a layer or of a conversion, and the α that a tolerance needs."""

import sys
from collections.abc import Sequence
from typing import cast, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.accuracy.deviation import Deviation
from expressivity.accuracy.snapshot import Snapshot
from expressivity.attention import RelativeSelfAttention
from expressivity.checks import Progress, check_positive, check_progress, check_size
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import SMALLEST_ALPHA, alpha_for_leak


@overload
def worst_case_error(
    attention: RelativeSelfAttention,
    conv: Convolution,
    *,
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, " out_channels"]: ...
@overload
def worst_case_error(
    conv: Convolution,
    /,
    *,
    alpha: float,
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, " out_channels"]: ...
@overload
def worst_case_error(
    *,
    conv: Convolution,
    alpha: float,
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, " out_channels"]: ...
def worst_case_error(
    attention: nn.Module | None = None,
    conv: Convolution | None = None,
    *,
    alpha: float | None = None,
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, " out_channels"]:
    """Return the largest difference of attention and convolution over ‖x‖_∞ ≤ 1.

    ``worst_case_error(attention, conv)`` compares a layer as it is, whatever its
    parameters: truncated heads, unequal α, centers off the grid, tables, biases.
    ``worst_case_error(conv, alpha=...)`` is about the layer that the conversion with
    this α would build.

    Args:
        attention: A layer without content terms.
        conv: A convolution; of the same geometry and channels if a layer is given.
        alpha: Locality strength of all heads, 1/pixel², instead of a layer.
        size: Pixels per axis of the input. With it the worst case is exact: the ℓ₁
            norm of the worst row of the operator, which some input attains.
            Without it: an upper bound for every size, 2 λ(α) Σ|W| for a conversion;
            1×1 kernels attain it on large inputs.
        progress: For a size: wraps the iterable of rows of outputs, as ``tqdm`` does;
            by default nothing.

    Returns:
        One number per output channel, absolute, for exact arithmetic; float64, rounded
        upward. It scales with ‖x‖_∞, but for a difference of biases.

    Raises:
        ArgumentError: If neither or both of a layer and ``alpha`` are given, ``alpha``
            is not positive and finite, the two do not have the same geometry and
            channels, or ``progress`` cannot be called.
        InputError: If the size does not suit the convolution, or is too large: an axis
            of more than a million pixels.
        NotOneHotError: If the scores of the layer depend on the tokens, or some query
            sees only a part of a table.
        UnsupportedModuleError: If ``conv`` is no plain convolution, or the layer does
            not compute what its parameters say: hooks, a ``forward`` of its own.

    Reference:
        Statements ``leak`` and ``worst_case`` in ``proofs/``.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv1d(2, 2, 3)
        >>> attention = attention_from_conv(conv, tolerance=1e-3)
        >>> bool(worst_case_error(attention, conv).max() <= 1e-3)
        True
        >>> tight = worst_case_error(conv, alpha=2.0, size=(9,))
        >>> bool((tight <= worst_case_error(conv, alpha=2.0)).all())
        True
    """
    progress = check_progress(progress)
    if alpha is None:
        if conv is None:
            raise ArgumentError(
                "alpha needs a positive finite number where a convolution stands "
                "alone, got None: pass (conv, alpha=...), or (attention, conv)"
            )
        return worst_case(
            Snapshot.of(cast("nn.Module", attention)), Kernel.of(conv), size, progress
        )
    if attention is not None and conv is not None:
        raise ArgumentError(
            "alpha= stands for the layer that it would build: leave it out, or pass "
            f"the convolution alone, got a layer and {alpha=}"
        )
    alpha = check_positive("alpha", alpha)
    kernel = Kernel.of(cast("nn.Module", conv if attention is None else attention))
    return _largest(converted(kernel, alpha), size, progress)


def alpha_for(
    conv: Convolution, *, tolerance: float, size: Sequence[int] | None = None
) -> float:
    """Return the smallest α whose stated worst case is within a tolerance.

    Without a size that is an upper bound, 2 λ(α) Σ|W|: a smaller α may keep the
    tolerance too, but the bound does not say so.

    Args:
        conv: The convolution.
        tolerance: Largest absolute error allowed, over ‖x‖_∞ ≤ 1, in any channel.
        size: Pixels per axis of the input, for the smaller α that suffices there;
            without it the α holds for every size.

    Returns:
        α in 1/pixel², never below ``SMALLEST_ALPHA``; the smallest up to a millionth
        for a size, and up to rounding without one.

    Raises:
        ArgumentError: If the tolerance is not positive and finite, or so small that
            float64 cannot express it.
        InputError: If the size does not suit the convolution.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> conv = torch.nn.Conv2d(3, 8, 3)
        >>> alpha = alpha_for(conv, tolerance=1e-4)
        >>> bool(worst_case_error(conv, alpha=alpha).max() <= 1e-4)
        True
    """
    tolerance = check_positive("tolerance", tolerance)
    return strength_for(Kernel.of(conv), tolerance, size)


def worst_case(
    layer: Snapshot,
    kernel: Kernel,
    size: Sequence[int] | None,
    progress: Progress = iter,
) -> Float[Tensor, " out_channels"]:
    """Return what :func:`worst_case_error` does, for a pair behind the gates."""
    error = _largest(layer.minus(kernel), size, progress)
    return (error + layer.bias_minus(kernel).abs()) * (1 + 2.0**-50)


def converted(kernel: Kernel, alpha: float) -> Deviation:
    """Return attention − convolution for the conversion with one α."""
    centers, taps = kernel.geometry.centers().double(), kernel.wide_taps
    strengths = torch.full_like(centers[:, 0], alpha)
    return Deviation(strengths, centers, taps, taps, kernel.geometry)


def strength_for(
    kernel: Kernel, tolerance: float, size: Sequence[int] | None = None
) -> float:
    """Return what :func:`alpha_for` does, for a kernel behind the gate."""
    size = None if size is None else check_size("size", size, least=0)
    norm = float(kernel.wide_taps.abs().sum(dim=(0, 2)).max())
    # A hair below, so that rounding in the product cannot break the promise.
    allowed = tolerance * (1 - 1e-9) / (2 * norm) if norm else 1.0
    if allowed < sys.float_info.min:
        raise ArgumentError(
            f"{tolerance=} over weights that add up to {norm:.3g} is less than float64 "
            "can express: choose a larger one"
        )
    high = alpha_for_leak(allowed, kernel.geometry.axes)
    if size is None:
        return high
    low = SMALLEST_ALPHA
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        worst = converted(kernel, middle).largest(size).above.max()
        low, high = (low, middle) if worst <= tolerance else (middle, high)
    return high


def _largest(
    difference: Deviation, size: Sequence[int] | None, progress: Progress
) -> Tensor:
    """Return the worst case on one size, or a bound for every size."""
    if size is None:
        return difference.any_size()
    return difference.largest(check_size("size", size, least=0), progress).above
