"""The precision of positions and softmax: at least float32, outside autocast."""

from contextlib import AbstractContextManager, nullcontext

import torch


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the half precision of a layer, else the dtype itself.

    Example:
        >>> compute_dtype(torch.bfloat16)
        torch.float32
    """
    return torch.promote_types(dtype, torch.float32)


def rounding_level(dtype: torch.dtype) -> float:
    """Return half an ulp of one: rounding hides a leak of a layer up to that.

    Example:
        >>> rounding_level(torch.float32) == 2.0**-24
        True
    """
    return torch.finfo(dtype).eps / 2


def autocast_is_on(device: torch.device) -> bool:
    """Return whether autocast chooses dtypes on a device now; on ``meta`` it cannot."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast changes no dtypes on a device."""
    if not autocast_is_on(device):  # entering one costs as much as a small layer
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
