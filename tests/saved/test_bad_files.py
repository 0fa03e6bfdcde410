"""Whatever a folder holds: it is read, or a FileError says what is wrong with it.

Nothing of it is executed: every kind that can carry code carries some, which leaves a
mark if it ever runs.
"""

import random
import sys
from pathlib import Path

import pytest
from torch import nn
from typer.testing import CliRunner

import expressivity as ex
from expressivity.cli import app
from expressivity.errors import ExpressivityError, FileError
from expressivity.saved.reading import Saved
from tests.saved.bad_folders import KINDS, PROGRAMS, program
from tests.saved.damage import MARK, PICKLED, WEIGHTS, listed


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "folder"
    model = network()
    ex.convert(model, alpha=0.5).save(folder, original=model)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied = tmp_path / "folder"
    copied.mkdir()
    for path in template.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return copied


def read_all(folder: Path) -> None:
    """Read everything that data can say: layers, network, statements and card."""
    ex.load(folder)
    ex.load(folder, into=network())
    saved = Saved.read(folder)
    saved.numbers()
    saved.card()


def test_the_folder_is_good_before_it_is_changed(folder: Path) -> None:
    assert len(KINDS) >= 40
    assert read_all(folder) is None


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_folder_is_named(kind: str, folder: Path) -> None:
    change, message = KINDS[kind]
    change(folder)
    with pytest.raises(FileError, match=message):
        read_all(folder)
    shown = CliRunner().invoke(app, ["show", str(folder)])
    assert shown.exit_code == 2, shown.output
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.count("\n") == 1
    assert not Path(MARK).exists()


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_bad_program_is_named(kind: str, folder: Path) -> None:
    change, message = PROGRAMS[kind]
    change(folder)
    with pytest.raises(FileError, match=message):
        ex.load(folder, program=True)


def test_a_program_is_not_touched_unless_it_is_asked_for(folder: Path) -> None:
    listed("program.pt2", lambda f: program(f, PICKLED))(folder)
    read_all(folder)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("name", ["config.json", "certificates.json", WEIGHTS])
def test_random_damage_ends_in_an_error_or_in_a_folder(name: str, folder: Path) -> None:
    """Flip, drop and double bytes; what the document says of the file is kept true."""
    generator, whole = random.Random(0), (folder / name).read_bytes()
    document = (folder / "config.json").read_bytes()
    ended = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(data))
            kind = generator.choice(("flip", "drop", "cut", "double"))
            if kind == "flip":
                data[place] ^= 1 << generator.randrange(8)
            elif kind == "drop":
                del data[place]
            elif kind == "cut":
                del data[max(place, 1) :]
            else:
                data[place:place] = data[place : place + 20]
        (folder / "config.json").write_bytes(document)
        (folder / name).write_bytes(bytes(data))
        if name != "config.json":
            listed(name, lambda _: None)(folder)
        try:
            ex.load(folder)
            Saved.read(folder).numbers()
        except ExpressivityError:
            ended += 1
    assert ended > 50
    assert not Path(MARK).exists()
