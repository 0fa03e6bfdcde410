"""Images that are worse than those a network was trained on.

Five kinds, three of them of Hendrycks and Dietterich (2019), each at one strength, for
images of any size.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from expressivity.experiments.data import Dataset

_NOISE, _CONTRAST, _SEED = 0.2, 0.4, 0
_SHARE = 4  # of a side: a quarter is hidden, an eighth shifted


def _noise(images: Tensor) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(_SEED)
    noise = torch.randn(images.shape, generator=generator, device="cpu")
    return images + _NOISE * noise.to(images.device)


def _blur(images: Tensor) -> Tensor:
    wide = functional.pad(images, [1] * 4, mode="replicate")
    return functional.avg_pool2d(wide, 3, stride=1)


def _contrast(images: Tensor) -> Tensor:
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + _CONTRAST * (images - mean)


def _shift(images: Tensor) -> Tensor:
    """Move every image by an eighth of its sides, one pixel at least."""
    down, right = (max(1, side // (2 * _SHARE)) for side in images.shape[2:])
    moved = functional.pad(images, [right, 0, down, 0])
    return moved[:, :, : images.shape[2], : images.shape[3]]


def _occlusion(images: Tensor) -> Tensor:
    """Hide a square of a quarter of the sides, somewhere else in every image."""
    generator = torch.Generator("cpu").manual_seed(_SEED)
    hidden = images.clone()
    height, width = (max(1, side // _SHARE) for side in images.shape[2:])
    for image in hidden:
        row, column = (
            int(torch.randint(side - part + 1, (), generator=generator, device="cpu"))
            for side, part in zip(images.shape[2:], (height, width), strict=True)
        )
        image[:, row : row + height, column : column + width] = 0
    return hidden


CORRUPTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "shift": _shift,
    "occlusion": _occlusion,
}


def corrupted(data: Dataset, name: str) -> Dataset:
    """Return data whose test images are corrupted.

    Args:
        data: The data.
        name: One of ``CORRUPTIONS``.

    Returns:
        The same labels, and the same training images.
    """
    images = data.test.pixels.float() / data.brightest
    worse = CORRUPTIONS[name](images).clamp(0, 1)
    pixels = (worse * data.brightest).round().byte()
    return replace(data, test=replace(data.test, pixels=pixels))
