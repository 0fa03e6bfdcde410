"""CIFAR-10 in its binary format: a byte for the label, 3,072 for the pixels.

A folder holds five files for training and one for testing, and the names of the
classes. Krizhevsky (2009); 10,000 records a file.
"""

from pathlib import Path

import torch
from torch import Tensor

from expressivity.errors import FileError
from expressivity.experiments.data.images import Dataset, Images
from expressivity.machine.files import check_input

TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST, NAMES = "test_batch.bin", "batches.meta.txt"
SHAPE = (3, 32, 32)
CLASSES = 10
_RECORD = 1 + 3 * 32 * 32
_INSIDE = "cifar-10-batches-bin"
_GET = "cifar-10-binary.tar.gz, the binary version, from the page of CIFAR-10"


def read_cifar10(folder: Path) -> Dataset:
    """Read CIFAR-10.

    Args:
        folder: The unpacked folder, or the one that holds ``cifar-10-batches-bin``.

    Returns:
        The images; the pixels of every file have been read.

    Raises:
        FileError: If a file is missing, cannot be read, has a size that no whole number
            of records has or another size than the others, or holds a label that is no
            class.
    """
    inside = folder / _INSIDE
    folder = inside if inside.is_dir() else folder
    missing = [name for name in (*TRAIN, TEST, NAMES) if not (folder / name).exists()]
    if missing:
        raise FileError(_what_is_missing(folder, missing))
    batches = {name: _read(folder / name) for name in (*TRAIN, TEST)}
    expected = len(batches[TRAIN[0]])
    for name, batch in batches.items():
        if len(batch) != expected:
            raise FileError(
                f"all files of CIFAR-10 hold as many images, got {len(batch)} in "
                f"{folder / name} and {expected} in {TRAIN[0]}: one of them is "
                "incomplete, unpack the archive again"
            )
    train, test = (
        Images(records[:, 1:].reshape(-1, *SHAPE), records[:, 0].long())
        for records in (
            torch.cat([batches[name] for name in TRAIN]),
            batches[TEST],
        )
    )
    return Dataset("cifar10", train, test, _class_names(folder / NAMES))


def _read(path: Path) -> Tensor:
    """Return the records of a file, (images, 3073)."""
    check_input(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    if not content or len(content) % _RECORD:
        raise FileError(
            f"{path} needs a whole number of records of {_RECORD} bytes, got "
            f"{len(content)} bytes: it is truncated or no file of CIFAR-10, unpack the "
            "archive again"
        )
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    records = records.reshape(-1, _RECORD)
    (wrong,) = (records[:, 0] >= CLASSES).nonzero(as_tuple=True)
    if len(wrong):
        first = int(wrong[0])
        raise FileError(
            f"{path} needs labels from 0 to {CLASSES - 1}, got "
            f"{int(records[first, 0])} at image {first}: it is damaged or of another "
            "data set, unpack the archive again"
        )
    return records


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    if len(set(names)) != CLASSES or len(names) != CLASSES:
        raise FileError(
            f"{path} needs the names of {CLASSES} classes, one a line, got {len(names)}"
        )
    return tuple(names)


def _what_is_missing(folder: Path, missing: list[str]) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder: get {_GET}, and unpack it"
    if (folder / TRAIN[0].removesuffix(".bin")).exists():
        return (
            f"{folder} holds the Python version of CIFAR-10, whose files may execute "
            f"code: get {_GET}"
        )
    return f"{folder} lacks {', '.join(missing)}: get {_GET}, and unpack it"
