"""What the tokens around an input hold, in each of torch's padding modes."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


def copied_pixels(
    pixels: int, widths: tuple[int, int], mode: PaddingMode
) -> Int[Tensor, " tokens"]:
    """Return which pixel each token of an axis copies, −1 for a token of zeros.

    Args:
        pixels: Pixels of the axis; the number may be a symbol of a tracer.
        widths: Padding tokens before and after them.
        mode: What those hold.

    Example:
        >>> copied_pixels(4, (1, 1), "reflect").tolist()
        [1, 0, 1, 2, 3, 2]
    """
    before, after = widths
    index = torch.arange(-before, pixels + after, device="cpu")
    if mode == "circular":
        return index % pixels
    if mode == "reflect":
        last = pixels - 1
        return last - (last - index.abs()).abs()
    return torch.where((index < 0) | (index >= pixels), -1, index)


def padded(x: Tensor, widths: Sequence[tuple[int, int]], mode: PaddingMode) -> Tensor:
    """Return an input with padding tokens around it; the input itself if none.

    Args:
        x: Input, (batch, channels, *size).
        widths: Padding tokens before and after each axis.
        mode: What they hold.
    """
    if not any(map(any, widths)):
        return x
    if mode == "zeros":
        return functional.pad(x, [w for pair in reversed(widths) for w in pair])
    for axis, pair in enumerate(widths, start=2):
        index = copied_pixels(x.shape[axis], pair, mode)
        x = x.index_select(axis, index.to(x.device))
    return x
