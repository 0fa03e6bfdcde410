"""Read an image: a picture, or a tensor."""

from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from expressivity.cli.weights import read_inputs
from expressivity.errors import FileError, MissingDependencyError
from expressivity.machine.files import check_input

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def read_image(path: Path, *, channels: int, dtype: torch.dtype) -> Tensor:
    """Read one image for a model.

    Args:
        path: A picture, or a file of one tensor, whose first entry is taken.
        channels: Of the model's input: a picture becomes grey for 1, coloured for 3.
        dtype: Floating dtype to return.

    Returns:
        (1, channels, ...); pictures between 0 and 1.

    Raises:
        FileError: If the file is missing, damaged, or a picture for a model that takes
            neither 1 nor 3 channels.
        MissingDependencyError: If a picture needs Pillow, and there is none.
    """
    if path.suffix.lower() not in PICTURES:
        return read_inputs(path, like=None, dtype=dtype)[:1]
    check_input(path)
    if channels not in (1, 3):
        raise FileError(
            f"{path} is a picture, and the model takes {channels} channels: save its "
            "input as a tensor, .npy for example"
        )
    try:
        pillow = import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependencyError(
            "pictures are read by Pillow, which is not installed: pip install pillow, "
            "or pass a tensor"
        ) from error
    try:
        with pillow.open(path) as picture:
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} is no picture that can be read: {error}") from error
    image = torch.from_numpy(pixels.copy()).double() / 255
    image = image[None] if channels == 1 else image.movedim(-1, 0)
    return image[None].to(dtype)
