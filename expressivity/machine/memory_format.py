"""Channels last: images that come in one memory format leave in it."""

import torch
from torch import Tensor

from expressivity.machine.recording import are_memory

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def is_channels_last(x: Tensor) -> bool:
    """Return whether the channels of images lie side by side in memory, and only then.

    Images of one pixel or one channel lie in both formats; they do not count.

    Example:
        >>> x = torch.ones(1, 2, 3, 3)
        >>> is_channels_last(x), is_channels_last(x.to(memory_format=_FORMATS[4]))
        (False, True)
    """
    memory_format = _FORMATS.get(x.dim())
    if memory_format is None or x.is_contiguous():
        return False
    try:
        return x.is_contiguous(memory_format=memory_format)
    except RuntimeError:  # vmap knows no other formats
        return False


def format_of(x: Tensor) -> torch.memory_format:
    """Return the memory format of images or of a kernel, as ``Module.to`` takes it."""
    return _FORMATS[x.dim()] if is_channels_last(x) else torch.contiguous_format


def in_format_of(x: Tensor, output: Tensor) -> Tensor:
    """Return images in the memory format of others: a copy only if they need one.

    Args:
        x: Images, (batch, channels, *size).
        output: The images to return, of as many axes.
    """
    return in_format(format_of(x), output)


def in_format(wanted: torch.memory_format, output: Tensor) -> Tensor:
    """Return images in a memory format: a copy only if they need one.

    Args:
        wanted: The format, one that :func:`format_of` returns.
        output: The images to return.
    """
    if wanted is not torch.contiguous_format and not are_memory((output,)):
        return output  # vmap knows no other formats
    return output.contiguous(memory_format=wanted)
