"""Files that appear whole, all of them together, or not at all.

A writer reserves its targets before it works: it makes a hidden folder beside each
target, which no second writer can make. It drafts new files there and moves them into
place when all of them are complete. Whatever happens before that leaves the old files
as they were and nothing behind.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from expressivity.errors import FileError

_PREFIX = ".expressivity-"


def check_input(path: Path) -> None:
    """Refuse a path that is no regular file, without waiting for a writer.

    Raises:
        FileError: If it is missing, cannot be reached, or is a folder, a pipe, a device
            or a socket.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {_why(error)}") from error
    if not stat.S_ISREG(mode):
        kind = "Is a directory" if stat.S_ISDIR(mode) else "it is a pipe or a device"
        raise FileError(f"{path} cannot be read: {kind}, and a regular file is needed")


@contextmanager
def folder_for_files(folder: Path) -> Iterator[None]:
    """Create a folder and its parents where missing; remove those that stay empty.

    Yields:
        Nothing.

    Raises:
        FileError: If it cannot be created, or is a file.
    """
    missing: list[Path] = []
    try:
        try:
            folder = folder.absolute()
            missing = [f for f in (folder, *folder.parents) if not f.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise FileError(
                f"the folder {folder} cannot be created: {_why(error)}"
            ) from error
        yield
    finally:
        for empty in missing:  # from the innermost outward
            with suppress(OSError):
                empty.rmdir()


@dataclass(frozen=True)
class Reservation:
    """Targets that one writer has for itself.

    Attributes:
        targets: The files; absolute, as the current folder may change.
        drafts: Files of the same names, to write first.
        force: Whether existing files may be replaced.
    """

    targets: tuple[Path, ...]
    drafts: tuple[Path, ...]
    force: bool

    @contextmanager
    def written(self) -> Iterator[Sequence[Path]]:
        """Yield drafts for the caller to write, and move them into place at the end.

        Yields:
            One path a target, with the same name.

        Raises:
            FileError: If writing fails, or a target has appeared meanwhile. Then, and
                for any error of the caller's, all targets are as they were before.
        """
        try:
            yield self.drafts
            for draft in self.drafts:
                # Some writers make files that only their owner can read.
                draft.chmod(_mode_of_new_files(draft.parent))
                _flush(draft)
            self._move_all()
        except FileError:
            raise
        except OSError as error:
            folders = ", ".join(sorted({str(t.parent) for t in self.targets}))
            raise FileError(f"writing in {folders} failed: {_why(error)}") from error

    def _move_all(self) -> None:
        """Move every draft to its target; undo the moves made if one fails."""
        with ExitStack() as undo:
            for draft, target in zip(self.drafts, self.targets, strict=True):
                if not self.force:
                    # Another program may have made it since: then this fails.
                    _create(target)
                    undo.callback(target.unlink, missing_ok=True)
                elif target.exists():
                    spare = draft.with_name(f"{_PREFIX}old")
                    old = Path(shutil.copy2(target, spare))
                    undo.callback(os.replace, old, target)
                else:
                    undo.callback(target.unlink, missing_ok=True)
                draft.replace(target)
            undo.pop_all()


@contextmanager
def reserved(targets: Sequence[Path], *, force: bool) -> Iterator[Reservation]:
    """Reserve targets for one writer, from before its work to the end of it.

    Args:
        targets: Files to write, if any.
        force: Whether existing files may be replaced.

    Yields:
        The reservation.

    Raises:
        FileError: If a folder is missing or not writable; if a target is no regular
            file, is given twice, is being written by another process, or exists and
            ``force`` is not given.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     target = Path(folder, "note.txt")
        ...     with reserved([target], force=False) as reservation:
        ...         with reservation.written() as [draft]:
        ...             _ = draft.write_text("whole")
        ...     [path.name for path in Path(folder).iterdir()]
        ['note.txt']
    """
    with ExitStack() as claims:
        whole, drafts = [], []
        for target in targets:
            try:
                path = target.absolute()
                _check_target(path, target, force=force)
            except FileError:
                raise
            except (OSError, ValueError) as error:
                raise FileError(f"{target} cannot be written: {_why(error)}") from error
            if path in whole:
                raise FileError(f"{target} is given twice: choose two outputs")
            folder = claims.enter_context(_claimed(path, target))
            whole.append(path)
            drafts.append(folder / path.name)
        yield Reservation(tuple(whole), tuple(drafts), force)


@contextmanager
def written_together(
    targets: Sequence[Path], *, force: bool
) -> Iterator[Sequence[Path]]:
    """Reserve targets, as :func:`reserved`, and yield their drafts, as ``written``.

    Yields:
        One path a target, with the same name, for the caller to write.
    """
    with (
        reserved(targets, force=force) as reservation,
        reservation.written() as drafts,
    ):
        yield drafts


def _check_target(path: Path, shown: Path, *, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise FileError(f"{shown} is no regular file: choose another output")
    if not force and (path.exists() or path.is_symlink()):
        raise FileError(
            f"{shown} exists: choose another output, or pass --force to replace it"
        )


@contextmanager
def _claimed(target: Path, shown: Path) -> Iterator[Path]:
    """Make the folder of a target's drafts, which only one process can."""
    digest = sha256(os.fsencode(target.name)).hexdigest()[:16]
    folder = target.parent / f"{_PREFIX}{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise FileError(
            f"{shown} is being written by another process: wait for it, or "
            f"remove {folder} if that was killed"
        ) from error
    except OSError as error:
        raise FileError(
            f"the folder {shown.parent} needs to exist and be writable: {_why(error)}"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(target: Path) -> None:
    """Make an empty file, or fail if the file exists."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError as error:
        raise FileError(
            f"{target} exists: it was made by another process meanwhile"
        ) from error


def _mode_of_new_files(folder: Path) -> int:
    """Return the permissions that the user's umask gives to a file."""
    probe = folder / f"{_PREFIX}mode"
    probe.touch()
    return probe.stat().st_mode


def _flush(draft: Path) -> None:
    """Bring a file to the disk: a rename may otherwise get there before it."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
