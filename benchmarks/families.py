"""Write the atlas' table into the README, and the picture of fewer heads.

    python -m benchmarks.families

Gathers the evidence for every family live, as ``expressivity atlas`` does. The picture
is of a 7×7 stem from 3 to 64 channels, with torch's random weights.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

import expressivity as ex
from benchmarks.readme import ROOT, publish, write_section
from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import Evidence, gather
from expressivity.machine.files import written_together


def table() -> str:
    """Return the table, as Markdown.

    Raises:
        RuntimeError: If some evidence does not agree with its verdict, or a control
            says nothing.
    """
    lines = [
        "| family | verdict | conditions | heads | measured | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family in FAMILIES.values():
        evidence = gather(family)
        if not evidence.holds or evidence.remarks:
            raise RuntimeError(f"the evidence does not agree with {family.name}")
        cells = (
            family.title,
            family.verdict,
            "; ".join(family.conditions),
            family.heads,
            _measured(evidence),
            family.source,
        )
        lines.append(f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |")
    return "\n".join(lines)


def _measured(evidence: Evidence) -> str:
    attack, parts = evidence.attack, evidence.figures()
    if attack is not None:
        control = f", control {attack.control[-1]:.2g}" if attack.control else ""
        parts[-1] += f" (attack {attack.reached[-1]:.2g}{control})"
    return "; ".join(parts)


def draw_heads() -> Path:
    """Draw the error against the number of heads of a 7×7 stem."""
    torch.manual_seed(0)
    stem = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3)
    path = ROOT / "docs" / "heads.png"
    with written_together([path], force=True) as [draft]:
        ex.plots.plot_head_curve(ex.head_count(stem)).savefig(draft).curve()
    return path


def main() -> Iterator[Path]:
    """Write both files and yield their names."""
    torch.set_num_threads(1)
    yield write_section("atlas", table())
    yield draw_heads()


if __name__ == "__main__":
    publish(__doc__, main)
