"""The smoothing operator G_α, and operators that act on one axis at a time.

On a rectangular canvas the softmax of quadratic scores factorises over the axes,
so the row of a target t is R(t₁, ·) C(t₂, ·) with R(t, k) = softmax_k(−α (k − t)²).
Attention of a head is then a normalised Gaussian smoothing of the canvas, read off
at the targets (DESIGN 2.2 and 2.3).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import one_hot

from expressivity.encoding import axis_scores
from expressivity.precision import compute_dtype, without_autocast


def axis_smoothing(
    targets: Shaped[Tensor, " targets"], keys: int, alpha: Float[Tensor, ""]
) -> Float[Tensor, "targets keys"]:
    """Return R(t, k) = softmax_k(−α (k − t)²) along one axis.

    Args:
        targets: Positions in pixels of the canvas, on or off it.
        keys: Number of tokens of the axis.
        alpha: Locality strength, 1/pixel².

    Returns:
        Rows of non-negative numbers that sum to one.

    Example:
        >>> axis_smoothing(torch.tensor([1]), 3, torch.tensor(0.0)).sum().item()
        1.0
    """
    return axis_scores(targets, keys, alpha).softmax(-1)


def axis_limit(
    targets: Int[Tensor, " targets"], keys: int, dtype: torch.dtype
) -> Float[Tensor, "targets keys"]:
    """Return the limit of :func:`axis_smoothing` as α grows.

    Args:
        targets: Whole positions in pixels of the canvas, on or off it.
        keys: Number of tokens of the axis.
        dtype: Dtype of the result.

    Returns:
        Rows with a one at the pixel nearest to the target, zeros elsewhere.

    Example:
        >>> axis_limit(torch.tensor([-1, 2]), 3, torch.float32).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return one_hot(targets.clamp(0, keys - 1), keys).to(dtype)


def apply_per_axis(
    canvas: Float[Tensor, "batch channels *size"],
    matrices: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "batch channels *rows_per_axis"]:
    """Apply one matrix along each axis: a Kronecker product, never formed.

    Computed in at least float32, outside autocast, and returned in the dtype of
    the canvas.

    Args:
        canvas: Tokens on a grid.
        matrices: One (rows, tokens of the axis) matrix an axis.

    Returns:
        Σ_k M₁(t₁, k₁) ⋯ M_d(t_d, k_d) X_k for every t.
    """
    with without_autocast(canvas.device):
        result = canvas.to(compute_dtype(canvas.dtype))
        for axis, matrix in enumerate(matrices, start=2):
            # On CPU and GPU alike the product runs over the last dimension.
            rows = result.movedim(axis, -1) @ matrix.to(result.dtype).mT
            result = rows.movedim(-1, axis)
        return result.to(canvas.dtype)
