"""The commands put together, and the options of all."""

from typing import Annotated

import typer

from expressivity.cli import atlas, bench, certify, convert, demo, sweep
from expressivity.cli.status import reporting_errors
from expressivity.version import __version__

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the claim does not hold, 2 bad input.",
)
for name, command, examples in (
    ("demo", demo.demo_command, demo.EXAMPLES),
    ("convert", convert.convert_command, convert.EXAMPLES),
    ("sweep", sweep.sweep_command, sweep.EXAMPLES),
    ("certify", certify.certify_command, certify.EXAMPLES),
    ("atlas", atlas.atlas_command, atlas.EXAMPLES),
    ("bench", bench.bench_command, bench.EXAMPLES),
):
    app.command(name, epilog=examples)(reporting_errors(command))


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
