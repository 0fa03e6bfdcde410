"""Whatever the command line is given, it ends with one line, and leaves nothing."""

import unicodedata
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from expressivity.cli import app
from tests.hostile import CASES, lay_out

pytest.importorskip("matplotlib")

COMMAND_LINE = get_command(app)  # once: it takes longer than most cases


class Folder(NamedTuple):
    """The current folder of every case, and what was in it at first."""

    path: Path
    content: Mapping[Path, tuple[int, ...]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("hostile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sparse tensors, and of open files
        lay_out(folder)
    return Folder(folder, content(folder))


def content(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return everything in a folder: which file it is, its length, its last change."""
    content = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        # A folder changes when a draft comes and goes.
        of_file = (status.st_ino, status.st_size, status.st_mtime_ns)
        content[path] = (status.st_mode, *(() if path.is_dir() else of_file))
    return content


def test_there_are_hundreds() -> None:
    assert len(CASES) > 700


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_status_2_and_nothing_left(
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(folder.path)
    with pytest.raises(SystemExit, match=r"^2$") as end:
        COMMAND_LINE.main(CASES[name], prog_name="expressivity")
    stdout, stderr = capsys.readouterr()
    assert end.value.code == 2, stderr
    assert stdout == ""
    assert stderr.startswith("error: ")
    line = stderr.removesuffix("\n")
    assert 20 < len(line) < 6000
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf")]
    assert content(folder.path) == folder.content
