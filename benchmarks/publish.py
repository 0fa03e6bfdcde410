"""Write the table and the picture of what attention costs, from the raw numbers.

    python -m benchmarks.publish

Reads what ``make bench`` wrote in float32 on processors, one file a machine in
``benchmarks/results/``, and nothing else. ``expressivity/bench/__init__.py`` states the
method. ``expressivity bench --read FILE`` shows the other runs in the same folder.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.documents import README, ROOT, publish, write_section
from benchmarks.measure import RESULTS, machine, plain
from expressivity.bench import Document, Target, read_document, targets
from expressivity.bench.contenders import DENSE
from expressivity.bench.suites import NINE_HEADS
from expressivity.machine.files import written_together
from expressivity.plots import plot_growth

PAGE = ROOT / "docs" / "understand" / "cost.md"
PICTURE = ROOT / "docs" / "growth.png"


def table(documents: Sequence[Document]) -> str:
    """Return the figures of all machines beside their targets, as Markdown."""
    names = [machine(document.environment) for document in documents]
    rows = zip(*map(targets, documents), strict=True)
    return "\n".join([
        "; ".join(map(_machine, documents)) + ". Bold: the target is missed.",
        "",
        f"| what | {' | '.join(names)} | target |",
        f"| --- |{' --- |' * len(names)} --- |",
        *map(_row, rows),
        "",
        *map(_limit, documents),
    ])


def _machine(document: Document) -> str:
    about = document.environment
    return (
        f"{machine(about)}, {about['threads']} threads, torch {about['torch']}, "
        f"{document.dtype}"
    )


def sentence(documents: Sequence[Document]) -> str:
    """Return what the README says about cost."""
    figures = [{t.statement: t.value for t in targets(each)} for each in documents]

    def span(*statements: str) -> str:
        values = [own[statement] for own in figures for statement in statements]
        low, high = f"{min(values):.3g}", f"{max(values):.3g}"
        return low if low == high else f"{low} to {high}"

    forward = span("ResNet-50, default α: forward")
    soft = span(
        *(
            f"{layers}, {alpha}: geometric mean"
            for layers in ("ResNet-50 layers at 224²", "the same, channels last")
            for alpha in ("α = 4", "α = 1")
        )
    )
    growth = span(
        *(
            f"time ∝ tokens^p from 64² to 1024², {alpha}: p"
            for alpha in ("α = 4", "α = 1")
        )
    )
    makers = {plain(own.environment["processor"]).split()[0] for own in documents}
    return (
        f"On {' and '.join(sorted(makers))}, converted ResNet-50 takes {forward} times "
        f"as long as before, soft layers {soft} times as long as `nn.Conv2d`; time "
        f"grows as tokens<sup>{growth}</sup>."
    )


def _row(figures: Sequence[Target]) -> str:
    cells = [f"**{t.figure()}**" if t.is_met is False else t.figure() for t in figures]
    return f"| {figures[0].statement} | {' | '.join(cells)} | {figures[0].bound()} |"


def _limit(document: Document) -> str:
    """Return the limit that the time of the convolution sets."""
    dense = next(document.of(NINE_HEADS, DENSE))
    return (
        f"On the {machine(document.environment)} `dense` takes {dense.ratio:.0f} "
        "times as long as `nn.Conv2d` at 56×56×64: nothing that costs what the "
        "convolution costs can be faster than it by more than that."
    )


def main() -> Iterator[Path]:
    """Write all files and yield their names."""
    documents = list(map(read_document, sorted(RESULTS.glob("*-cpu-float32.json"))))
    yield write_section(PAGE, "benchmark", table(documents))
    yield write_section(README, "cost", sentence(documents))
    with written_together([PICTURE], force=True) as [draft]:
        plot_growth(documents[-1]).savefig(draft)
    yield PICTURE


if __name__ == "__main__":
    publish(__doc__, main)
