"""``expressivity demo``: a network trained on real images becomes attention."""

from dataclasses import dataclass
from typing import cast

import torch

from expressivity.attention import RelativeSelfAttention
from expressivity.cli.arguments import Demo
from expressivity.cli.console import messages, track
from expressivity.cli.report import Claim, Report, Writer
from expressivity.cli.verification import layer_errors
from expressivity.comparison import Difference, compare
from expressivity.conversion.network import Conversion, LayerRecord, convert
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
from expressivity.plots import plot_attention_maps, plot_error_vs_alpha, plot_overview
from expressivity.sweep import error_sweep

LARGEST_LOGIT_DIFFERENCE = 1e-4
# Rounding of float64 in a layer, for inputs within ±1.
_ROUNDING = 1e-12
# The layer and the query of the pictures.
_FIRST_LAYER, _QUERY = "features.0", (4, 4)


@dataclass(frozen=True)
class Outcome:
    """The trained network before and after its conversion, on the test images.

    Attributes:
        images: Number of test images.
        before: Accuracy of the network.
        after: Accuracy of the converted network.
        logits: Difference of all logits.
        conversion: The converted network, and a record of each layer.
        measured: Error of each layer over its largest input, by name.
    """

    images: int
    before: float
    after: float
    logits: Difference
    conversion: Conversion
    measured: dict[str, float]


def run(arguments: Demo) -> Report:
    """Train, convert, compare and draw."""
    alpha, tolerance, seed = arguments.alpha, arguments.tolerance, arguments.seed
    Options(alpha, tolerance)
    # On images this small a second thread costs more time than it saves.
    torch.set_num_threads(1)
    images, model = load_digit_images(seed=seed), DigitsCNN(seed=seed)
    train(
        model,
        images,
        epochs=arguments.epochs,
        seed=seed,
        progress=lambda passes: track(passes, "training a CNN on digits"),
    )
    with messages().status("converting, comparing, drawing"):
        # Every query attends to every key: saturated heads would otherwise run as the
        # convolution that they equal.
        conversion = convert(model, alpha=alpha, tolerance=tolerance, strategy="dense")
        test, labels = images.test_images, images.test_labels
        outcome = Outcome(
            len(labels),
            accuracy(model, test, labels),
            accuracy(conversion.model, test, labels),
            compare(model, conversion.model, [test]),
            conversion,
            layer_errors(model, conversion, test),
        )
        pictures = _draw(model, conversion, images)
        content = conversion.content(
            original=model, inputs=test[:2], program=True, about=_about(outcome)
        )
        network = content.writers(arguments.network.name)
    exact = alpha is None and tolerance is None
    claims = _claims(outcome, exact=exact, tolerance=tolerance)
    targets = arguments.targets()
    return Report(
        "demo",
        claims,
        {
            "seed": seed,
            "epochs": arguments.epochs,
            "alpha": alpha,
            "tolerance": tolerance,
            "test_images": outcome.images,
            "accuracy_before": outcome.before,
            "accuracy_after": outcome.after,
            "largest_logit": outcome.logits.scale,
            "largest_logit_difference": outcome.logits.largest,
            "layers": [
                {**layer.to_dict(), "measured_error": outcome.measured.get(layer.name)}
                for layer in conversion.layers
            ],
        },
        [
            _network_table(outcome),
            _layer_table(model, outcome),
            *(claim.line() for claim in claims),
            "wrote",
            *(f"  {path}" for path in targets if path.parent == arguments.output),
            f"  {arguments.network}: expressivity show {arguments.network} checks it",
        ],
        dict(zip(targets, [*pictures, *network.values(), None], strict=True)),
    )


def _about(outcome: Outcome) -> str:
    """Return the paragraphs of the model card."""
    return (
        "A small network for handwritten digits (8×8 pixels, scikit-learn's "
        "`load_digits`), trained as a CNN. Every convolution was then replaced by "
        "multi-head self-attention, without any further training.\n\n"
        f"| {outcome.images} test images | CNN | attention |\n| --- | --- | --- |\n"
        f"| accuracy | {outcome.before:.2%} | {outcome.after:.2%} |\n"
        f"| largest difference of a logit | | {outcome.logits.largest:.1e} |\n\n"
        "Inputs are (images, 1, 8, 8) with brightness from 0 to 1, outputs are the "
        "logits of the ten digits."
    )


def _claims(outcome: Outcome, *, exact: bool, tolerance: float | None) -> list[Claim]:
    """Claim that the network is the same, or that each layer is within its bound."""
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


def _network_table(outcome: Outcome) -> Listing:
    return Listing.of(
        ["network"],
        ["convolution", "attention"],
        [
            ("accuracy", f"{outcome.before:.2%}", f"{outcome.after:.2%}"),
            ("largest logit", f"{outcome.logits.scale:.3g}", ""),
            ("largest logit difference", "", f"{outcome.logits.largest:.1e}"),
        ],
        title=f"{outcome.images} test images of handwritten digits",
    )


def _layer_table(model: DigitsCNN, outcome: Outcome) -> Listing:
    return Listing.of(
        ["layer", "convolution"],
        ["heads", "α [1/px²]", "worst case", "measured"],
        [
            (
                layer.name,
                _described(cast("Convolution", model.get_submodule(layer.name))),
                str(layer.num_heads),
                f"{layer.alpha:.4g}",
                f"{_worst(layer):.1e}",
                f"{outcome.measured[layer.name]:.1e}",
            )
            for layer in outcome.conversion.converted
        ],
        title="every convolution became one attention layer, a head per tap",
        caption="errors are absolute, for inputs of the layer within ±1",
    )


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
    model: DigitsCNN, conversion: Conversion, images: DigitImages
) -> list[Writer]:
    """Draw the first layer, whose input is the digits themselves."""
    conv = cast("Convolution", model.get_submodule(_FIRST_LAYER))
    attention = cast(
        "RelativeSelfAttention", conversion.model.get_submodule(_FIRST_LAYER)
    )
    digit = images.test_images[0]
    size = digit.shape[1:]
    return [
        plot_overview(conv, digit[None], query=_QUERY).savefig,
        plot_attention_maps(attention, size, _QUERY, image=digit).savefig,
        plot_error_vs_alpha(error_sweep(conv, images.test_images)).savefig,
    ]
