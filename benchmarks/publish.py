"""Write the table and the picture of what attention costs, from the raw numbers.

    python -m benchmarks.publish

Reads ``benchmarks/results/cpu-float32.json``, which ``make bench`` writes, and nothing
else. ``expressivity/bench/__init__.py`` states the method. ``expressivity bench --read
FILE`` shows the other runs in the same folder, on a GPU or with another dtype.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.documents import README, ROOT, publish, write_section
from expressivity.bench import Document, Target, read_document, targets
from expressivity.bench.contenders import DENSE
from expressivity.bench.suites import NINE_HEADS
from expressivity.machine.files import written_together
from expressivity.plots import plot_growth

RESULTS = ROOT / "benchmarks" / "results" / "cpu-float32.json"
PAGE = ROOT / "docs" / "understand" / "cost.md"
PICTURE = ROOT / "docs" / "growth.png"


def table(document: Document) -> str:
    """Return the figures beside their targets, as Markdown."""
    about = document.environment
    lines = [
        (
            f"Measured on an {about['processor']} with {about['vector_instructions']}, "
            f"{about['threads']} threads, torch {about['torch']}, {document.dtype}:"
        ),
        "",
        "| what | measured | target | |",
        "| --- | --- | --- | --- |",
        *map(_row, targets(document)),
        "",
        _limit(document),
    ]
    return "\n".join(lines)


def sentence(document: Document) -> str:
    """Return what the README says about cost."""
    figures = {target.statement: target.value for target in targets(document)}
    forward = figures["ResNet-50, default α: forward"]
    soft = figures["ResNet-50 layers at 224², α = 4: geometric mean"]
    growth = figures["time ∝ tokens^p from 64² to 1024², α = 4: p"]
    processor = document.environment["processor"]
    return (
        f"On an {processor}, converted ResNet-50 takes {forward:.3g} times as long as "
        f"before, and soft layers {soft:.3g} times as long as `nn.Conv2d`; time grows "
        f"as tokens<sup>{growth:.3g}</sup>."
    )


def _row(target: Target) -> str:
    verdict = {True: "met", False: "**missed**", None: ""}[target.is_met]
    return f"| {target.statement} | {target.figure()} | {target.bound()} | {verdict} |"


def _limit(document: Document) -> str:
    """Return the limit that the time of the convolution sets."""
    dense = next(document.of(NINE_HEADS, DENSE))
    return (
        f"On this machine `dense` takes {dense.ratio:.0f} times as long as `nn.Conv2d` "
        "at 56×56×64: nothing that costs what the convolution costs can be faster than "
        "it by more than that."
    )


def main() -> Iterator[Path]:
    """Write all files and yield their names."""
    document = read_document(RESULTS)
    yield write_section(PAGE, "benchmark", table(document))
    yield write_section(README, "cost", sentence(document))
    with written_together([PICTURE], force=True) as [draft]:
        plot_growth(document).savefig(draft)
    yield PICTURE


if __name__ == "__main__":
    publish(__doc__, main)
