"""What a certificate is about: the two are told from all others, or refused."""

import hashlib
from collections.abc import Iterator

import torch
from torch import nn

from expressivity.accuracy.certificate.ranges import require_readable
from expressivity.accuracy.certificate.settings import reduced_precision
from expressivity.accuracy.snapshot import Snapshot
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.gate import require_plain_tensors
from expressivity.errors import CertificateError
from expressivity.geometry.convolution import Convolution


def require_rigour(layer: Snapshot, conv: Convolution) -> None:
    """Refuse what nothing rigorous can be said about."""
    attention, heads = layer.layer, layer.heads
    for module, name in ((attention, "layer"), (conv, "convolution")):
        require_plain_tensors(module)
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise CertificateError(
                f"the {name} is compiled in place, and certificates speak of what "
                "runs eagerly: certify one that is not compiled"
            )
    if any(registry for registry in _hooks_of_all_modules()):
        raise CertificateError(
            "torch has hooks that run with every module, which may change outputs: "
            "remove them first"
        )
    if heads.sees_tokens:
        raise CertificateError(
            "the layer has content terms: its attention depends on the input, and no "
            "bound holds for all of them. Certify layer.without_content()"
        )
    if heads.table is not None:
        raise CertificateError(
            "the layer has a table: how its attention rounds is not modelled. "
            "worst_case_error bounds it in exact arithmetic"
        )
    parameters = [*attention.parameters(), *conv.parameters()]
    # Positions are kept in a dtype of their own.
    biases = [] if attention.bias is None else [attention.bias]
    others = (*heads.projections, *biases, *conv.parameters())
    dtypes = {p.dtype for p in others}
    devices = {p.device.type for p in parameters}
    if len(dtypes) != 1 or len(devices) != 1:
        raise CertificateError(
            "the layer and the convolution need one dtype and one device, got "
            f"{', '.join(sorted(map(str, dtypes)))} on {', '.join(sorted(devices))}"
        )
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise CertificateError("all parameters need to be finite, got NaN or infinity")
    require_readable(parameters)
    reason = reduced_precision(
        parameters[0].device, conv.weight.dtype, attention.geometry.stride
    )
    if reason is not None:
        raise CertificateError(reason)


def fingerprint(attention: RelativeSelfAttention, conv: Convolution) -> str:
    """Return a SHA-256 of the parameters and options of both, in hexadecimal digits."""
    digest = hashlib.sha256()
    digest.update(f"{_options(attention)}|{conv}".encode())
    for module in (attention, conv):
        state = dict(module.named_parameters())
        # Positions first, as in the certificates that there are.
        for name in sorted(state, key=lambda name: name not in ("alpha", "centers")):
            # Axes of one entry may have any stride in what counts as contiguous.
            tensor = state[name].detach().cpu()
            tensor = tensor.clone(memory_format=torch.contiguous_format)
            digest.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def in_words(attention: RelativeSelfAttention) -> str:
    """Describe a layer in one line, whatever its class is called."""
    return f"RelativeSelfAttention({_options(attention)})"


def _options(attention: RelativeSelfAttention) -> str:
    # A subclass may describe itself in other words.
    return RelativeSelfAttention.extra_repr(attention)


def _hooks_of_all_modules() -> Iterator[object]:
    """Yield what torch keeps of hooks around the forward pass of every module."""
    for name, registry in vars(nn.modules.module).items():
        if name.startswith("_global_forward") and "hooks" in name:
            yield registry
