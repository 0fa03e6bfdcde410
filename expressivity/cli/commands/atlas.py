"""``expressivity atlas``: what every family of layers can and cannot express."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import Evidence, gather
from expressivity.atlas.family import Sample
from expressivity.cli.arguments import Atlas
from expressivity.cli.atlas_page import page, weights_in_words
from expressivity.cli.console import track
from expressivity.cli.layer_choice import layer_of_model
from expressivity.cli.options import parse_size
from expressivity.cli.report import Claim, Report, Writer
from expressivity.errors import ArgumentError
from expressivity.listing import Listing
from expressivity.plots import plot_evidence


def run(arguments: Atlas) -> Report:
    """Gather the evidence for one family or all."""
    name, factory = arguments.family, arguments.factory
    if name is not None and name not in FAMILIES:
        raise ArgumentError(
            f"--family needs one of {', '.join(FAMILIES)}, got {name!r}"
        )
    if arguments.figure is not None and name is None:
        raise ArgumentError("--figure needs --family: there is one for each")
    pixels = parse_size("--size", arguments.size)
    sample = None
    if factory is not None:
        conv = layer_of_model(factory, arguments.weights, arguments.layer)
        sample = Sample(conv, pixels)
    targets = arguments.targets()
    steps, seed, curve = arguments.steps, arguments.seed, bool(targets or name)
    families = list(FAMILIES.values()) if name is None else [FAMILIES[name]]
    gathered = [
        gather(family, sample, steps=steps, seed=seed, curve=curve)
        for family in track(families, "gathering evidence")
    ]
    claim = _claim(gathered)
    return Report(
        "atlas",
        [claim],
        {
            "factory": factory,
            "layer": arguments.layer,
            "size": None if sample is None else sample.size,
            "steps": steps,
            "seed": seed,
            "families": [evidence.to_dict() for evidence in gathered],
        },
        [
            *(
                [_table(gathered), _conditions(gathered)]
                if name is None
                else _explained(gathered[0])
            ),
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        _files(arguments, gathered),
    )


def _files(arguments: Atlas, gathered: Sequence[Evidence]) -> dict[Path, Writer]:
    files: dict[Path, Writer] = {}
    if arguments.figure is not None:
        files[arguments.figure] = plot_evidence(gathered[0]).savefig
    if arguments.html is not None:
        html = page(gathered)
        files[arguments.html] = lambda draft: draft.write_text(html, encoding="utf-8")
    return files


def _claim(gathered: Sequence[Evidence]) -> Claim:
    failed = [evidence.family.name for evidence in gathered if not evidence.holds]
    if failed:
        return Claim(f"the evidence agrees with the verdict, not for {failed}", False)
    return Claim(
        f"the evidence agrees with the verdict in {len(gathered)} families", True
    )


def _table(gathered: Sequence[Evidence]) -> Listing:
    rows = [
        (x.family.name, x.family.verdict, "\n".join(x.figures()), x.family.heads)
        for x in gathered
    ]
    return Listing.of(
        ["family", "verdict", "measured", "heads"],
        [],
        rows,
        caption="float64; error: of constructed weights, relative to the largest "
        "output; error ≥: no setting of the parameters errs less on the inputs of the "
        "witness, absolute; --family NAME explains, and states how large they are",
    )


def _conditions(gathered: Sequence[Evidence]) -> Table:
    """Return the conditions of the verdicts and the sources of the layers."""
    table = Listing.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(overflow="fold")
    table.add_row("conditions and sources:", "")
    for evidence in gathered:
        family = evidence.family
        conditions = "; ".join(family.conditions)
        table.add_row(f"  {family.name}", f"{conditions} – {family.source}")
    return table


def _explained(evidence: Evidence) -> list[str]:
    """Return the evidence for one family in words."""
    family, weights, attack = evidence.family, evidence.weights, evidence.attack
    lines = [f"{family.title}: {family.verdict}", "", family.claim.statement]
    lines += [f"  condition: {condition}" for condition in family.conditions]
    if family.heads:
        lines.append(f"  heads: {family.heads}")
    lines.append(f"  source: {family.source}")
    if weights is not None:
        size = "×".join(map(str, weights.sample.size))
        lines += ["", f"weights for {weights.sample.conv} on {size} pixels"]
        lines += [f"  {line}" for line in weights_in_words(evidence)]
    if attack is not None:
        steps, reached = len(attack.reached) - 1, attack.reached[-1]
        lines += [
            "",
            f"{attack.witness.kind} witness against {attack.sample.conv}",
            f"  {attack.witness.symmetry}",
            f"  inputs within ±{attack.witness.input_bound:.3g}; all errors absolute",
            f"  no setting errs less than {attack.bound:.4g}",
            f"  an attack of {steps} steps comes to {reached:.4g}",
        ]
        if attack.control:
            lines.append(f"  with the condition restored: {attack.control[-1]:.4g}")
    lines += [f"  remark: {remark}" for remark in evidence.remarks]
    return [*lines, ""]
