"""``expressivity atlas``: what every family of layers can and cannot express."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import STEPS, Evidence, gather
from expressivity.atlas.family import Sample
from expressivity.cli.atlas_page import page, weights_in_words
from expressivity.cli.claims import Claim, Conclusion, describe
from expressivity.cli.console import track
from expressivity.cli.layers import layer_of_model
from expressivity.cli.options import LARGEST, AsJson, Force, Seed, Weights, parse_size
from expressivity.errors import ArgumentError
from expressivity.listing import Listing
from expressivity.machine.files import (
    check_picture,
    reserved,
)
from expressivity.plots import plot_evidence

EXAMPLES = """
[bold]Examples[/]

expressivity atlas

expressivity atlas --family alibi --figure alibi.png

expressivity atlas my_models:build --weights model.pt --layer stem --size 8x8
--html atlas.html
"""


def atlas_command(
    factory: Annotated[
        str | None,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns a model; without it every "
            "family is looked at with an example of its own.",
        ),
    ] = None,
    weights: Weights = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which convolution of the model."),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Pixels of the input of that convolution.")
    ] = "8x8",
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Explain one family, in words."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --family: its figure, .png, .pdf or .svg."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one page with everything on it."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Steps of every attack.")
    ] = STEPS,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Show what every family of layers can and cannot express, with evidence."""
    if family is not None and family not in FAMILIES:
        raise ArgumentError(
            f"--family needs one of {', '.join(FAMILIES)}, got {family!r}"
        )
    if figure is not None:
        if family is None:
            raise ArgumentError("--figure needs --family: there is one for each")
        check_picture("--figure", figure)
    pixels = parse_size("--size", size)
    chosen = list(FAMILIES.values()) if family is None else [FAMILIES[family]]
    targets = [path for path in (figure, html) if path is not None]
    with reserved(targets, force=force) as files:
        sample = None
        if factory is not None:
            sample = Sample(layer_of_model(factory, weights, layer), pixels)
        found = [
            gather(one, sample, steps=steps, seed=seed, curve=bool(targets or family))
            for one in track(chosen, "gathering evidence")
        ]
        with files.written() as drafts:
            if figure is not None:
                plot_evidence(found[0]).savefig(drafts[0])
            if html is not None:
                drafts[-1].write_text(page(found), encoding="utf-8")
    claim = _claim(found)
    return Conclusion(
        [claim],
        {
            **describe("atlas", [claim]),
            "factory": factory,
            "layer": layer,
            "size": None if sample is None else sample.size,
            "steps": steps,
            "seed": seed,
            "families": [evidence.to_dict() for evidence in found],
            "files": targets,
        },
        [
            *(
                [_table(found), _conditions(found)]
                if family is None
                else _explained(found[0])
            ),
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        as_json=as_json,
    )


def _claim(found: Sequence[Evidence]) -> Claim:
    failed = [evidence.family.name for evidence in found if not evidence.holds]
    if failed:
        return Claim(f"the evidence agrees with the verdict, not for {failed}", False)
    return Claim(f"the evidence agrees with the verdict in {len(found)} families", True)


def _table(found: Sequence[Evidence]) -> Listing:
    table = Listing(
        caption="float64; error: of constructed weights, relative to the largest "
        "output; error ≥: no setting of the parameters errs less on the inputs of the "
        "witness, absolute; --family NAME explains, and says how large those are",
        caption_justify="left",
    )
    for column in ("family", "verdict", "measured"):
        table.add_column(column)
    table.add_column("heads")
    for evidence in found:
        family = evidence.family
        lines = "\n".join(evidence.figures())
        table.add_row(family.name, family.verdict, lines, family.heads)
    return table


def _conditions(found: Sequence[Evidence]) -> Table:
    """Return under which conditions the verdicts hold, and of whose layer."""
    table = Listing.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(overflow="fold")
    table.add_row("conditions and sources:", "")
    for evidence in found:
        family = evidence.family
        conditions = "; ".join(family.conditions)
        table.add_row(f"  {family.name}", f"{conditions} – {family.source}")
    return table


def _explained(evidence: Evidence) -> list[str]:
    """Return what there is to say about one family."""
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
