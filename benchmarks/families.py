"""Write the tables of the atlas, and the picture of fewer heads.

    python -m benchmarks.families

Gathers the evidence for every family live, as ``expressivity atlas`` does. The picture
is of a 7×7 stem from 3 to 64 channels, with torch's random weights.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

import expressivity as ex
from benchmarks.documents import README, ROOT, publish, write_section
from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import Evidence, gather
from expressivity.machine.files import written_together

PAGE = ROOT / "docs" / "lookup" / "atlas.md"
_QUESTION = "computes any convolution?"
_ANSWERS = {"yes": "yes", "conditional": "on conditions", "no": "no"}


def gathered() -> list[Evidence]:
    """Gather the evidence for every family.

    Raises:
        RuntimeError: If some evidence does not agree with its verdict, or a control
            says nothing.
    """
    found = [gather(family) for family in FAMILIES.values()]
    for evidence in found:
        if not evidence.holds or evidence.remarks:
            raise RuntimeError(
                f"the evidence does not agree with {evidence.family.name}"
            )
    return found


def summary(evidences: Sequence[Evidence]) -> str:
    """Return the table of the README: families by verdict."""
    lines = [f"| {_QUESTION} | families | evidence |", "| --- | --- | --- |"]
    for verdict, answer in _ANSWERS.items():
        some = [each for each in evidences if each.family.verdict == verdict]
        titles = "; ".join(each.family.title for each in some)
        errors = [each.weights.error for each in some if each.weights is not None]
        bounds = [each.attack.bound for each in some if each.attack is not None]
        parts = [f"weights, error ≤ {_above(max(errors))}"] if errors else []
        parts += [f"else error ≥ {_below(min(bounds))}"] if errors and bounds else []
        parts += [f"error ≥ {_below(min(bounds))}"] if not errors else []
        lines.append(f"| {answer} | {titles} | {', '.join(parts)} |")
    return "\n".join(lines)


def _above(number: float) -> str:
    """Write a number with one digit that is no smaller."""
    power = 10.0 ** math.floor(math.log10(number))
    return f"{math.ceil(number / power) * power:.0e}"


def _below(number: float) -> str:
    """Write a number with two decimals that is no larger."""
    return f"{math.floor(number * 100) / 100:g}"


def table(evidences: Sequence[Evidence]) -> str:
    """Return the table of the atlas, as Markdown."""
    lines = [
        "| family | verdict | conditions | heads | measured | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for evidence in evidences:
        family = evidence.family
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
        ex.plots.plot_head_curve(ex.head_count(stem).curve()).savefig(draft)
    return path


def main() -> Iterator[Path]:
    """Write all files and yield their names."""
    torch.set_num_threads(1)
    evidences = gathered()
    yield write_section(PAGE, "atlas", table(evidences))
    yield write_section(README, "families", summary(evidences))
    yield draw_heads()


if __name__ == "__main__":
    publish(__doc__, main)
