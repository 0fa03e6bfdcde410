"""Write the atlas' table into the README.

    python -m benchmarks.families

Gathers the evidence for every family live, as ``expressivity atlas`` does.
"""

import torch

from benchmarks.readme import ROOT, write_section
from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import Evidence, gather


def table() -> str:
    """Return the table, as Markdown.

    Raises:
        RuntimeError: If some evidence does not agree with its verdict.
    """
    lines = [
        "| family | verdict | conditions | heads | measured | source |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family in FAMILIES.values():
        evidence = gather(family)
        if not evidence.holds:
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"wrote {write_section('atlas', table()).relative_to(ROOT)}")
