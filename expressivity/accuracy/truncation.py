"""What a head dimension below the rank of a tap costs."""

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_integer
from expressivity.convolutions import Kernel
from expressivity.geometry.convolution import Convolution


def truncation_error(conv: Convolution, head_dim: int) -> Float[Tensor, " taps"]:
    """Return what a head dimension cuts off each tap: the Eckart–Young tail.

    Args:
        conv: The convolution.
        head_dim: Dimension D_h of a head's values, per group.

    Returns:
        ‖W_Δ − its best approximation of rank ``head_dim`` per group‖_F for every
        tap, float64.

    Raises:
        ArgumentError: If ``head_dim`` is below 1.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> conv = torch.nn.Conv2d(8, 4, 3)
        >>> truncation_error(conv, head_dim=4).max().item()
        0.0
    """
    check_integer("head_dim", head_dim)
    kernel = Kernel.of(conv)
    blocks = kernel.taps.double().unflatten(1, (kernel.conv.groups, -1))
    tail: Tensor = torch.linalg.svdvals(blocks)[..., head_dim:]
    return tail.square().sum(dim=(1, 2)).sqrt()
