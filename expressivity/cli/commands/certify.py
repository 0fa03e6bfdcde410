"""``expressivity certify``: a bound for every layer that holds for every input."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from expressivity.accuracy.certificate import Certificate, certify
from expressivity.attention import RelativeSelfAttention, explain
from expressivity.checks import check_positive
from expressivity.cli.arguments import Certify
from expressivity.cli.console import track
from expressivity.cli.conversion import conversion_options, converted, dtype_of_model
from expressivity.cli.options import parse_size
from expressivity.cli.report import Claim, Report
from expressivity.cli.user_model import build_model
from expressivity.cli.verification import InputSet, check_model_runs, input_sets
from expressivity.cli.weights import read_weights
from expressivity.conversion.network import Conversion
from expressivity.errors import CertificateError
from expressivity.geometry.convolution import Convolution
from expressivity.listing import Listing
from expressivity.machine.weights import fill

_LOG = logging.getLogger(__name__)
_RANDOM_INPUTS = 8

Sizes = Mapping[str, Sequence[tuple[int, ...] | None]]


@dataclass(frozen=True)
class Certified:
    """The certificate of one layer, and its measured error.

    Attributes:
        name: Its name in the model.
        certificate: The certificate; ``None`` where there cannot be one.
        alpha: Locality strength of its softest head, 1/pixel².
        measured: The largest absolute error on the worst input and on random inputs;
            ``None`` where the strategy cannot run on them.
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
        """Return the layer as plain data for JSON."""
        document = None if self.certificate is None else self.certificate.to_dict()
        return {
            "name": self.name,
            "reason": self.reason,
            "alpha": self.alpha,
            "measured": self.measured,
            "certificate": document,
        }


def run(arguments: Certify) -> Report:
    """Certify every layer, and measure its error."""
    bound = check_positive("--input-bound", arguments.input_bound)
    options = conversion_options(arguments)
    text = arguments.input_shape
    shape = None if text is None else parse_size("--input", text)
    # Read before the model's code runs, which may change the current folder.
    file = arguments.attention
    tuned = None if file is None else read_weights(file)
    model = build_model(arguments.factory, arguments.weights)
    sizes: Sizes = {}
    batch = None
    if shape is not None:
        sets = input_sets(shape, dtype_of_model(model), arguments.seed, None)[:1]
        sizes, batch = _input_sizes(model, sets), sets[0].batches[0]
    conversion = converted(model, options, batch)
    if file is not None and tuned is not None:
        fill(conversion.model, tuned, file)
    layers = _certified(model, conversion, sizes, bound, arguments.seed)
    claim = _claim(layers)
    targets = arguments.targets()
    return Report(
        "certify",
        [claim],
        {
            "factory": arguments.factory,
            "weights": arguments.weights,
            "attention": file,
            "options": options,
            "input": shape,
            "input_bound": bound,
            "seed": arguments.seed,
            "layers": [layer.to_dict() for layer in layers],
        },
        [
            _table(layers, bound),
            *(f"{layer.name}: {layer.reason}" for layer in layers if layer.reason),
            *(f"{layer.name}: kept, {layer.reason}" for layer in conversion.kept),
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        dict.fromkeys(targets),
    )


def _input_sizes(model: nn.Module, sets: Sequence[InputSet]) -> Sizes:
    """Return the distinct sizes of the inputs of each module, by its name."""
    sizes: dict[str, list[tuple[int, ...] | None]] = defaultdict(list)

    def record(name: str, _: nn.Module, inputs: tuple[object, ...]) -> None:
        size = tuple(inputs[0].shape[2:]) if isinstance(inputs[0], Tensor) else ()
        if size not in sizes[name]:
            sizes[name].append(size)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            handle = module.register_forward_pre_hook(partial(record, name))
            hooks.callback(handle.remove)
        check_model_runs(model, sets)
    return sizes


def _certified(
    model: nn.Module, conversion: Conversion, sizes: Sizes, bound: float, seed: int
) -> list[Certified]:
    """Certify each layer for the sizes of its inputs, or for every size."""
    subjects = [
        (layer.name, size)
        for layer in conversion.converted
        for size in sizes.get(layer.name, [None])
    ]
    layers = []
    for name, size in track(subjects, "certifying"):
        attention = cast("RelativeSelfAttention", conversion.model.get_submodule(name))
        conv = cast("Convolution", model.get_submodule(name))
        softest = float(attention.alpha.detach().min())
        _LOG.info("certifying %s", name or "the model")
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
    return Listing.of(
        ["layer"],
        ["size", "α", "certified", "exact part", "attained", "measured"],
        [
            _row(layer.certificate, layer)
            for layer in layers
            if layer.certificate is not None
        ],
        title=f"|attention(x) − conv(x)| for every x with ‖x‖∞ ≤ {bound:g}",
        caption="certified: exact part and rounding; attained: share of the exact part "
        "that the worst input reaches; measured: on that input and on random ones",
    )


def _row(certificate: Certificate, layer: Certified) -> list[str]:
    size = certificate.size
    exact = float(certificate.exact_part[certificate.worst.channel])
    return [
        layer.name or "(the model)",
        "any" if size is None else "×".join(map(str, size)),
        f"{layer.alpha:.3g}",
        f"{float(certificate.bound.max()):.2e}",
        f"{float(certificate.exact_part.max()):.2e}",
        f"{certificate.attained / exact:.1%}" if exact else "",
        "" if layer.measured is None else f"{layer.measured:.2e}",
    ]
