"""The leak λ(α): how much attention a head gives to pixels off its target.

On an unbounded grid of d axes, with θ₃(q) = Σ_n q^(n²) over all integers n,

    λ(α) = 1 − θ₃(e^−α)^−d ≈ 2d e^−α.

Near a border there are fewer pixels to leak to, so λ(α) bounds every row of every
canvas, targets outside the canvas included: statement ``leak`` in ``proofs/``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_dtype, check_integer
from expressivity.checks import check_positive as check_positive
from expressivity.errors import ArgumentError
from expressivity.numbers.balls import leak_above
from expressivity.numbers.precision import rounding_level

# Below this strength a head in two axes leaks 98 % of its attention.
SMALLEST_ALPHA = 2.0**-6
# A head of this strength is a thousand pixels wide: no canvas is unbounded to it.
WIDEST_ALPHA = 1e-6
# e to minus this power of a number is below half an ulp of it.
_NEGLIGIBLE = 37.0


def leak(alpha: float, axes: int) -> float:
    """Return λ(α), the probability off the target far from all borders.

    Args:
        alpha: Locality strength, 1/pixel².
        axes: Number of axes d.

    Returns:
        λ in (0, 1], rounded upward once: to full relative precision however small.

    Raises:
        ArgumentError: If ``alpha`` is not positive and finite.

    Example:
        >>> round(leak(18.0, axes=2) / (4 * math.exp(-18.0)), 6)
        1.0
    """
    axes = check_integer("axes", axes, most=3)
    return leak_above(check_positive("alpha", alpha), (0.0,) * axes)


def band_radius(alpha: float) -> int:
    """Return how far a head attends from the pixel nearest to its target, in pixels.

    Attention beyond is below the rounding of float64, even relative to the leak.

    Example:
        >>> band_radius(19.0), band_radius(1.0)
        (1, 6)
    """
    # A target f ≤ 1/2 off its nearest pixel leaks e^−α(1 − 2f) to the next one, and
    # e^−α(n² − 2nf) to the n-th: less by e^−α(n² − n), n one more than the radius.
    return math.ceil(math.sqrt(0.25 + _NEGLIGIBLE / alpha) - 0.5)


def mass_beyond(alpha: float, radius: int, *, on_grid: bool = True) -> float:
    """Return a bound of the attention beyond a radius, along one axis.

    It holds for the softmax over an axis of any length, and for every target, off the
    canvas too. For a target f ≤ 1/2 off its nearest pixel, that pixel has weight 1 and
    the n-th next one at most e^−α(n² − 2nf).

    Args:
        alpha: Locality strength, 1/pixel², positive.
        radius: Pixels from the pixel nearest to the target.
        on_grid: Whether all targets are whole pixels, f = 0.

    Example:
        >>> mass_beyond(4.0, radius=2) < 5e-16 < mass_beyond(4.0, radius=1)
        True
    """
    shift = 0 if on_grid else 1
    first = math.exp(-alpha * (radius + 1) * (radius + 1 - shift))
    # From there on, the ratio of each weight to the one before is at most this.
    ratio = math.exp(-alpha * (2 * radius + 3 - shift))
    return 2 * first / (1 - ratio)


def radius_for(
    alpha: float, largest: float, *, most: int, on_grid: bool = True
) -> int | None:
    """Return the smallest radius beyond which at most a given mass lies, in pixels.

    Args:
        alpha: Locality strength, 1/pixel², of any sign.
        largest: The probability along one axis that may be neglected.
        most: The largest radius to try; ``None`` is returned if it is too small.
        on_grid: As for :func:`mass_beyond`.

    Example:
        >>> radius_for(4.0, 2**-24, most=9), radius_for(1.0, 2**-24, most=9)
        (2, 4)
    """
    if alpha < WIDEST_ALPHA:
        return None
    radii = range(most + 1)
    fits = (r for r in radii if mass_beyond(alpha, r, on_grid=on_grid) <= largest)
    return next(fits, None)


def head_leaks(
    alpha: Float[Tensor, " heads"], centers: Float[Tensor, "heads axes"]
) -> Float[Tensor, " heads"]:
    """Return the leak of each head off the pixel nearest to its target.

    The probabilities are those far from all borders, in float64, rounded upward: 1 for
    a head with α below 1e−6. No canvas makes a head leak more. Centers, in pixels, may
    lie off the grid.
    """
    alpha, centers = alpha.double(), centers.double()
    fractions = centers - centers.round()
    leaks = [
        leak_above(strength, tuple(off)) if strength >= WIDEST_ALPHA else 1.0
        for strength, off in zip(alpha.tolist(), fractions.tolist(), strict=True)
    ]
    return torch.tensor(leaks, dtype=torch.float64, device=alpha.device)


def alpha_for_leak(largest: float, axes: int) -> float:
    """Return the smallest α, in 1/pixel², whose leak over so many axes is allowed.

    It is never below ``SMALLEST_ALPHA``.

    Args:
        largest: The largest leak, as a probability, positive and finite.
        axes: Number of axes d.

    Example:
        >>> leak(alpha_for_leak(1e-3, axes=2), axes=2) <= 1e-3
        True
    """
    largest = check_positive("largest", largest)
    low, high = SMALLEST_ALPHA, 800.0
    if leak(low, axes) <= largest:
        return low
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if leak(middle, axes) <= largest else (middle, high)
    return high


def saturation_alpha(dtype: torch.dtype, axes: int) -> float:
    """Return the smallest α, in 1/pixel², with λ(α) ≤ eps / 2 for a dtype.

    From there on the computed softmax is one-hot up to rounding.

    Args:
        dtype: Of the projections, floating.
        axes: Number of axes, 1 to 3.

    Returns:
        The α, rounded upward.

    Raises:
        ArgumentError: If the dtype is not floating, or there are other axes.

    Reference:
        Statement ``saturation`` in ``proofs/``.

    Example:
        >>> round(saturation_alpha(torch.float32, axes=2), 1)
        18.0
    """
    level = rounding_level(check_dtype("dtype", dtype))
    return alpha_for_leak(level, check_integer("axes", axes, most=3))


def round_up(alpha: float, dtype: torch.dtype) -> float:
    """Return a number of a dtype that is not below α, and at most two ulps above it.

    Raises:
        ArgumentError: If α overflows or underflows in the dtype.
    """
    stored = torch.tensor(alpha, dtype=dtype, device="cpu")
    if stored.double().item() < alpha:
        stored = torch.tensor(
            alpha * (1 + torch.finfo(dtype).eps), dtype=dtype, device="cpu"
        )
    if not (stored.isfinite() and stored > 0):
        raise ArgumentError(
            f"alpha={alpha} is outside the range of {dtype}: choose another or cast "
            "the layer to a wider dtype"
        )
    return stored.double().item()
