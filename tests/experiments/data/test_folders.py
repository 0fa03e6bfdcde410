"""Folders of pictures: one a class, and nothing that is not one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from expressivity.errors import FileError
from expressivity.experiments.data import read_folders

image = pytest.importorskip("PIL.Image")
CLASSES = ("cat", "dog")


def picture(path: Path, shade: int, *, size: tuple[int, int] = (4, 6), mode: str = "L"):
    """Write a picture of one shade; height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new(mode, size[::-1], shade if mode in {"L", "I;16"} else (shade, 0, 9)).save(
        path
    )


def filled(folder: Path, *, mode: str = "L") -> None:
    """Write four pictures of each class, of shades that say which they are."""
    for label, name in enumerate(CLASSES):
        for number in range(4):
            picture(folder / name / f"{number}.png", 100 * label + number, mode=mode)


def test_pictures_are_split_within_each_class(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"hidden")
    data = read_folders(tmp_path)
    assert data.classes == CLASSES
    assert data.size == (4, 6)
    assert data.channels == 1
    assert data.test.labels.tolist() == [0, 1]
    shades = [*data.train.pixels[:, 0, 0, 0], *data.test.pixels[:, 0, 0, 0]]
    assert sorted(map(int, shades)) == [0, 1, 2, 3, 100, 101, 102, 103]
    labels = [*data.train.labels, *data.test.labels]
    assert all(
        (s >= 100) == bool(label) for s, label in zip(shades, labels, strict=True)
    )
    again = read_folders(tmp_path)
    assert again.digest == data.digest
    assert read_folders(tmp_path, seed=1).digest != data.digest


def test_folders_for_training_and_testing_are_taken_as_they_are(tmp_path: Path) -> None:
    filled(tmp_path / "train", mode="RGB")
    for name in CLASSES:
        picture(tmp_path / "test" / name / "0.jpg", 50)
    data = read_folders(tmp_path)
    assert (len(data.train), len(data.test), data.channels) == (8, 2, 3)
    assert data.train.pixels[0, :, 0, 0].tolist() == [0, 0, 9]
    assert data.test.pixels[0, :, 0, 0].tolist() == [50, 50, 50]  # grey, in colour


def test_pictures_are_scaled_on_request(tmp_path: Path) -> None:
    filled(tmp_path)
    picture(tmp_path / "cat" / "large.png", 7, size=(20, 10))
    assert read_folders(tmp_path, image_size=(5, 3)).size == (5, 3)


def cut(folder: Path) -> None:
    path = folder / "cat" / "2.png"
    noise = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:60])


def wrong_size(folder: Path) -> None:
    picture(folder / "dog" / "1.png", 3, size=(4, 7))


def no_picture(folder: Path) -> None:
    (folder / "dog" / "notes.txt").write_text("to do")


def false_picture(folder: Path) -> None:
    (folder / "dog" / "notes.png").write_text("to do")


def stray(folder: Path) -> None:
    picture(folder / "lost.png", 3)


def empty_class(folder: Path) -> None:
    (folder / "emu").mkdir()


def one_of_a_class(folder: Path) -> None:
    picture(folder / "emu" / "0.png", 3)


def one_class(folder: Path) -> None:
    (folder / "cat").rename(folder / ".cat")


def deep(folder: Path) -> None:
    picture(folder / "cat" / "0.png", 3, mode="I;16")


def other_classes(folder: Path) -> None:
    for part, names in (("train", CLASSES), ("test", ("cat", "emu"))):
        for name in names:
            picture(folder / part / name / "0.png", 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"cat/2.png is no picture that can be read"),
        (wrong_size, r"dog/1.png needs 4×6 pixels.*got 4×7: scale all of them"),
        (no_picture, r"dog/notes.txt is no picture: a class folder holds"),
        (false_picture, r"dog/notes.png is no picture that can be read"),
        (stray, r"needs a folder a class and nothing else, got the file lost.png"),
        (empty_class, r"emu needs pictures of its class, got none"),
        (one_of_a_class, r"the class emu needs two pictures"),
        (one_class, r"needs at least two class folders, got 1"),
        (deep, r"cat/0.png needs at most 8 bits a channel, got a picture of mode I"),
        (other_classes, r"the same classes in train and test, got dog, emu"),
    ],
)
def test_whatever_is_wrong_is_named(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    filled(tmp_path)
    damage(tmp_path)
    with pytest.raises(FileError, match=message):
        read_folders(tmp_path)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere is no folder: name one that holds"):
        read_folders(tmp_path / "nowhere")
