"""Positions as tensors."""

import torch
from jaxtyping import Int
from torch import Tensor


def positions(points: range, device: torch.device) -> Int[Tensor, " points"]:
    """Return positions along an axis as a tensor.

    Args:
        points: In pixels.
        device: Where to put the result.

    Returns:
        The same integers.
    """
    return torch.arange(points.start, points.stop, points.step, device=device)
