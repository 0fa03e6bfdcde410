"""All commands, and the options of the program itself.

A command line is parsed, and its output reserved, before torch is imported, which takes
seconds.
"""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from expressivity.cli.arguments import (
    Atlas,
    Bench,
    Certify,
    Convert,
    Demo,
    Explore,
    Show,
    Sweep,
    Train,
)
from expressivity.cli.console import narrated
from expressivity.cli.options import Arguments
from expressivity.cli.status import DOES_NOT_HOLD, CommandLine, ModelExit
from expressivity.errors import FileError
from expressivity.version import __version__

if TYPE_CHECKING:
    from expressivity.cli.report import Report

COMMANDS: dict[str, type[Arguments]] = {
    "demo": Demo,
    "convert": Convert,
    "show": Show,
    "sweep": Sweep,
    "certify": Certify,
    "atlas": Atlas,
    "explore": Explore,
    "train": Train,
    "bench": Bench,
}


class _Command(TyperCommand):
    """A command whose work is imported when it starts."""

    def invoke(self, ctx: Any) -> None:  # noqa: ANN401 - of typer or of click
        """Work, write the files, print, and end with the status of the claims."""
        arguments: Arguments = super().invoke(ctx)
        stream = sys.stdout
        if stream is None:
            raise FileError(
                "standard output needs to be open, got a closed one: redirect it to "
                "/dev/null"
            )
        with redirect_stdout(sys.stderr):  # standard output belongs to the results
            with narrated(wanted=arguments.verbose), arguments.reserved() as files:
                report = self._report(arguments)
                report.write(files)
            report.print(stream, as_json=arguments.as_json)
        if not report.holds:
            raise typer.Exit(DOES_NOT_HOLD)

    def _report(self, arguments: Arguments) -> "Report":
        """Work; what ends the process here is the code of a model."""
        work = import_module(f"expressivity.cli.commands.{self.name}")
        run: Callable[[Arguments], Report] = work.run
        try:
            return run(arguments)
        except SystemExit as error:
            raise ModelExit(error.code) from error


app = typer.Typer(
    cls=CommandLine,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the claim does not hold, 2 bad input.",
)
for name, kind in COMMANDS.items():
    examples = f"[bold]Examples[/]\n\n{cleandoc(kind.EXAMPLES)}"
    app.command(name, cls=_Command, help=kind.__doc__, epilog=examples)(kind)


def _print_version(show: bool) -> None:
    if show:
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
