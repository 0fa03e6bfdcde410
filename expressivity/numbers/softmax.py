"""The softmax over keys, without subnormal numbers.

Far keys have weights such as 1e-40. They change no result, but some processors multiply
them a hundred times slower than others. A score far below the largest of its row is
therefore masked to −∞: its weight is at most eps² of the largest one. Masked, not
clamped: a clamped score would keep a weight, and no row would ever be one-hot.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def lowest_gap(dtype: torch.dtype) -> float:
    """Return ln eps²: scores further below the largest of their row are masked.

    Example:
        >>> round(lowest_gap(torch.float32), 1)
        -31.9
    """
    return 2 * math.log(torch.finfo(dtype).eps)


def masked(
    scores: Float[Tensor, "*rows keys"],
    among: Float[Tensor, "*rows all_keys"] | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "*rows keys"]:
    """Return scores with −∞ for those that are negligible.

    Args:
        scores: Scores before the softmax.
        among: The scores that they are compared with; by default themselves.
        dtype: Dtype in which the weights will be used; by default that of the scores.

    Example:
        >>> masked(torch.tensor([0.0, -31.0, -32.0])).tolist()
        [0.0, -31.0, -inf]
    """
    everything = scores if among is None else among
    largest = everything.detach().amax(-1, keepdim=True)
    negligible = scores.detach() < largest + lowest_gap(dtype or scores.dtype)
    return scores.masked_fill(negligible, -math.inf)


def softmax(
    scores: Float[Tensor, "*rows keys"], *, dtype: torch.dtype | None = None
) -> Float[Tensor, "*rows keys"]:
    """Return the softmax over the keys, with zeros for what is negligible.

    Args:
        scores: Scores before the softmax.
        dtype: Dtype in which the weights will be used; by default that of the scores.

    Example:
        >>> softmax(torch.tensor([0.0, -100.0])).tolist()
        [1.0, 0.0]
    """
    return masked(scores, dtype=dtype).softmax(-1)


def without_negligible(
    weights: Float[Tensor, "*rows keys"],
) -> Float[Tensor, "*rows keys"]:
    """Return weights with zeros for those of a size below eps² of a row's largest.

    Example:
        >>> without_negligible(torch.tensor([1.0, 1e-8, 1e-40])).tolist()
        [1.0, 9.99999993922529e-09, 0.0]
    """
    sizes = weights.detach().abs()
    smallest = sizes.amax(-1, keepdim=True) * torch.finfo(weights.dtype).eps ** 2
    return weights.masked_fill(sizes < smallest, 0.0)


def masked_mass(keys: float, dtype: torch.dtype) -> float:
    """Return a bound of the probability that masking takes from a row of so many keys.

    Each masked key has at most eps² of the largest weight. The factor of 2 covers the
    rounding of the comparison, where scores are not so large that rounding decides
    everything.

    Example:
        >>> masked_mass(100, torch.float32) < 1e-11
        True
    """
    return 2 * keys * torch.finfo(dtype).eps ** 2
