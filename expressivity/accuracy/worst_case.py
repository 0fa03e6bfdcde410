"""Worst-case error of a conversion, and the α that a tolerance asks for."""

import sys
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.deviation import Deviation
from expressivity.checks import check_positive, check_size
from expressivity.convolutions import plain_convolution, tap_matrices
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import (
    SMALLEST_ALPHA,
    alpha_for_leak,
)


def worst_case_error(
    conv: Convolution, *, alpha: float, size: Sequence[int] | None = None
) -> Float[Tensor, " out_channels"]:
    """Return the largest error of the converted layer over ‖x‖_∞ ≤ 1.

    The error is absolute, in exact arithmetic; it scales with ‖x‖_∞.

    Args:
        conv: The convolution.
        alpha: Locality strength of all heads, 1/pixel².
        size: Pixels per axis of the input. With it the worst case is exact: the ℓ₁
            norm of the worst row of the operator, which some input attains.
            Without it: 2 λ(α) Σ|W|, an upper bound for every input size, attained
            by 1×1 kernels on large inputs.

    Returns:
        One number per output channel, float64, rounded upward: never below the true
        worst case, and above it by rounding in float64 only.

    Raises:
        ArgumentError: If ``alpha`` is not positive and finite.
        InputError: If the size does not suit the convolution.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Reference:
        DESIGN 2.4 and 2.5.

    Example:
        >>> conv = torch.nn.Conv1d(1, 1, 1, bias=False)
        >>> _ = torch.nn.init.ones_(conv.weight)
        >>> bound = worst_case_error(conv, alpha=2.0)
        >>> bound.allclose(worst_case_error(conv, alpha=2.0, size=(100,)))
        True
    """
    alpha = check_positive("alpha", alpha)
    conv = plain_convolution(conv)
    size = None if size is None else check_size("size", size, least=0)
    matrices = tap_matrices(conv.weight.detach()).double().cpu()
    geometry = ConvGeometry.from_conv(conv)
    centers = geometry.centers().double()
    strengths = torch.full((len(centers),), alpha, dtype=torch.float64, device="cpu")
    deviation = Deviation(strengths, centers, matrices, matrices, geometry)
    return deviation.any_size() if size is None else deviation.largest(size).above


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
    conv = plain_convolution(conv)
    size = None if size is None else check_size("size", size, least=0)
    axes = len(conv.kernel_size)
    norm = float(conv.weight.detach().double().flatten(1).abs().sum(1).max())
    # A hair below, so that rounding in the product cannot break the promise.
    allowed = tolerance * (1 - 1e-9) / (2 * norm) if norm else 1.0
    if allowed < sys.float_info.min:
        raise ArgumentError(
            f"{tolerance=} over weights that add up to {norm:.3g} is less than float64 "
            "can express: choose a larger one"
        )
    high = alpha_for_leak(allowed, axes)
    if size is None:
        return high
    low = SMALLEST_ALPHA
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        worst = worst_case_error(conv, alpha=middle, size=size).max()
        low, high = (low, middle) if worst <= tolerance else (middle, high)
    return high
