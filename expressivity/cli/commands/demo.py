"""``expressivity demo``: a network trained on real images becomes attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import torch
import typer

from expressivity.attention import RelativeSelfAttention
from expressivity.cli.claims import Claim, Conclusion, describe
from expressivity.cli.console import messages, to_json, track
from expressivity.cli.options import LARGEST, Alpha, AsJson, Force, Seed, Tolerance
from expressivity.cli.verification import layer_errors
from expressivity.comparison import Difference, compare
from expressivity.conversion.network import (
    Conversion,
    LayerRecord,
    convert,
)
from expressivity.conversion.options import Options
from expressivity.digits import (
    DigitImages,
    DigitsCNN,
    accuracy,
    load_digit_images,
    train,
)
from expressivity.geometry.convolution import Convolution
from expressivity.listing import Listing
from expressivity.machine.files import (
    folder_for_files,
    reserved,
)
from expressivity.plots import plot_attention_maps, plot_error_vs_alpha, plot_overview
from expressivity.sweep import error_sweep

EXAMPLES = """
[bold]Examples[/]

expressivity demo

expressivity demo --tolerance 0.01 --output softer

expressivity demo --json > results.json
"""

LARGEST_LOGIT_DIFFERENCE = 1e-4
FILES = ("overview.png", "attention-maps.png", "error-vs-alpha.png", "results.json")
# Rounding of float64 in a layer, for inputs within ±1.
_ROUNDING = 1e-12
# The layer and the pixel that the pictures show.
_FIRST_LAYER, _QUERY = "features.0", (4, 4)


@dataclass(frozen=True)
class Outcome:
    """What the conversion of the trained network did on the test images.

    Attributes:
        images: Number of test images.
        before: Share of them that the network reads correctly.
        after: Share of them that the converted network does.
        logits: Difference of all logits.
        conversion: What became of each layer.
        measured: Error of each layer over its largest input, by name.
    """

    images: int
    before: float
    after: float
    logits: Difference
    conversion: Conversion
    measured: dict[str, float]


def demo_command(
    output: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder for pictures and results."),
    ] = Path("demo-output"),
    seed: Seed = 0,
    epochs: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Passes of the training.")
    ] = 15,
    alpha: Alpha = None,
    tolerance: Tolerance = None,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Train a small CNN on digits, turn it into attention, compare and draw."""
    Options(alpha, tolerance)
    targets = [output / name for name in FILES]
    with folder_for_files(output), reserved(targets, force=force) as files:
        # On images this small a second thread costs more time than it saves.
        torch.set_num_threads(1)
        images, model = load_digit_images(seed=seed), DigitsCNN(seed=seed)
        train(
            model,
            images,
            epochs=epochs,
            seed=seed,
            progress=lambda passes: track(passes, "training a CNN on digits"),
        )
        with messages().status("converting, comparing, drawing"):
            # Saturated heads would be run as the convolution that they equal: here
            # every query attends to every key.
            conversion = convert(
                model, alpha=alpha, tolerance=tolerance, strategy="dense"
            )
            outcome = _compare(model, conversion, images)
            exact = alpha is None and tolerance is None
            claims = _claims(outcome, exact=exact, tolerance=tolerance)
            document = {
                **describe("demo", claims),
                "seed": seed,
                "epochs": epochs,
                "alpha": alpha,
                "tolerance": tolerance,
                **_results(outcome),
                "files": targets,
            }
            with files.written() as drafts:
                _draw(model, conversion, images, drafts[:-1])
                drafts[-1].write_text(to_json(document), encoding="utf-8")
    return Conclusion(
        claims,
        document,
        [
            _network_table(outcome),
            _layer_table(model, outcome),
            *(claim.line() for claim in claims),
            "wrote",
            *(f"  {target}" for target in targets),
        ],
        as_json=as_json,
    )


def _compare(model: DigitsCNN, conversion: Conversion, images: DigitImages) -> Outcome:
    test, labels = images.test_images, images.test_labels
    return Outcome(
        len(labels),
        accuracy(model, test, labels),
        accuracy(conversion.model, test, labels),
        compare(model, conversion.model, [test]),
        conversion,
        layer_errors(model, conversion, test),
    )


