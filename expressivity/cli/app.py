"""The commands put together, and the options of all.

The help of the program names every command and imports none: torch takes seconds.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, cast

import typer
from typer.core import TyperCommand
from typer.main import get_command

from expressivity.cli.status import CommandLine
from expressivity.version import __version__

COMMANDS = {
    "demo": "Train a small CNN on digits, turn it into attention, compare and draw.",
    "convert": "Convert your own model, verify the result, and write it.",
    "sweep": "Measure, predict and bound the error of a conversion for every α.",
    "certify": "Certify every layer of a model: a bound that holds for every input.",
    "atlas": "Show what every family of layers can and cannot express, with evidence.",
    "bench": "Time the attention layers beside nn.Conv2d, and see their memory.",
}


class _Command(TyperCommand):
    """A command that is imported when its arguments are read."""

    def make_context(self, *arguments: object, **extra: object) -> typer.Context:
        make = cast("Callable[..., typer.Context]", self.load().make_context)
        return make(*arguments, **extra)

    def load(self) -> TyperCommand:
        """Import the command.

        Returns:
            It, with its options.
        """
        module = import_module(f"expressivity.cli.commands.{self.name}")
        alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
        concluding = import_module("expressivity.cli.claims").concluding
        command = concluding(getattr(module, f"{self.name}_command"))
        alone.command(self.name, epilog=module.EXAMPLES)(command)
        return cast("TyperCommand", get_command(alone))


app = typer.Typer(
    cls=CommandLine,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the claim does not hold, 2 bad input.",
)
for name, summary in COMMANDS.items():
    app.command(name, cls=_Command, help=summary)(lambda: None)  # replaced by load()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"expressivity {__version__}")
        raise typer.Exit


@app.callback()
def group(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Any convolution as a multi-head self-attention layer, with the error stated."""
