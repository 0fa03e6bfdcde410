"""``expressivity bench``: speed and memory beside ``nn.Conv2d``."""

from collections.abc import Mapping
from pathlib import Path

from expressivity.bench import Document, Measurement, read_document, run_suites
from expressivity.bench import targets as bench_targets
from expressivity.bench.suites import CONTENT, NINE_HEADS
from expressivity.cli.arguments import Bench
from expressivity.cli.console import track
from expressivity.cli.layer_choice import dtype_of
from expressivity.cli.report import Claim, Report, Writer
from expressivity.listing import Listing
from expressivity.plots import plot_growth

_MILLI, _MIB = 1e3, 2**20


class _RawNumbers(Report):
    """A report that is a document of its own, with an environment of its own."""

    def document(self) -> Mapping[str, object]:
        """Return the raw numbers alone, as :func:`read_document` reads them."""
        return self.fields


def run(arguments: Bench) -> Report:
    """Measure, or read what was measured."""
    if arguments.read is not None:
        document = read_document(arguments.read)
    else:
        document = run_suites(
            arguments.setting,
            device=arguments.device,
            dtype=dtype_of(arguments.dtype),
            progress=lambda names: track(names, "measuring"),
        )
    claims = [
        Claim(f"{t.statement}: {t.figure()} {t.bound()}", t.is_met is not False)
        for t in bench_targets(document)
    ]
    files: dict[Path, Writer | None] = {}
    if arguments.output is not None:
        files[arguments.output] = None
    if arguments.figure is not None:
        files[arguments.figure] = plot_growth(document).savefig
    return _RawNumbers(
        "bench",
        claims if arguments.strict else [],
        document.to_dict(),
        [
            _environment(document),
            _target_table(document),
            *(_case_table(document, suite) for suite in (NINE_HEADS, CONTENT)),
            *(f"wrote {path}" for path in files),
        ],
        files,
    )


def _environment(document: Document) -> str:
    about = document.environment
    where = about.get("gpu", f"{about['processor']}, {about['threads']} threads")
    return (
        f"{document.setting} run in {document.dtype} on {where}, torch {about['torch']}"
    )


def _target_table(document: Document) -> Listing:
    verdicts = {True: "met", False: "missed", None: "-"}
    rows = [
        (t.statement, t.figure(), t.bound(), verdicts[t.is_met])
        for t in bench_targets(document)
    ]
    return Listing.of(["what"], ["measured", "target", ""], rows, title="targets")


def _case_table(document: Document, suite: str) -> Listing:
    return Listing.of(
        ["input", "evaluated as"],
        ["ms", "quartiles", "× nn.Conv2d", "MiB"],
        [
            (row.case.rpartition(" at ")[2], row.contender, *_numbers(row))
            for row in document.measurements
            if row.suite == suite
        ],
        title=suite,
    )


def _numbers(row: Measurement) -> list[str]:
    if row.seconds is None or row.low is None or row.high is None:
        return [row.reason or "", "", "", ""]
    return [
        f"{_MILLI * row.seconds:.3g}",
        f"{_MILLI * row.low:.3g} to {_MILLI * row.high:.3g}",
        f"{row.ratio or 0:.2f}",
        f"{(row.bytes or 0) / _MIB:.3g}",
    ]
