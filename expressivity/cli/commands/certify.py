"""``expressivity certify``: a bound for every layer that holds for every input."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import torch
import typer
from torch import Tensor, nn

from expressivity.accuracy.certificate import (
    Certificate,
    certify,
)
from expressivity.attention import RelativeSelfAttention, explain
from expressivity.cli.claims import Claim, Conclusion, describe
from expressivity.cli.console import to_json, track
from expressivity.cli.conversion import ConversionOptions, converted, dtype_of_model
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
from expressivity.cli.verification import InputSet, check_model_runs, input_sets
from expressivity.cli.weights import fill, load_weights, read_weights
from expressivity.conversion.network import Conversion
from expressivity.conversion.options import Options
from expressivity.errors import CertificateError
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import check_positive
from expressivity.listing import Listing
from expressivity.machine.files import reserved

EXAMPLES = """
[bold]Examples[/]

expressivity certify my_models:build --weights model.safetensors

expressivity certify my_models:build --weights model.safetensors
--input 1,3,224,224 --tolerance 1e-3 --output certificates.json

expressivity certify my_models:build --attention fine_tuned.safetensors
--input 1,3,224,224 --json
"""

_RANDOM_INPUTS = 8


@dataclass(frozen=True)
class Certified:
    """One layer: what is certified, and what was measured.

    Attributes:
        name: Its name in the model.
        certificate: The certificate; ``None`` where there cannot be one.
        alpha: Locality strength of its softest head, 1/pixel².
        measured: The largest error of any output on the worst input and on random
            ones, absolute; ``None`` where the strategy cannot run on them.
        reason: Why there is no certificate.
    """

    name: str
    certificate: Certificate | None
    alpha: float
    measured: float | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing measured exceeds the bound."""
        if self.certificate is None or self.measured is None:
            return True
        return self.measured <= float(self.certificate.bound.max())

    def to_dict(self) -> dict[str, object]:
        """Return the layer as plain data.

        Returns:
            Ready for JSON.
        """
        document = None if self.certificate is None else self.certificate.to_dict()
        return {
            "name": self.name,
            "reason": self.reason,
            "alpha": self.alpha,
            "measured": self.measured,
            "certificate": document,
        }


