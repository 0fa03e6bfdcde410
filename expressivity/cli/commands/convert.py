"""``expressivity convert``: convert a user's model, verify it, write it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import Tensor, nn

from expressivity.checks import check_positive
from expressivity.cli.arguments import Convert
from expressivity.cli.console import messages
from expressivity.cli.conversion import (
    ConversionOptions,
    conversion_options,
    converted,
    dtype_of_model,
    remarks_on_evaluation,
)
from expressivity.cli.options import parse_size
from expressivity.cli.report import Claim, Report, Writer
from expressivity.cli.user_model import build_model
from expressivity.cli.verification import (
    Agreement,
    agreement_table,
    check_model_runs,
    compare,
    input_sets,
)
from expressivity.conversion.network import Conversion
from expressivity.errors import FileError
from expressivity.version import __version__


def run(arguments: Convert) -> Report:
    """Convert, verify, and write what passes."""
    check_positive("max_difference", arguments.max_difference)
    options = conversion_options(arguments)
    shape = parse_size("--input", arguments.input_shape)
    model = build_model(arguments.factory, arguments.weights)
    sets = input_sets(shape, dtype_of_model(model), arguments.seed, arguments.inputs)
    check_model_runs(model, sets)
    conversion = converted(model, options, sets[0].batches[0])
    agreements = compare(model, conversion.model, sets)
    claim = _claim(agreements, arguments.max_difference)
    if conversion.ruled_out:  # the lines that load the result run no model
        options["where"] = [layer.name for layer in conversion.converted]
    if arguments.to_folder:
        loading = loading_from_folder(arguments.factory, arguments.output)
    else:
        loading = loading_lines(arguments.factory, options, arguments.output)
    remarks = remarks_on_evaluation(model, conversion, options["strategy"])
    files: dict[Path, Writer | None] = {}
    if claim.holds:
        files = _files(arguments, model, conversion, sets[0].batches[0])
        ending = [f"wrote {_written(arguments)}", "load it back:", ""]
        ending += [f"    {line}" for line in loading]
    else:
        ending = [
            "nothing was written; a larger --alpha, a smaller --tolerance or a larger",
            "--max-difference would let it pass",
        ]
    return Report(
        "convert",
        [claim],
        {
            "factory": arguments.factory,
            "weights": arguments.weights,
            "options": options,
            "seed": arguments.seed,
            "max_difference": arguments.max_difference,
            "agreements": [agreement.to_dict() for agreement in agreements],
            "layers": [layer.to_dict() for layer in conversion.layers],
            "remarks": [*conversion.remarks, *remarks],
            "load_back": loading if claim.holds else [],
        },
        [
            conversion.renderable(),
            agreement_table(agreements),
            *(f"remark: {remark}" for remark in remarks),
            claim.line(),
            *ending,
        ],
        files,
    )


def loading_from_folder(factory: str, folder: Path) -> list[str]:
    """Return three lines of Python that load a converted model from a folder."""
    module, name = factory.split(":")
    return [
        f"import expressivity, {module}",
        f"network = {module}.{name}().eval()",
        f"model = expressivity.load({str(folder)!r}, into=network).model",
    ]


def loading_lines(factory: str, options: ConversionOptions, output: Path) -> list[str]:
    """Return three lines of Python that load a converted model.

    Args:
        factory: What made the original.
        options: What it was converted with.
        output: The file of weights.

    Returns:
        Import, build and convert, load. The file holds α; the options that decide the
        structure are repeated.
    """
    module, name = factory.split(":")
    structure = "".join(
        f", {option}={value!r}"
        for option, value in options.items()
        if option not in ("alpha", "tolerance") and value not in (None, "auto")
    )
    return [
        f"import expressivity, safetensors.torch, {module}",
        f"model = expressivity.convert({module}.{name}().eval(){structure}).model",
        f"safetensors.torch.load_model(model, {str(output)!r})",
    ]


def _files(
    arguments: Convert, model: nn.Module, conversion: Conversion, batch: Tensor
) -> dict[Path, Writer | None]:
    """Return what writes each target, the report last."""
    *targets, report = arguments.targets()
    if not arguments.to_folder:
        (weights,) = targets
        return {weights: partial(_write, conversion.model, weights), report: None}
    with messages().status("certifying"):
        content = conversion.content(
            original=model, inputs=batch, program=arguments.program
        )
        writers = content.writers(arguments.output.name)
    return {**{target: writers[target.name] for target in targets}, report: None}


def _written(arguments: Convert) -> str:
    if arguments.to_folder:
        return f"{arguments.output}: expressivity show {arguments.output} checks it"
    return " and ".join(map(str, arguments.targets()))


def _claim(agreements: Sequence[Agreement], max_difference: float) -> Claim:
    worst = max(agreement.difference.relative for agreement in agreements)
    return Claim(
        f"largest relative difference {worst:.1e} ≤ {max_difference:g}",
        worst <= max_difference,
    )


def _write(model: nn.Module, target: Path, draft: Path) -> None:
    try:
        save_model(model, str(draft), {"format": "pt", "expressivity": __version__})
    except (SafetensorError, RuntimeError, ValueError, AttributeError) as error:
        raise FileError(f"{target} cannot be written: {error}") from error
