"""Files that appear whole, all of them together, or not at all.

New files are drafted in a temporary folder beside their targets and moved into
place when all of them are complete. Whatever happens before that leaves the old
files as they were and nothing behind.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from expressivity.errors import ArgumentError, FileError

PICTURES = (".png", ".pdf", ".svg")

_PREFIX = ".expressivity-"


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where they are missing.

    Args:
        folder: The folder.

    Raises:
        FileError: If it cannot be created, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"the folder {folder} cannot be created: {_why(error)}"
        ) from error


def check_targets(targets: Sequence[Path], *, force: bool) -> None:
    """Refuse paths that could not be written, before any work is done for them.

    Args:
        targets: Files of one folder.
        force: Whether existing files may be replaced.

    Raises:
        FileError: If the folder is missing or not writable, a target is no regular
            file, or exists and ``force`` is not given.
    """
    for target in targets:
        if target.exists() and not target.is_file():
            raise FileError(f"{target} is no regular file: choose another output")
        if not force and (target.exists() or target.is_symlink()):
            raise FileError(
                f"{target} exists: choose another output, or pass --force to replace it"
            )
    with _scratch(targets[0].parent):
        pass


def check_picture(option: str, target: Path, *, force: bool) -> None:
    """Refuse a picture that could not be written.

    Args:
        option: The option that names it, for the message.
        target: The file to write.
        force: Whether an existing file may be replaced.

    Raises:
        ArgumentError: If its name does not say a format.
        FileError: As :func:`check_targets`.
    """
    if target.suffix not in PICTURES:
        raise ArgumentError(
            f"{option} needs a name that ends in one of {', '.join(PICTURES)}, got "
            f"{str(target)!r}"
        )
    check_targets([target], force=force)


@contextmanager
def written_together(targets: Sequence[Path], *, force: bool) -> Iterator[list[Path]]:
    """Give paths to write drafts to, and move all drafts into place at the end.

    Args:
        targets: Files of one folder.
        force: Whether existing files may be replaced.

    Yields:
        One path a target, with the same name, to be written by the caller.

    Raises:
        FileError: As :func:`check_targets`, or if writing fails. Then, and for any
            error of the caller's, all targets are as they were before.

    Example:
        >>> with TemporaryDirectory() as folder:
        ...     target = Path(folder, "note.txt")
        ...     with written_together([target], force=False) as [draft]:
        ...         _ = draft.write_text("whole")
        ...     target.read_text()
        'whole'
    """
    check_targets(targets, force=force)
    folder = targets[0].parent
    with _scratch(folder) as scratch:
        drafts = [scratch / target.name for target in targets]
        try:
            yield drafts
            mode = _mode_of_new_files(scratch)
            for draft in drafts:
                # Some writers make files that only their owner can read.
                draft.chmod(mode)
                _flush(draft)
            _move_all(drafts, targets, spare=scratch)
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"writing in {folder} failed: {_why(error)}") from error


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Make a temporary folder inside another: on the same file system."""
    try:
        scratch = TemporaryDirectory(prefix=_PREFIX, dir=folder)
    except OSError as error:
        raise FileError(
            f"the folder {folder} needs to exist and be writable: {_why(error)}"
        ) from error
    with scratch as name:
        yield Path(name)


def _mode_of_new_files(scratch: Path) -> int:
    """Return the permissions that the user's umask gives to a file."""
    probe = scratch / f"{_PREFIX}mode"
    probe.touch()
    return probe.stat().st_mode


def _flush(draft: Path) -> None:
    """Bring a file to the disk: a rename may otherwise get there before it."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())


def _move_all(drafts: Sequence[Path], targets: Sequence[Path], spare: Path) -> None:
    """Move every draft to its target; undo the moves made if one fails."""
    with ExitStack() as undo:
        for draft, target in zip(drafts, targets, strict=True):
            if target.exists():
                old = Path(shutil.copy2(target, spare / f"{target.name}.old"))
                undo.callback(os.replace, old, target)
            else:
                undo.callback(target.unlink, missing_ok=True)
            draft.replace(target)
        undo.pop_all()


def _why(error: OSError) -> str:
    return error.strerror or str(error)
