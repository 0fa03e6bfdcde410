"""``expressivity bench``: speed and memory beside ``nn.Conv2d``."""

from pathlib import Path
from typing import Annotated

import typer

from expressivity.bench import (
    Document,
    Measurement,
    read_document,
    run_suites,
)
from expressivity.bench import targets as bench_targets
from expressivity.bench.suites import CONTENT, NINE_HEADS
from expressivity.cli.claims import Claim, Conclusion
from expressivity.cli.console import to_json, track
from expressivity.cli.layers import dtype_of
from expressivity.cli.options import AsJson, Force
from expressivity.errors import ArgumentError
from expressivity.listing import Listing
from expressivity.machine.files import (
    check_picture,
    reserved,
)
from expressivity.plots import plot_growth

EXAMPLES = """
[bold]Examples[/]

expressivity bench

expressivity bench --setting full --output cpu-float32.json

expressivity bench --read cpu-float32.json --figure growth.png

expressivity bench --setting full --device cuda --dtype bfloat16
--output cuda-bfloat16.json
"""

_MILLI, _MIB = 1e3, 2**20


def bench_command(
    setting: Annotated[
        str, typer.Option(help="quick (a minute) or full (five minutes).")
    ] = "quick",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="float16, bfloat16, float32 or float64.")
    ] = "float32",
    read: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Show a run made before; measure nothing."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The .json file for the raw numbers."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Growth curve to draw: .png, .pdf or .svg."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a target is missed.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Time the attention layers beside nn.Conv2d, and see their memory."""
    targets = _targets(output, figure)
    with reserved(targets, force=force) as files:
        if read is not None:
            document = read_document(read)
        else:
            document = run_suites(
                setting,
                device=device,
                dtype=dtype_of(dtype),
                progress=lambda names: track(names, "measuring"),
            )
        with files.written() as drafts:
            if output is not None:
                drafts[0].write_text(to_json(document.to_dict()), encoding="utf-8")
            if figure is not None:
                plot_growth(document).savefig(drafts[-1])
    claims = [
        Claim(f"{t.statement}: {t.figure()} {t.bound()}", t.is_met is not False)
        for t in bench_targets(document)
    ]
    return Conclusion(
        claims if strict else [],
        document.to_dict(),
        [
            _environment(document),
            _target_table(document),
            *(_case_table(document, suite) for suite in (NINE_HEADS, CONTENT)),
            *(f"wrote {path}" for path in targets),
        ],
        as_json=as_json,
    )


def _targets(output: Path | None, figure: Path | None) -> list[Path]:
    """Return the files to write: the numbers, then the figure."""
    if output is not None and output.suffix != ".json":
        raise ArgumentError(
            f"--output needs a name that ends in .json, got {str(output)!r}"
        )
    if figure is not None:
        check_picture("--figure", figure)
    return [path for path in (output, figure) if path is not None]


def _environment(document: Document) -> str:
    about = document.environment
    where = about.get("gpu", f"{about['processor']}, {about['threads']} threads")
    return (
        f"{document.setting} run in {document.dtype} on {where}, torch {about['torch']}"
    )


def _target_table(document: Document) -> Listing:
    table = Listing(title="targets", title_justify="left")
    table.add_column("what")
    for column in ("measured", "target", ""):
        table.add_column(column, justify="right")
    verdicts = {True: "met", False: "missed", None: "-"}
    for target in bench_targets(document):
        table.add_row(
            target.statement, target.figure(), target.bound(), verdicts[target.is_met]
        )
    return table


def _case_table(document: Document, suite: str) -> Listing:
    rows = [m for m in document.measurements if m.suite == suite]
    table = Listing(title=suite, title_justify="left")
    for column in ("input", "evaluated as"):
        table.add_column(column)
    for column in ("ms", "quartiles", "× nn.Conv2d", "MiB"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.case.rpartition(" at ")[2], row.contender, *_numbers(row))
    return table


def _numbers(row: Measurement) -> list[str]:
    if row.seconds is None or row.low is None or row.high is None:
        return [row.reason or "", "", "", ""]
    return [
        f"{_MILLI * row.seconds:.3g}",
        f"{_MILLI * row.low:.3g} to {_MILLI * row.high:.3g}",
        f"{row.ratio or 0:.2f}",
        f"{(row.bytes or 0) / _MIB:.3g}",
    ]
