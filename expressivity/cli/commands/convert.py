"""``expressivity convert``: convert a user's model, verify it, write it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import nn

from expressivity.cli.claims import Claim, Conclusion, describe
from expressivity.cli.console import to_json
from expressivity.cli.conversion import (
    ConversionOptions,
    converted,
    dtype_of_model,
    remarks_on_evaluation,
)
from expressivity.cli.factory import build_model
from expressivity.cli.options import (
    Alpha,
    AsJson,
    Force,
    HeadDim,
    Seed,
    Strategy,
    Tolerance,
    Weights,
    Where,
    parse_size,
)
from expressivity.cli.verification import (
    Agreement,
    agreement_table,
    check_model_runs,
    compare,
    input_sets,
)
from expressivity.cli.weights import load_weights
from expressivity.conversion.options import Options
from expressivity.errors import ArgumentError, FileError
from expressivity.heads.leak import check_positive
from expressivity.machine.files import (
    Reservation,
    reserved,
)
from expressivity.version import __version__

EXAMPLES = """
[bold]Examples[/]

expressivity convert my_models:build --weights model.safetensors
--input 1,3,224,224 --output attention.safetensors

expressivity convert my_models:build --weights model.pt --input 8x3x64x64
--inputs images.npy --where 'layer3.*' --output attention.safetensors
"""


def convert_command(
    factory: Annotated[
        str,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns the model when it is called "
            "without arguments; modules in the current directory are found.",
        ),
    ],
    input_shape: Annotated[
        str,
        typer.Option(
            "--input", metavar="SHAPE", help="Shape of a batch, such as 1,3,224,224."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The .safetensors file to write; a .json report is put beside it.",
        ),
    ],
    weights: Weights = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Real inputs to verify on too: one tensor (n, ...) in a .npy, "
            "safetensors or torch file.",
        ),
    ] = None,
    where: Where = None,
    alpha: Alpha = None,
    tolerance: Tolerance = None,
    head_dim: HeadDim = None,
    strategy: Strategy = "auto",
    max_difference: Annotated[
        float,
        typer.Option(
            help="Largest difference allowed, relative to the largest output. Raise "
            "it along with --tolerance."
        ),
    ] = 1e-4,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Convert your own model, verify the result, and write it."""
    targets = _targets(output)
    check_positive("max_difference", max_difference)
    Options(alpha, tolerance, head_dim=head_dim, strategy=strategy)
    shape = parse_size("--input", input_shape)
    options = ConversionOptions(alpha, tolerance, head_dim, where or None, strategy)
    with reserved(targets, force=force) as files:
        model = build_model(factory)
        if weights is not None:
            load_weights(model, weights)
        sets = input_sets(shape, dtype_of_model(model), seed, inputs)
        check_model_runs(model, sets)
        conversion = converted(model, options, sets[0].batches[0])
        agreements = compare(model, conversion.model, sets)
        claim = _claim(agreements, max_difference)
        if conversion.ruled_out:  # nothing is run to load the result
            names = [layer.name for layer in conversion.converted]
            options = replace(options, where=names)
        loading = loading_lines(factory, options, output)
        remarks = remarks_on_evaluation(model, conversion, strategy)
        document = {
            **describe("convert", [claim]),
            "factory": factory,
            "weights": weights,
            "options": asdict(options),
            "seed": seed,
            "max_difference": max_difference,
            "agreements": [agreement.to_dict() for agreement in agreements],
            "layers": [layer.to_dict() for layer in conversion.layers],
            "remarks": [*conversion.remarks, *remarks],
            "files": targets if claim.holds else [],
            "load_back": loading if claim.holds else [],
        }
        if claim.holds:
            _write(conversion.model, document, files)
    if claim.holds:
        ending = [f"wrote {targets[0]} and {targets[1]}", "load it back:", ""]
        ending += [f"    {line}" for line in loading]
    else:
        ending = [
            "nothing was written; a larger --alpha, a smaller --tolerance or a larger",
            "--max-difference would let it pass",
        ]
    return Conclusion(
        [claim],
        document,
        [
            conversion.renderable(),
            agreement_table(agreements),
            *(f"remark: {remark}" for remark in remarks),
            claim.line(),
            *ending,
        ],
        as_json=as_json,
    )


def loading_lines(factory: str, options: ConversionOptions, output: Path) -> list[str]:
    """Return three lines of Python that load a converted model.

    Args:
        factory: What made the original.
        options: What it was converted with; those that decide the structure recur.
        output: The file of weights.

    Returns:
        Import, build and convert, load. The weights of the file hold α too.
    """
    module, name = factory.split(":")
    structure = "".join(f", {key}={value!r}" for key, value in options.structural())
    return [
        f"import expressivity, safetensors.torch, {module}",
        f"model = expressivity.convert({module}.{name}().eval(){structure}).model",
        f"safetensors.torch.load_model(model, {str(output)!r})",
    ]


def _targets(output: Path) -> list[Path]:
    if output.suffix != ".safetensors":
        raise ArgumentError(
            f"--output needs a name that ends in .safetensors, got {str(output)!r}"
        )
    return [output, output.with_suffix(".json")]


def _claim(agreements: Sequence[Agreement], max_difference: float) -> Claim:
    worst = max(agreement.difference.relative for agreement in agreements)
    return Claim(
        f"largest relative difference {worst:.1e} ≤ {max_difference:g}",
        worst <= max_difference,
    )


def _write(model: nn.Module, report: Mapping[str, object], files: Reservation) -> None:
    """Write the weights and the report: both, or neither."""
    metadata = {"format": "pt", "expressivity": __version__}
    with files.written() as (weights_draft, report_draft):
        try:
            save_model(model, str(weights_draft), metadata)
        except (SafetensorError, RuntimeError, ValueError, AttributeError) as error:
            raise FileError(f"{files.targets[0]} cannot be written: {error}") from error
        report_draft.write_text(to_json(report), encoding="utf-8")
