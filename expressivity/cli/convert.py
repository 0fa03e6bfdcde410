"""``expressivity convert``: convert a user's model, verify it, write it."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import nn

from expressivity.bounds.leak import check_positive
from expressivity.cli.claims import Claim, conclude, describe
from expressivity.cli.console import messages, to_json
from expressivity.cli.factory import build_model
from expressivity.files import check_targets, written_together
from expressivity.cli.options import (
    Alpha,
    AsJson,
    Force,
    Seed,
    Tolerance,
    Weights,
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
from expressivity.constructor.build import check_options
from expressivity.errors import ArgumentError, FileError, UnsupportedModuleError
from expressivity.strategies.select import STRATEGIES
from expressivity.surgery import Conversion
from expressivity.surgery import convert as convert_model

EXAMPLES = """
[bold]Examples[/]

expressivity convert my_models:build --weights model.safetensors
--input 1,3,224,224 --output attention.safetensors

expressivity convert my_models:build --weights model.pt --input 8x3x64x64
--inputs images.npy --where 'layer3.*' --output attention.safetensors
"""


@dataclass(frozen=True)
class ConversionOptions:
    """The options of :func:`expressivity.convert`.

    Attributes:
        alpha: Locality strength of all heads, 1/pixel².
        tolerance: Largest absolute error of a layer for inputs within ±1.
        head_dim: Dimension of a head's values.
        where: Names or patterns of the layers to convert.
        strategy: How the attention is evaluated.
    """

    alpha: float | None
    tolerance: float | None
    head_dim: int | None
    where: list[str] | None
    strategy: str

    def structural(self) -> list[tuple[str, object]]:
        """Return the options that decide more than values of parameters.

        Returns:
            Names and values of those that differ from the default.
        """
        kept = {"head_dim": None, "where": None, "strategy": "auto"}
        given = asdict(self)
        return [(key, given[key]) for key in kept if given[key] != kept[key]]


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
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Convert only layers of this name, such as 'layer3.*'. Repeatable.",
        ),
    ] = None,
    alpha: Alpha = None,
    tolerance: Tolerance = None,
    head_dim: Annotated[
        int | None,
        typer.Option(
            help="Dimension of the values of a head. By default the smallest that is "
            "always exact."
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="How to evaluate: auto, "
            f"{', '.join(strategy.name for strategy in STRATEGIES)}."
        ),
    ] = "auto",
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
) -> None:
    """Convert your own model, verify the result, and write it."""
    targets = _targets(output)
    check_targets(targets, force=force)
    check_positive("max_difference", max_difference)
    check_options(alpha, tolerance, head_dim, strategy)
    shape = parse_size("--input", input_shape)
    options = ConversionOptions(alpha, tolerance, head_dim, where or None, strategy)
    # Standard output belongs to the results, whatever the model prints.
    with redirect_stdout(sys.stderr):
        model = build_model(factory)
        if weights is not None:
            load_weights(model, weights)
        sets = input_sets(shape, _dtype(model), seed, inputs)
        check_model_runs(model, sets)
        conversion = _convert(model, options)
        agreements = compare(model, conversion.model, sets)
    claim = _claim(agreements, max_difference)
    loading = loading_lines(factory, options, output)
    document = {
        **describe("convert", [claim]),
        "factory": factory,
        "weights": weights,
        "options": asdict(options),
        "seed": seed,
        "max_difference": max_difference,
        "agreements": [agreement.to_dict() for agreement in agreements],
        "layers": [layer.to_dict() for layer in conversion.layers],
        "files": targets if claim.holds else [],
        "load_back": loading if claim.holds else [],
    }
    if claim.holds:
        _write(conversion.model, document, targets, force=force)
        ending = [f"wrote {targets[0]} and {targets[1]}", "load it back:", ""]
        ending += [f"    {line}" for line in loading]
    else:
        ending = [
            "nothing was written; a larger --alpha, a smaller --tolerance or a larger",
            "--max-difference would let it pass",
        ]
    conclude(
        [claim],
        document,
        conversion.renderable(),
        agreement_table(agreements),
        claim.line(),
        *ending,
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


def _dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype that the model computes in, so far as it shows."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return torch.get_default_dtype()


def _convert(model: nn.Module, options: ConversionOptions) -> Conversion:
    with messages().status("converting"):
        conversion = convert_model(model, **asdict(options))
    if not conversion.converted:
        reasons = "; ".join(
            f"{layer.name}: {layer.reason}" for layer in conversion.kept
        )
        raise UnsupportedModuleError(
            "the model needs at least one convolution that can be converted, got "
            f"{reasons or 'none at all (calls of torch.nn.functional are not seen)'}"
        )
    return conversion


def _claim(agreements: Sequence[Agreement], max_difference: float) -> Claim:
    worst = max(agreement.difference.relative for agreement in agreements)
    return Claim(
        f"largest relative difference {worst:.1e} ≤ {max_difference:g}",
        worst <= max_difference,
    )


def _write(
    model: nn.Module,
    report: Mapping[str, object],
    targets: Sequence[Path],
    *,
    force: bool,
) -> None:
    """Write the weights and the report: both, or neither."""
    metadata = {"format": "pt", "expressivity": version("expressivity")}
    with written_together(targets, force=force) as (weights_draft, report_draft):
        try:
            save_model(model, str(weights_draft), metadata)
        except (SafetensorError, RuntimeError, ValueError, AttributeError) as error:
            raise FileError(f"{targets[0]} cannot be written: {error}") from error
        report_draft.write_text(to_json(report), encoding="utf-8")
