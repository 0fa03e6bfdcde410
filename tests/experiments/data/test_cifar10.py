"""CIFAR-10's binary format: what is written is read, and whatever is wrong is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from expressivity.errors import FileError
from expressivity.experiments.data import read_cifar10
from expressivity.experiments.data.cifar10 import NAMES, TEST, TRAIN

WORDS = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
COUNT, PIXELS = 3, 3 * 32 * 32


def written(folder: Path) -> dict[str, np.ndarray]:
    """Write files in the true format, three images each; return their records."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    records = {}
    for name in (*TRAIN, TEST):
        pixels = generator.integers(0, 256, (COUNT, PIXELS), dtype=np.uint8)
        labels = generator.integers(0, 10, (COUNT, 1), dtype=np.uint8)
        records[name] = np.concatenate([labels, pixels], 1)
        (folder / name).write_bytes(records[name].tobytes())
    (folder / NAMES).write_text("\n".join(WORDS) + "\n\n")
    return records


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = written(tmp_path)
    data = read_cifar10(tmp_path)
    assert (len(data.train), len(data.test)) == (5 * COUNT, COUNT)
    assert data.size == (32, 32)
    assert data.classes == tuple(WORDS)
    # One byte for the label; then all of red, all of green, all of blue, row by row.
    second = records[TRAIN[1]][2]
    assert data.train.labels[5] == second[0]
    for channel, row, column in ((0, 0, 0), (1, 2, 3), (2, 31, 31)):
        value = second[1 + 1024 * channel + 32 * row + column]
        assert data.train.pixels[5, channel, row, column] == value
    assert torch.equal(data.test.labels, torch.from_numpy(records[TEST][:, 0]).long())


def test_the_archive_may_be_unpacked_inside(tmp_path: Path) -> None:
    written(tmp_path / "cifar-10-batches-bin")
    assert len(read_cifar10(tmp_path).train) == 5 * COUNT


def truncated(folder: Path) -> None:
    path = folder / TRAIN[2]
    path.write_bytes(path.read_bytes()[:-1])


def truncated_to_records(folder: Path) -> None:
    path = folder / TRAIN[2]
    path.write_bytes(path.read_bytes()[: -(1 + PIXELS)])


def emptied(folder: Path) -> None:
    (folder / TEST).write_bytes(b"")


def mislabelled(folder: Path) -> None:
    content = bytearray((folder / TRAIN[4]).read_bytes())
    content[1 + PIXELS] = 10
    (folder / TRAIN[4]).write_bytes(bytes(content))


def of_cifar100(folder: Path) -> None:
    (folder / TEST).write_bytes(bytes(COUNT * (2 + PIXELS)))


def missing(folder: Path) -> None:
    (folder / TRAIN[3]).unlink()


def as_folder(folder: Path) -> None:
    (folder / TRAIN[0]).unlink()
    (folder / TRAIN[0]).mkdir()


def nameless(folder: Path) -> None:
    (folder / NAMES).write_text("\n".join(WORDS[:-1]))


def of_python(folder: Path) -> None:
    for name in TRAIN:
        (folder / name).rename(folder / name.removesuffix(".bin"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, r"data_batch_3.bin needs a whole number of records of 3073 bytes"),
        (truncated_to_records, r"got 2 in .*data_batch_3.bin and 3 in data_batch_1"),
        (emptied, r"test_batch.bin needs a whole number of records.*got 0 bytes"),
        (mislabelled, r"data_batch_5.bin needs labels from 0 to 9, got 10 at image 1"),
        (of_cifar100, r"test_batch.bin needs a whole number of records"),
        (missing, r"lacks data_batch_4.bin: get cifar-10-binary.tar.gz"),
        (as_folder, r"data_batch_1.bin cannot be read: Is a directory"),
        (nameless, r"batches.meta.txt needs the names of 10 classes.*got 9"),
        (of_python, r"the Python version of CIFAR-10, whose files may execute code"),
    ],
)
def test_whatever_is_wrong_is_named(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    written(tmp_path)
    damage(tmp_path)
    with pytest.raises(FileError, match=message):
        read_cifar10(tmp_path)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere is no folder: get cifar-10-binary"):
        read_cifar10(tmp_path / "nowhere")
