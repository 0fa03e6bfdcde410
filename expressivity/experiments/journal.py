"""The log of an experiment, and what it takes to go on after an interruption.

The log has one line of JSON for the settings and one for every epoch of every run. The
checkpoint holds the state of the run that is not finished, and networks that later runs
start from. Both are written together after every epoch, whole or not at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Self, TypedDict

import torch

from expressivity.errors import FileError
from expressivity.machine.files import check_input, written_together

LOG, CHECKPOINT = "log.jsonl", "checkpoint.pt"
Record = dict[str, Any]
_NOT_FINITE = ("nan", "inf", "-inf")
State = dict[str, Any]


class Unfinished(TypedDict):
    """The state of a run between two epochs."""

    run: str
    seed: int
    epoch: int
    model: State
    optimizer: State


@dataclass
class Journal:
    """What has been recorded so far.

    Attributes:
        settings: What the records depend on; any that JSON can hold.
        records: One an epoch, in the order in which they were made.
        unfinished: The state of the run in progress, if there is one.
        kept: Networks that later runs start from.
        folder: Where it is written; ``None`` for memory alone.
    """

    settings: Mapping[str, object]
    records: list[Record] = field(default_factory=list)
    unfinished: Unfinished | None = None
    kept: dict[str, State] = field(default_factory=dict)
    folder: Path | None = None
    _written: int | None = field(default=None, init=False)

    @classmethod
    def opened(
        cls, folder: Path, settings: Mapping[str, object], *, resume: bool, force: bool
    ) -> Self:
        """Return the journal of a folder, as it was left or empty.

        Args:
            folder: Where log and checkpoint are.
            settings: What the records depend on.
            resume: Whether to go on with what is there.
            force: Whether to replace what is there.

        Raises:
            FileError: If there is a log and neither option is given; if a file is
                damaged, or is of other settings.

        Returns:
            The journal.
        """
        journal = cls(settings, folder=folder)
        log = folder / LOG
        if resume and log.exists():
            journal._read()
        elif log.exists() and not force:
            raise FileError(
                f"{log} exists: pass --resume to go on with it, or --force to start "
                "anew"
            )
        elif log.exists():
            journal._written = log.stat().st_size
        return journal

    def of(self, run: str, seed: int) -> list[Record]:
        """Return the records of one run."""
        return [r for r in self.records if r["run"] == run and r["seed"] == seed]

    def write(self) -> None:
        """Write log and checkpoint.

        Raises:
            FileError: If that is impossible, or another process has written the log
                meanwhile.
        """
        if self.folder is None:
            return
        log = self.folder / LOG
        size = log.stat().st_size if log.exists() else None
        if size != self._written:
            raise FileError(
                f"{log} has been changed by another process: let one run write in "
                f"{self.folder}"
            )
        contents = ({"settings": self.settings}, *self.records)
        lines = [json.dumps(_plain(line), allow_nan=False) for line in contents]
        text = "\n".join(lines) + "\n"
        state = {"unfinished": self.unfinished, "kept": self.kept}
        targets = [log, self.folder / CHECKPOINT]
        with written_together(targets, force=True) as [draft, checkpoint]:
            draft.write_text(text, encoding="utf-8")
            torch.save({"lines": len(lines), **state}, checkpoint)
        self._written = log.stat().st_size

    def _read(self) -> None:
        folder = self.folder or Path()
        log, checkpoint = folder / LOG, folder / CHECKPOINT
        for path in (log, checkpoint):
            check_input(path)
        try:
            text = log.read_text(encoding="utf-8")
            first, *records = [_number(json.loads(line)) for line in text.splitlines()]
            settings = first["settings"]
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            unfinished, kept, lines = (
                state[name] for name in ("unfinished", "kept", "lines")
            )
        except Exception as error:  # damage has as many classes as there are readers
            raise FileError(
                f"{folder} holds no log and checkpoint that can be read "
                f"({type(error).__name__}: {error}): start anew with --force"
            ) from error
        if lines != 1 + len(records):
            raise FileError(
                f"{log} has {1 + len(records)} lines and {checkpoint.name} is of "
                f"{lines}: they are not of one run, start anew with --force"
            )
        now = _number(json.loads(json.dumps(_plain(self.settings))))
        _require_same(log, now, settings)
        self.records, self.unfinished, self.kept = records, unfinished, kept
        self._written = log.stat().st_size


def _plain(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """Return a value with words for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _number(value: Any) -> Any:  # noqa: ANN401
    """Return a value with numbers for these words."""
    if isinstance(value, dict):
        return {name: _number(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_number(entry) for entry in value]
    return float(value) if value in _NOT_FINITE else value


def _require_same(log: Path, now: Record, then: Record) -> None:
    """Refuse to go on with other settings than those of the log."""
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            raise FileError(
                f"{log} was written with {name}={then.get(name)!r}, got "
                f"{now.get(name)!r}: go on with the same settings, or start anew in "
                "another folder"
            )
