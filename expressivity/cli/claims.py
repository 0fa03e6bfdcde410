"""What a command claims, whether it holds, and how the command ends."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
import typer
from rich.console import RenderableType
from rich.text import Text

from expressivity.cli.console import show, show_json
from expressivity.cli.status import DOES_NOT_HOLD
from expressivity.version import __version__


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


def conclude(
    claims: Sequence[Claim],
    document: Mapping[str, object],
    *blocks: RenderableType,
    as_json: bool,
) -> None:
    """Print the results of a command and end it with the status of its claims.

    Args:
        claims: What was claimed.
        document: The results as JSON.
        *blocks: The same results for a reader.
        as_json: Which of the two to print.

    Raises:
        Exit: With status 1 if a claim does not hold.
    """
    if as_json:
        show_json(document)
    else:
        show(*blocks)
    if not all(claim.holds for claim in claims):
        raise typer.Exit(DOES_NOT_HOLD)
