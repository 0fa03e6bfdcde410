"""Any pictures: one folder a class."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from expressivity.errors import FileError, MissingDependencyError
from expressivity.experiments.data.images import Dataset, Images, split_by_class
from expressivity.machine.files import check_input

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm")
_TRAIN, _TEST = "train", "test"
_GREY, _DEEP = ("1", "L", "LA"), ("I", "F")
_FEWEST = 2


def read_folders(
    folder: Path,
    *,
    image_size: tuple[int, int] | None = None,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """Read a folder of class folders, or one with such folders ``train`` and ``test``.

    Args:
        folder: Where they are. Hidden files are left out.
        image_size: Height and width to scale pictures to, in pixels; by default all
            pictures need to have one size.
        test_fraction: Share of every class for testing, if there is no folder
            ``test``.
        seed: Decides which pictures these are.

    Returns:
        The pictures, grey if all of them are and else coloured, classes in the order of
        their names.

    Raises:
        FileError: If there are fewer than two classes, a class has no pictures or is
            not in both parts, a file is no picture, is damaged or lies outside of a
            class, or sizes differ.
        MissingDependencyError: If Pillow is not installed.
    """
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder: name one that holds a folder a class")
    apart = [folder / part for part in (_TRAIN, _TEST)]
    if not all(part.is_dir() for part in apart):
        apart = [folder]
    listed = [_classes(part) for part in apart]
    names = tuple(listed[0])
    for other in listed[1:]:
        odd = sorted({*other} ^ {*names})
        if odd:
            raise FileError(
                f"{folder} needs the same classes in {_TRAIN} and {_TEST}, got "
                f"{', '.join(odd)} in one of them alone"
            )
    files = [
        [(path, names.index(name)) for name, paths in classes.items() for path in paths]
        for classes in listed
    ]
    coloured = not all(_is_grey(path) for part in files for path, _ in part)
    mode, size = ("RGB" if coloured else "L"), image_size
    parts = []
    for part in files:
        size = size or _size_of(part[0][0])
        pixels = [_pixels(path, mode, size, scale=image_size) for path, _ in part]
        labels = torch.tensor([label for _, label in part], device="cpu")
        parts.append(Images(torch.stack(pixels), labels))
    if len(parts) == 1:
        _require_two_of_each(listed[0])
        parts = list(
            split_by_class(parts[0], len(names), test_fraction=test_fraction, seed=seed)
        )
    return Dataset(folder.name, parts[0], parts[1], names)


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of every class, in the order of their names."""
    entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    strays = [entry.name for entry in entries if not entry.is_dir()]
    if strays:
        raise FileError(
            f"{folder} needs a folder a class and nothing else, got the file "
            f"{strays[0]}: move it into its class"
        )
    if len(entries) < _FEWEST:
        raise FileError(
            f"{folder} needs at least two class folders, got {len(entries)}"
        )
    return {entry.name: _pictures(entry) for entry in entries}


def _pictures(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if not f.name.startswith("."))
    for file in files:
        if file.suffix.lower() not in PICTURES:
            raise FileError(
                f"{file} is no picture: a class folder holds {', '.join(PICTURES)}"
            )
    if not files:
        raise FileError(f"{folder} needs pictures of its class, got none")
    return files


def _require_two_of_each(classes: dict[str, list[Path]]) -> None:
    for name, files in classes.items():
        if len(files) < _FEWEST:
            raise FileError(
                f"the class {name} needs two pictures, one to train on and one to "
                "test with, got one"
            )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a picture; whatever fails while it is read is an error of the file."""
    check_input(path)
    try:
        pillow = import_module("PIL.Image")
    except ImportError as error:
        raise MissingDependencyError(
            "pictures are read by Pillow, which is not installed: pip install pillow"
        ) from error
    try:
        with pillow.open(path) as picture:
            yield picture
    except FileError:
        raise
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise FileError(f"{path} is no picture that can be read: {error}") from error


def _is_grey(path: Path) -> bool:
    with _opened(path) as picture:
        if picture.mode.startswith(_DEEP):
            raise FileError(
                f"{path} needs at most 8 bits a channel, got a picture of mode "
                f"{picture.mode}: save it with 8"
            )
        return picture.mode in _GREY


def _size_of(path: Path) -> tuple[int, int]:
    with _opened(path) as picture:
        return picture.height, picture.width


def _pixels(
    path: Path, mode: str, size: Sequence[int], *, scale: Sequence[int] | None
) -> Tensor:
    """Return the pixels of a picture, (channels, height, width)."""
    with _opened(path) as picture:
        found = (picture.height, picture.width)
        if scale is None and found != tuple(size):
            raise FileError(
                f"{path} needs {size[0]}×{size[1]} pixels as the first picture has, "
                f"got {found[0]}×{found[1]}: scale all of them with --image-size"
            )
        plain = picture.convert(mode)
        if found != tuple(size):
            plain = plain.resize((size[1], size[0]))
        pixels = torch.from_numpy(np.array(plain, dtype=np.uint8))
    return pixels[None] if mode == "L" else pixels.movedim(-1, 0)
