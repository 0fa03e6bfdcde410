"""Whatever the command line is given, it ends with one line, and leaves nothing."""

import stat
import unicodedata
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expressivity.cli import app
from tests.hostile import CASES, lay_out

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sparse tensors, and of open files
        lay_out(folder)
    return folder


def content(folder: Path) -> dict[str, bytes | None]:
    """Return everything in a folder: regular files with what they hold."""
    return {
        str(path): path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
        for path in folder.rglob("*")
    }


def test_there_are_hundreds() -> None:
    assert len(CASES) > 700


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_status_2_and_nothing_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    before = content(folder)
    result = CliRunner().invoke(app, CASES[name])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    line = result.stderr.removesuffix("\n")
    assert 20 < len(line) < 6000
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf")]
    assert content(folder) == before
