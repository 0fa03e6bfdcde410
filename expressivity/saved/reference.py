"""What a saved layer is compared with: a convolution, and the numbers that follow.

A converted layer names its convolution itself, by the matrices of its heads. Where it
does not (truncated, ringed, minimal or very soft heads) the convolution is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expressivity.accuracy.certificate import Certificate, Layer, certify
from expressivity.accuracy.snapshot import Snapshot
from expressivity.accuracy.worst_case import worst_case
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.convolution_attributes import torch_padding
from expressivity.convolutions import Kernel, build_convolution
from expressivity.errors import (
    CertificateError,
    ConvolutionAttributeError,
    ExpressivityError,
    FileError,
)
from expressivity.geometry.convolution import Convolution
from expressivity.stock.multihead import NAME, ImageMultihead

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Numbers:
    """What is stated of one layer.

    Attributes:
        name: Its name in the network; empty for a single layer.
        kernel_size: Taps per axis.
        num_heads: Number of heads.
        alpha: Locality strength of its softest head, 1/pixel².
        strategy: How it is evaluated.
        worst_case: Largest absolute error for inputs within ±1 of any size, in exact
            arithmetic; ``None`` where there is no convolution to compare it with.
        certificate: The bound with rounding, ``None`` where there is none.
        reason: Why there is none.
    """

    name: str
    kernel_size: tuple[int, ...]
    num_heads: int
    alpha: float
    strategy: str
    worst_case: float | None
    certificate: Certificate | None
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the layer as ``certificates.json`` lists it."""
        document = None if self.certificate is None else self.certificate.to_dict()
        return {"name": self.name, "reason": self.reason, "certificate": document}


def relative(layer: Layer) -> RelativeSelfAttention:
    """Return the layer itself, or the one that a stock module was made of.

    Args:
        layer: Either.

    Returns:
        A layer with the same numbers.

    Raises:
        CertificateError: If a stock module has been changed since.
    """
    return layer.relative() if isinstance(layer, ImageMultihead) else layer


def named_convolution(layer: Layer) -> Convolution | None:
    """Return the convolution that the heads of a layer name, if they do.

    Args:
        layer: A layer with numbers.

    Returns:
        Each head as the tap that it attends to; ``None`` for heads that are no taps.
    """
    try:
        plain = relative(layer)
        weight = plain.weight.detach()
    except (CertificateError, ConvolutionAttributeError):
        return None
    if torch_padding(plain.geometry) is None:
        return None
    return _convolution(plain, weight, plain.bias)


def stored_convolution(layer: Layer, name: str, tensors: Tensors) -> Convolution | None:
    """Return the convolution that a file holds for a layer, else the one it names.

    Args:
        layer: The layer.
        name: Its name in the file.
        tensors: What the file holds.

    Raises:
        FileError: If the tensors are not those of a convolution of that geometry.
    """
    weight = tensors.get(f"{name}.weight")
    if weight is None:
        return named_convolution(layer)
    layer = relative(layer)
    bias = tensors.get(f"{name}.bias")
    channels = layer.in_channels // layer.groups
    shape = (layer.out_channels, channels, *layer.kernel_size)
    fits = tuple(weight.shape) == shape and weight.dtype == layer.dtype
    fits &= bias is None or (tuple(bias.shape), bias.dtype) == (shape[:1], layer.dtype)
    if not fits or torch_padding(layer.geometry) is None:
        raise FileError(
            f"the convolution of {name or 'the layer'} needs a weight {shape} in "
            f"{layer.dtype}, got {tuple(weight.shape)} in {weight.dtype}"
        )
    return _convolution(layer, weight, bias)


def differing(
    convolutions: Mapping[str, Convolution], layers: Mapping[str, Layer]
) -> dict[str, Tensor]:
    """Return the tensors of those convolutions that their layers do not name."""
    tensors = {}
    for name, conv in convolutions.items():
        named = named_convolution(layers[name])
        if named is not None and _are_equal(named, conv):
            continue
        for role, parameter in conv.named_parameters():
            tensors[f"{name}.{role}"] = parameter.detach().cpu().contiguous().clone()
    return tensors


def numbers(
    name: str,
    layer: Layer,
    conv: Convolution | None,
    *,
    input_bound: float,
    size: tuple[int, ...] | None,
) -> Numbers:
    """Compute what is stated of a layer.

    Args:
        name: Its name.
        layer: The layer.
        conv: What it is compared with.
        input_bound: Largest absolute value of its inputs.
        size: Pixels per axis of its inputs, ``None`` for every size.

    Returns:
        The numbers; what cannot be stated is ``None``, with the reason.
    """
    if conv is None:
        return _stated(
            name, layer, None, None, "its heads are no taps of a convolution"
        )
    try:
        certificate = certify(layer, conv, input_bound, size=size)
    except CertificateError as error:
        return _stated(name, layer, worst(layer, conv), None, str(error))
    return _stated(name, layer, worst(layer, conv), certificate, "")


def worst(layer: Layer, conv: Convolution) -> float | None:
    """Return the worst case over inputs within ±1, where it can be stated."""
    try:
        bound = worst_case(Snapshot.of(relative(layer)), Kernel.of(conv), None)
    except ExpressivityError:  # the scores depend on the tokens
        return None
    return float(bound.max())


def restated(
    name: str,
    layer: Layer,
    conv: Convolution | None,
    certificate: Certificate | None,
    reason: str,
) -> Numbers:
    """Compute again what was stated, and check the certificate.

    Returns:
        The numbers, with the certificate as it was stated.

    Raises:
        CertificateError: If the certificate does not hold.
    """
    if certificate is not None:
        if conv is None:
            raise CertificateError(
                f"{name or 'the layer'} has a certificate, and no convolution that it "
                "could be about"
            )
        certificate.check(layer, conv)
    error = None if conv is None else worst(layer, conv)
    return _stated(name, layer, error, certificate, reason)


def _stated(
    name: str,
    layer: Layer,
    error: float | None,
    certificate: Certificate | None,
    reason: str,
) -> Numbers:
    return Numbers(
        name,
        layer.geometry.kernel_size,
        layer.num_heads,
        float(layer.alpha.detach().min()),
        NAME if isinstance(layer, ImageMultihead) else layer.strategy,
        error,
        certificate,
        reason,
    )


def _convolution(
    layer: RelativeSelfAttention, weight: Tensor, bias: Tensor | None
) -> Convolution:
    geometry = layer.geometry
    padding = torch_padding(geometry)
    conv = build_convolution(
        nn.Parameter(weight.contiguous(), requires_grad=False),
        None if bias is None else nn.Parameter(bias.detach(), requires_grad=False),
        stride=geometry.stride,
        padding="same" if padding is None else padding,
        dilation=geometry.dilation,
        groups=layer.groups,
        padding_mode=geometry.padding_mode,
    )
    return conv.eval()


def _are_equal(one: Convolution, other: Convolution) -> bool:
    """Whether two convolutions of one geometry have the same numbers and options."""
    if str(one) != str(other) or (one.bias is None) != (other.bias is None):
        return False
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
