"""Channels last: a tensor that comes in one memory format leaves in it."""

import torch
from torch import Tensor

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def is_channels_last(x: Tensor) -> bool:
    """Return whether the channels of images lie side by side, and only then.

    Images of one pixel or one channel lie in both formats; they do not count.
    """
    memory_format = _FORMATS.get(x.dim())
    return (
        memory_format is not None
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=memory_format)
    )


def channels_last(x: Tensor) -> Tensor:
    """Return images as (batch, *size, channels), in one piece."""
    return x.movedim(1, -1).contiguous()


def in_format_of(x: Tensor, output: Tensor) -> Tensor:
    """Return (batch, *size, channels) as (batch, channels, *size), in the format of x.

    Args:
        x: Images, in the memory format that is asked for.
        output: Others, with their channels last.
    """
    moved = output.movedim(-1, 1)
    return moved if is_channels_last(x) else moved.contiguous()
