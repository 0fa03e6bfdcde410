"""In which precision things are computed: at least float32, outside autocast."""

from contextlib import AbstractContextManager, nullcontext

import torch


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of positions and softmax: at least float32.

    Args:
        dtype: The dtype of the layer.

    Returns:
        float32 for half precision, else ``dtype`` itself.

    Example:
        >>> compute_dtype(torch.bfloat16)
        torch.float32
    """
    return torch.promote_types(dtype, torch.float32)


def rounding_level(dtype: torch.dtype) -> float:
    """Return half an ulp of one: a head that leaks no more than that is saturated.

    Args:
        dtype: The dtype of the layer.

    Returns:
        The leak that is lost when the layer's outputs are rounded.

    Example:
        >>> rounding_level(torch.float32) == 2.0**-24
        True
    """
    return torch.finfo(dtype).eps / 2


def autocast_is_on(device: torch.device) -> bool:
    """Return whether autocast chooses dtypes on a device now.

    Args:
        device: Any device; there is no autocast on ``meta``.

    Returns:
        Whether it does.
    """
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which dtypes are what the code says.

    Args:
        device: Any device.

    Returns:
        A context manager.
    """
    if not autocast_is_on(device):  # entering one costs as much as a small layer
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