def _claims(outcome: Outcome, *, exact: bool, tolerance: float | None) -> list[Claim]:
    """State what α promises: the same network, or each layer within its bound."""
    layers = outcome.conversion.converted
    claims = [
        Claim(
            "on the test images every layer errs at most by its worst case",
            all(outcome.measured[x.name] <= _worst(x) + _ROUNDING for x in layers),
        )
    ]
    if tolerance is not None:
        worst = max(_worst(layer) for layer in layers)
        statement = f"worst case of every layer {worst:.2g} ≤ {tolerance:g}"
        claims.append(Claim(statement, worst <= tolerance))
    if exact:
        largest = outcome.logits.largest
        claims += [
            Claim("the accuracy is unchanged", outcome.before == outcome.after),
            Claim(
                f"largest logit difference {largest:.1e} < "
                f"{LARGEST_LOGIT_DIFFERENCE:g}",
                largest < LARGEST_LOGIT_DIFFERENCE,
            ),
        ]
    return claims


def _results(outcome: Outcome) -> dict[str, object]:
    return {
        "test_images": outcome.images,
        "accuracy_before": outcome.before,
        "accuracy_after": outcome.after,
        "largest_logit": outcome.logits.scale,
        "largest_logit_difference": outcome.logits.largest,
        "layers": [
            {**layer.to_dict(), "measured_error": outcome.measured.get(layer.name)}
            for layer in outcome.conversion.layers
        ],
    }


def _network_table(outcome: Outcome) -> Listing:
    table = Listing(
        title=f"{outcome.images} test images of handwritten digits",
        title_justify="left",
    )
    table.add_column("network")
    table.add_column("convolution", justify="right")
    table.add_column("attention", justify="right")
    table.add_row("accuracy", f"{outcome.before:.2%}", f"{outcome.after:.2%}")
    table.add_row("largest logit", f"{outcome.logits.scale:.3g}", "")
    table.add_row("largest logit difference", "", f"{outcome.logits.largest:.1e}")
    return table


def _layer_table(model: DigitsCNN, outcome: Outcome) -> Listing:
    table = Listing(
        title="every convolution became one attention layer, a head per tap",
        title_justify="left",
        caption="errors are absolute, for inputs of the layer within ±1",
        caption_justify="left",
    )
    table.add_column("layer")
    table.add_column("convolution")
    for column in ("heads", "α [1/px²]", "worst case", "measured"):
        table.add_column(column, justify="right")
    for layer in outcome.conversion.converted:
        conv = cast("Convolution", model.get_submodule(layer.name))
        table.add_row(
            layer.name,
            _described(conv),
            str(layer.num_heads),
            f"{layer.alpha:.4g}",
            f"{_worst(layer):.1e}",
            f"{outcome.measured[layer.name]:.1e}",
        )
    return table


def _described(conv: Convolution) -> str:
    parts = ["×".join(map(str, conv.kernel_size))]
    if max(conv.stride) > 1:
        parts.append(f"stride {max(conv.stride)}")
    if conv.groups == conv.in_channels > 1:
        parts.append("depthwise")
    return ", ".join(parts)


def _worst(layer: LayerRecord) -> float:
    return float("inf") if layer.worst_case_error is None else layer.worst_case_error


def _draw(
    model: DigitsCNN,
    conversion: Conversion,
    images: DigitImages,
    drafts: Sequence[Path],
) -> None:
    """Draw the first layer, which sees the digits themselves."""
    conv = cast("Convolution", model.get_submodule(_FIRST_LAYER))
    attention = conversion.model.get_submodule(_FIRST_LAYER)
    digit = images.test_images[0]
    figures = (
        plot_overview(conv, digit[None], query=_QUERY),
        plot_attention_maps(
            cast("RelativeSelfAttention", attention),
            digit.shape[1:],
            _QUERY,
            image=digit,
        ),
        plot_error_vs_alpha(error_sweep(conv, images.test_images)),
    )
    for figure, draft in zip(figures, drafts, strict=True):
        figure.savefig(draft)
