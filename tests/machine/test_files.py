"""Files appear whole, together, or not at all."""

import errno
import os
import sys
from pathlib import Path

import pytest

from expressivity.errors import FileError
from expressivity.machine.files import (
    check_input,
    folder_for_files,
    reserved,
    written_together,
)


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


def reserve(targets: list[Path], *, force: bool) -> None:
    with reserved(targets, force=force):
        pass


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
        reserve(targets, force=False)
    with pytest.raises(FileError, match=r"report\.json exists.*--force"):
        write(targets, force=False)
    assert texts(targets) == [None, "precious"]
    reserve(targets, force=True)


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_appears_meanwhile_is_not_overwritten(
    targets: list[Path], which: int
) -> None:
    def write_late() -> None:
        with reserved(targets, force=False) as files, files.written() as drafts:
            for draft in drafts:
                draft.write_text("new")
            targets[which].write_text("precious")

    with pytest.raises(FileError, match="exists: it was made by another process"):
        write_late()
    expected: list[str | None] = [None, None]
    expected[which] = "precious"
    assert texts(targets) == expected


@pytest.mark.parametrize("force", [False, True])
def test_a_second_writer_is_refused_before_its_work(
    targets: list[Path], force: bool
) -> None:
    with reserved(targets, force=force) as files:
        for overlapping in (targets, targets[:1], targets[1:]):
            with pytest.raises(FileError, match="is being written by another process"):
                reserve(overlapping, force=force)
        reserve([targets[0].with_name("other")], force=force)
        with files.written() as drafts:
            for draft in drafts:
                draft.write_text("first")
    assert texts(targets) == ["first", "first"]
    assert sorted(targets[0].parent.iterdir()) == sorted(targets)


def test_one_file_is_no_two_targets(targets: list[Path]) -> None:
    with pytest.raises(FileError, match="is given twice: choose two outputs"):
        reserve([targets[0], targets[0]], force=True)
    assert not any(targets[0].parent.iterdir())


def test_another_current_folder_does_not_move_the_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with reserved([Path("note.txt")], force=False) as files:
        monkeypatch.chdir(tmp_path / "elsewhere")
        with files.written() as [draft]:
            draft.write_text("whole")
    assert (tmp_path / "note.txt").read_text() == "whole"


def test_files_of_several_folders_are_written_together(tmp_path: Path) -> None:
    targets = [tmp_path / "a" / "file", tmp_path / "b" / "file"]
    for target in targets:
        target.parent.mkdir()
    write(targets, force=False)
    assert texts(targets) == ["new", "new"]


def test_nothing_reserves_nothing() -> None:
    with reserved([], force=False) as files, files.written() as drafts:
        assert drafts == ()


def test_a_name_may_be_as_long_as_the_system_takes(tmp_path: Path) -> None:
    write([tmp_path / ("n" * 255)], force=False)
    with pytest.raises(FileError, match="cannot be written: File name too long"):
        reserve([tmp_path / ("n" * 256)], force=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in {
        tmp_path / "pipe": "it is a pipe or a device, and a regular file is needed",
        Path("/dev/zero"): "it is a pipe or a device",
        tmp_path: "Is a directory",
        tmp_path / "missing": "No such file",
        tmp_path / ("n" * 300): "File name too long",
        tmp_path / "n\0": "null",
    }.items():
        with pytest.raises(FileError, match=f"cannot be read: .*{reason}"):
            check_input(path)


def test_a_folder_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="work fails"),
        folder_for_files(tmp_path / "a" / "b"),
    ):
        raise RuntimeError("the work fails")
    assert not any(tmp_path.iterdir())
    with folder_for_files(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    (tmp_path / "old").mkdir()
    with folder_for_files(tmp_path / "old"):
        pass
    assert (tmp_path / "old").is_dir()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_no_target(tmp_path: Path, force: bool) -> None:
    with pytest.raises(FileError, match="is no regular file"):
        reserve([tmp_path], force=force)


def test_the_folder_of_the_targets_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing needs to exist and be writable"):
        reserve([tmp_path / "missing" / "file"], force=False)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FileError, match="file needs to exist and be writable"):
        reserve([file / "target"], force=False)
    with (
        pytest.raises(FileError, match="file cannot be created"),
        folder_for_files(file),
    ):
        pass


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", int)() == 0,
    reason="the superuser may write everywhere",
)
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="needs to exist and be writable: Permission"):
        reserve([tmp_path / "target"], force=False)


def test_no_permission_is_refused_before_any_work(
    targets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileError, match="be writable: Permission denied"):
        reserve(targets, force=False)


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
