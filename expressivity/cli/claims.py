"""What a command claims, whether it holds, and how the command ends."""

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import wraps
from typing import ParamSpec, TextIO

import torch
import typer
from rich.console import RenderableType
from rich.text import Text

from expressivity.cli.console import show, to_json
from expressivity.cli.status import DOES_NOT_HOLD
from expressivity.errors import FileError
from expressivity.version import __version__

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Claim:
    """A statement with numbers in it, and whether it was found true.

    Attributes:
        statement: What is claimed and what was measured.
        holds: Whether that is so.
    """

    statement: str
    holds: bool

    def line(self) -> Text:
        """Return the claim as a line for the terminal.

        Returns:
            The verdict in colour, then the statement.
        """
        verdict = ("holds ", "green") if self.holds else ("FAILS ", "bold red")
        return Text.assemble(verdict, " ", self.statement)


def describe(command: str, claims: Sequence[Claim]) -> dict[str, object]:
    """Return what the JSON of every command starts with.

    Args:
        command: The name of the command.
        claims: What it claims.

    Returns:
        The command, whether all claims hold, the claims, and the environment.
    """
    return {
        "command": command,
        "holds": all(claim.holds for claim in claims),
        "claims": [asdict(claim) for claim in claims],
        "environment": {
            "expressivity": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
        },
    }


@dataclass(frozen=True)
class Conclusion:
    """What a command ends with.

    Attributes:
        claims: What was claimed.
        document: The results as JSON.
        blocks: The same results for a reader.
        as_json: Which of the two to print.
    """

    claims: Sequence[Claim]
    document: Mapping[str, object]
    blocks: Sequence[RenderableType]
    as_json: bool

    def print(self, stream: TextIO) -> None:
        """Print the results.

        Args:
            stream: Where to. If its reader has seen enough, the rest is left out: that
                changes nothing about the claims.

        Raises:
            FileError: If there is no space for them.
        """
        try:
            if self.as_json:
                stream.write(to_json(self.document))
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


def concluding(command: Callable[Arguments, Conclusion]) -> Callable[Arguments, None]:
    """Let a command print its results and end with the status of its claims.

    Args:
        command: Whatever it prints goes to standard error: standard output belongs to
            the results.

    Returns:
        The command with the same arguments. It exits with status 1 if a claim does not
        hold.
    """

    @wraps(command)
    def concluded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        stream = sys.stdout
        if stream is None:
            raise FileError(
                "standard output needs to be open, got a closed one: redirect it to "
                "/dev/null"
            )
        with redirect_stdout(sys.stderr):
            conclusion = command(*args, **kwargs)
            conclusion.print(stream)
        if not all(claim.holds for claim in conclusion.claims):
            raise typer.Exit(DOES_NOT_HOLD)

    return concluded
