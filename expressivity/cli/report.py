"""What a command reports: claims, numbers, tables and files."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import torch
from rich.console import RenderableType
from rich.text import Text

from expressivity.cli.console import show, to_json
from expressivity.errors import FileError
from expressivity.machine.files import Reservation
from expressivity.version import __version__

Writer = Callable[[Path], object]


@dataclass(frozen=True)
class Claim:
    """A statement with numbers in it, and whether it is true.

    Attributes:
        statement: What is claimed and what was measured.
        holds: Whether that is so.
    """

    statement: str
    holds: bool

    def line(self) -> Text:
        """Return the verdict in colour, then the statement."""
        verdict = ("holds ", "green") if self.holds else ("FAILS ", "bold red")
        return Text.assemble(verdict, " ", self.statement)


@dataclass(frozen=True)
class Report:
    """What a command ends with.

    Attributes:
        command: The name of the command.
        claims: What is claimed.
        fields: The results for a program.
        blocks: The results for a reader.
        files: What writes each file, in the order of the command's targets; ``None``
            for the report itself as JSON.
        afterwards: What to do when the files are written.
    """

    command: str
    claims: Sequence[Claim]
    fields: Mapping[str, object]
    blocks: Sequence[RenderableType]
    files: Mapping[Path, Writer | None] = field(default_factory=dict)
    afterwards: Callable[[], object] = field(default=lambda: None)

    @property
    def holds(self) -> bool:
        """Whether all claims hold."""
        return all(claim.holds for claim in self.claims)

    def document(self) -> Mapping[str, object]:
        """Return the claims, the environment, the fields and the files as one."""
        return {
            "command": self.command,
            "holds": self.holds,
            "claims": [asdict(claim) for claim in self.claims],
            "environment": {
                "expressivity": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "threads": torch.get_num_threads(),
            },
            **self.fields,
            "files": list(self.files),
        }

    def write(self, reservation: Reservation) -> None:
        """Write all files or none."""
        if not self.files:
            return
        with reservation.written() as drafts:
            for write, draft in zip(self.files.values(), drafts, strict=True):
                if write is None:
                    draft.write_text(to_json(self.document()), encoding="utf-8")
                else:
                    write(draft)
        self.afterwards()

    def print(self, stream: TextIO, *, as_json: bool) -> None:
        """Print the results.

        Args:
            stream: Where to. If its reader stops reading, the rest is left out: that
                changes nothing about the claims.
            as_json: Whether to print what is meant for a program.

        Raises:
            FileError: If there is no space for them.
        """
        try:
            if as_json:
                stream.write(to_json(self.document()))
            else:
                show(stream, *self.blocks)
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except OSError as error:
            raise FileError(
                f"standard output cannot be written: {error.strerror}; what the "
                "options name as output is whole"
            ) from error