def certify_command(
    factory: Annotated[
        str,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns the model when it is called "
            "without arguments; modules in the current directory are found.",
        ),
    ],
    weights: Weights = None,
    attention: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="State dict of the converted model, say after fine-tuning: its layers "
            "are certified against the original convolutions.",
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Shape of a batch, such as 1,3,224,224: each layer is certified for "
            "the size that it then sees. Without it for every size.",
        ),
    ] = None,
    input_bound: Annotated[
        float, typer.Option(help="Largest absolute value in the input of any layer.")
    ] = 1.0,
    where: Where = None,
    alpha: Alpha = None,
    tolerance: Tolerance = None,
    head_dim: HeadDim = None,
    strategy: Strategy = "auto",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The .json file to write certificates to."),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Certify every layer of a model: a bound that holds for every input."""
    check_positive("--input-bound", input_bound)
    Options(alpha, tolerance, head_dim=head_dim, strategy=strategy)
    shape = None if input_shape is None else parse_size("--input", input_shape)
    options = ConversionOptions(alpha, tolerance, head_dim, where or None, strategy)
    targets = [] if output is None else [output]
    with reserved(targets, force=force) as files:
        # Read before the model's code runs, which may go to another folder.
        tuned = None if attention is None else read_weights(attention)
        model = build_model(factory)
        if weights is not None:
            load_weights(model, weights)
        sizes: Mapping[str, list[tuple[int, ...]]] = {}
        batch = None
        if shape is not None:
            sets = input_sets(shape, dtype_of_model(model), seed, None)[:1]
            sizes, batch = _sizes_seen(model, sets), sets[0].batches[0]
        conversion = converted(model, options, batch)
        if attention is not None and tuned is not None:
            fill(conversion.model, tuned, attention)
        layers = _certified(model, conversion, sizes, input_bound, seed)
        claim = _claim(layers)
        document = {
            **describe("certify", [claim]),
            "factory": factory,
            "weights": weights,
            "attention": attention,
            "options": asdict(options),
            "input": shape,
            "input_bound": input_bound,
            "seed": seed,
            "layers": [layer.to_dict() for layer in layers],
            "files": targets,
        }
        with files.written() as drafts:
            for draft in drafts:
                draft.write_text(to_json(document), encoding="utf-8")
    return Conclusion(
        [claim],
        document,
        [
            _table(layers, input_bound),
            *(f"{layer.name}: {layer.reason}" for layer in layers if layer.reason),
            *(f"{layer.name}: kept, {layer.reason}" for layer in conversion.kept),
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        as_json=as_json,
    )


def _sizes_seen(
    model: nn.Module, sets: Sequence[InputSet]
) -> Mapping[str, list[tuple[int, ...]]]:
    """Return the sizes of the inputs that each module sees, by its name."""
    seen: dict[str, list[tuple[int, ...]]] = defaultdict(list)

    def note(name: str, _: nn.Module, inputs: tuple[object, ...]) -> None:
        size = tuple(inputs[0].shape[2:]) if isinstance(inputs[0], Tensor) else ()
        if size not in seen[name]:
            seen[name].append(size)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            handle = module.register_forward_pre_hook(partial(note, name))
            hooks.callback(handle.remove)
        check_model_runs(model, sets)
    return seen


def _certified(
    model: nn.Module,
    conversion: Conversion,
    sizes: Mapping[str, list[tuple[int, ...]]],
    bound: float,
    seed: int,
) -> list[Certified]:
    """Certify each layer, for every size that it was seen to get."""
    wanted: list[tuple[str, tuple[int, ...] | None]] = []
    for layer in conversion.converted:
        wanted += [(layer.name, size) for size in sizes.get(layer.name, [])] or [
            (layer.name, None)
        ]
    layers = []
    for name, size in track(wanted, "certifying"):
        attention = cast("RelativeSelfAttention", conversion.model.get_submodule(name))
        conv = cast("Convolution", model.get_submodule(name))
        softest = float(attention.alpha.detach().min())
        try:
            certificate = certify(attention, conv, bound, size=size)
        except CertificateError as error:
            layers.append(Certified(name, None, softest, reason=str(error)))
            continue
        measured = _measured(attention, conv, certificate, seed)
        layers.append(Certified(name, certificate, softest, measured))
    if all(layer.certificate is None for layer in layers):
        raise CertificateError(
            "nothing can be certified: "
            + "; ".join(f"{layer.name}: {layer.reason}" for layer in layers)
        )
    return layers


@torch.no_grad()
def _measured(
    attention: RelativeSelfAttention,
    conv: nn.Module,
    certificate: Certificate,
    seed: int,
) -> float | None:
    """Return the largest error on the worst input and on random sign patterns."""
    worst = certificate.worst_input
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (_RANDOM_INPUTS, *worst.shape[1:])
    signs = 2 * torch.randint(0, 2, shape, generator=generator, device="cpu") - 1
    x = torch.cat([worst, signs * worst.abs().max()]).to(worst.dtype)
    if explain(attention, x).chosen is None:  # dense, and too large for it
        return None
    return float((attention(x).double() - conv(x).double()).abs().max())


def _claim(layers: Sequence[Certified]) -> Claim:
    certified = [layer for layer in layers if layer.certificate is not None]
    failed = [layer.name for layer in certified if not layer.holds]
    if failed:
        return Claim(
            f"measured error ≤ certified bound, not in {', '.join(failed)}", False
        )
    return Claim(f"measured error ≤ certified bound in {len(certified)} layers", True)


def _table(layers: Sequence[Certified], bound: float) -> Listing:
    table = Listing(
        title=f"|attention(x) − conv(x)| for every x with ‖x‖∞ ≤ {bound:g}",
        title_justify="left",
        caption="certified: exact part and rounding; attained: what the worst input "
        "found comes to, of the exact part; measured: on it and on random inputs",
        caption_justify="left",
    )
    table.add_column("layer", overflow="fold")
    for column in ("size", "α", "certified", "exact part", "attained", "measured"):
        table.add_column(column, justify="right")
    for layer in layers:
        if layer.certificate is not None:
            table.add_row(
                layer.name or "(the model)", *_cells(layer.certificate, layer)
            )
    return table


def _cells(certificate: Certificate, layer: Certified) -> list[str]:
    size = certificate.size
    exact = float(certificate.exact_part[certificate.worst.channel])
    return [
        "any" if size is None else "×".join(map(str, size)),
        f"{layer.alpha:.3g}",
        f"{float(certificate.bound.max()):.2e}",
        f"{float(certificate.exact_part.max()):.2e}",
        f"{certificate.attained / exact:.1%}" if exact else "",
        "" if layer.measured is None else f"{layer.measured:.2e}",
    ]
