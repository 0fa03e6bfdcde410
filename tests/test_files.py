"""Files appear whole, together, or not at all."""

import errno
import os
import sys
from pathlib import Path

import pytest

from expressivity.errors import FileError
from expressivity.files import check_targets, make_folder, written_together


@pytest.fixture
def targets(tmp_path: Path) -> list[Path]:
    return [tmp_path / "weights.bin", tmp_path / "report.json"]


def write(targets: list[Path], *, force: bool = True, text: str = "new") -> None:
    with written_together(targets, force=force) as drafts:
        for draft in drafts:
            draft.write_text(text)


def fail_half_way(targets: list[Path], error: BaseException) -> None:
    with written_together(targets, force=True) as drafts:
        drafts[0].write_text("half")
        raise error


def texts(targets: list[Path]) -> list[str | None]:
    return [path.read_text() if path.exists() else None for path in targets]


def test_all_are_written_and_nothing_else_is_left(targets: list[Path]) -> None:
    write(targets, force=False)
    assert texts(targets) == ["new", "new"]
    assert sorted(targets[0].parent.iterdir()) == sorted(targets)


def test_old_ones_are_replaced(targets: list[Path]) -> None:
    write(targets, text="old")
    write(targets)
    assert texts(targets) == ["new", "new"]
    assert sorted(targets[0].parent.iterdir()) == sorted(targets)


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_while_drafting_changes_nothing(
    targets: list[Path], old: str | None, error: type[BaseException]
) -> None:
    if old is not None:
        write(targets, text=old)
    raised = FileError if error is OSError else error
    with pytest.raises(raised, match="half way"):
        fail_half_way(targets, error("half way"))
    assert texts(targets) == [old, old]
    assert len(list(targets[0].parent.iterdir())) == (0 if old is None else 2)


@pytest.mark.parametrize("old", [None, "old"])
def test_a_second_move_that_fails_undoes_the_first(
    targets: list[Path], old: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old is not None:
        write(targets, text=old)
    move = Path.replace

    def broken(self: Path, target: Path) -> Path:
        if target == targets[1]:
            assert targets[0].read_text() == "new"
            raise OSError(errno.EIO, "the disk is gone")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(FileError, match="the disk is gone"):
        write(targets)
    assert texts(targets) == [old, old]
    assert len(list(targets[0].parent.iterdir())) == (0 if old is None else 2)


def test_a_full_disk_is_noticed_before_anything_moves(
    targets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    write(targets, text="old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="no space left on device"):
        write(targets)
    assert texts(targets) == ["old", "old"]


def test_a_draft_that_was_not_written_is_an_error(targets: list[Path]) -> None:
    with (
        pytest.raises(FileError, match="No such file"),
        written_together(targets, force=True) as drafts,
    ):
        drafts[0].write_text("only one")
    assert texts(targets) == [None, None]


def test_existing_files_are_refused_unless_forced(targets: list[Path]) -> None:
    targets[1].write_text("precious")
    with pytest.raises(FileError, match=r"report\.json exists.*--force"):
        check_targets(targets, force=False)
    with pytest.raises(FileError, match=r"report\.json exists.*--force"):
        write(targets, force=False)
    assert texts(targets) == [None, "precious"]
    check_targets(targets, force=True)


def test_a_file_that_appears_meanwhile_is_not_overwritten(targets: list[Path]) -> None:
    check_targets(targets, force=False)
    targets[0].write_text("precious")
    with pytest.raises(FileError, match="exists"):
        write(targets, force=False)
    assert texts(targets) == ["precious", None]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_no_target(tmp_path: Path, force: bool) -> None:
    with pytest.raises(FileError, match="is no regular file"):
        check_targets([tmp_path], force=force)


def test_the_folder_of_the_targets_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing needs to exist and be writable"):
        check_targets([tmp_path / "missing" / "file"], force=False)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FileError, match="file needs to exist and be writable"):
        check_targets([file / "target"], force=False)
    with pytest.raises(FileError, match="file cannot be created"):
        make_folder(file)


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", int)() == 0,
    reason="the superuser may write everywhere",
)
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="needs to exist and be writable: Permission"):
        check_targets([tmp_path / "target"], force=False)


def test_no_permission_is_refused_before_any_work(
    targets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("expressivity.files.TemporaryDirectory", refuse)
    with pytest.raises(FileError, match="be writable: Permission denied"):
        check_targets(targets, force=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no umask")
def test_permissions_are_those_of_any_new_file(
    targets: list[Path], tmp_path: Path
) -> None:
    with written_together(targets, force=False) as drafts:
        for draft in drafts:
            draft.touch(mode=0o600)
    (tmp_path / "any").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_make_folder_makes_parents_and_accepts_existing_ones(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
