"""Convolutions that several families are tried on."""

import torch
from torch import nn


def plane(channels: int = 2, outputs: int = 3, **options: object) -> nn.Conv2d:
    """Return a 3×3 convolution with zero padding in float64, the same every time."""
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv2d(channels, outputs, **options).double()


PLANES = {
    "3×3": plane(),
    "fewer outputs": plane(4, 1),
    "5×5": plane(kernel_size=5, padding=2),
    "1×3": plane(kernel_size=(1, 3), padding=(0, 1)),
    "even": plane(kernel_size=2, padding=1),
    "stride": plane(stride=2),
    "dilation": plane(dilation=2, padding=2),
    "groups": plane(4, 2, groups=2),
    "no bias": plane(bias=False),
    "same": plane(padding="same"),
}

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    SIZED = {
        "3×3": (nn.Conv2d(2, 3, 3, padding=1), (3, 4)),
        "1×3, stride 2": (nn.Conv2d(3, 1, (1, 3), padding=(0, 1), stride=2), (5, 4)),
        "dilated groups": (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (4, 3)),
        "5×5, no bias": (nn.Conv2d(1, 2, 5, padding=2, bias=False), (3, 4)),
        "even": (nn.Conv2d(2, 2, 2, padding=1), (3, 3)),
        "one axis": (nn.Conv1d(9, 10, 3, padding=1), (6,)),
        "three axes": (nn.Conv3d(1, 2, (1, 3, 2), padding=(0, 1, 0)), (2, 2, 3)),
        "one pixel": (nn.Conv2d(2, 2, 1), (1, 1)),
    }
    _PADDED = {
        mode: nn.Conv2d(1, 2, 3, padding=1, padding_mode=mode)
        for mode in ("reflect", "circular")
    }


def with_padding(mode: str) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Return all of them, and one with a padding of pixels."""
    return {**SIZED, mode: (_PADDED[mode], (3, 4))}
