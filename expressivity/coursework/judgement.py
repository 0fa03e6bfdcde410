"""How far a student's layer is from a convolution, for every input of one size.

The strategy is always the same, and numbers are taken as exact: two right layers are
judged alike, whatever dtype or strategy their authors chose.
"""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.certificate import certify
from expressivity.accuracy.worst_case import worst_case_error
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.gate import plain_attention
from expressivity.convolutions import plain_convolution
from expressivity.coursework.operator import Affine, WorstCase, worst_case
from expressivity.errors import ArgumentError, NotOneHotError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

_STEPS = 12  # of the search for an input that a layer with content terms fails on


class ShapeError(Exception):
    """The outputs of two layers have different sizes."""

    def __init__(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Keep both sizes."""
        super().__init__(f"{tuple(first)} and {tuple(second)}")
        self.first, self.second = tuple(first), tuple(second)


def exact_layer(layer: RelativeSelfAttention) -> RelativeSelfAttention:
    """Return a copy of a layer in float64 on the CPU, evaluated by definition.

    Args:
        layer: A layer that passes the gate of the package.

    Returns:
        The copy.

    Raises:
        ArgumentError: If a parameter is not finite; tables may be −∞.
        UnsupportedModuleError: If the layer computes something else than its
            parameters say.
    """
    wide = copy.deepcopy(plain_attention(layer)).cpu().double().eval()
    for name, parameter in wide.named_parameters():
        possible = parameter.isfinite() | (parameter.isneginf() & (name == "table"))
        if not bool(possible.all()):
            raise ArgumentError(
                f"the layer needs finite numbers, got others in its {name}: compute it "
                "again"
            )
    wide.strategy = "dense"
    content = wide.heads().content
    if content is not None and not (
        content.query_weight.any() or content.content_bias.any()
    ):  # terms that add nothing to any score
        wide = wide.without_content()
    return wide.requires_grad_(False)


def exact_conv(conv: Convolution) -> Convolution:
    """Return a copy of a convolution in float64 on the CPU."""
    wide: Convolution = copy.deepcopy(plain_convolution(conv)).cpu().double()
    return wide.requires_grad_(False)


def judged(
    layer: RelativeSelfAttention,
    conv: Convolution,
    size: Sequence[int],
    input_bound: float = 1.0,
) -> WorstCase:
    """Return the worst case of a layer beside a convolution.

    Args:
        layer: A layer in float64, see :func:`exact_layer`.
        conv: A convolution in float64.
        size: Pixels per axis of the input.
        input_bound: Largest ‖x‖_∞.

    Returns:
        By a certificate where the two have one geometry, by the exact worst case of
        tables, by comparing the whole maps for another geometry. For a layer with
        content terms only what a search attains is known, and the bound is infinite.

    Raises:
        ShapeError: If outputs have different sizes.
        InputError: If the layer does not take such an input.
        CertificateError: If the parameters are not finite, or out of range.
    """
    if layer.heads().sees_tokens:
        return _searched(layer, conv, size, input_bound)
    alike = layer.geometry == ConvGeometry.from_conv(conv)
    channels = (layer.in_channels, layer.out_channels, layer.groups)
    alike = alike and channels == (conv.in_channels, conv.out_channels, conv.groups)
    if alike and layer.table is None:
        certificate = certify(layer, conv, input_bound, size=size)
        return WorstCase(
            float(certificate.exact_part.max()),
            certificate.attained,
            certificate.worst_input,
            certificate.worst.output,
            "certificate",
        )
    maps = [Affine.of(each, conv.in_channels, size) for each in (layer, conv)]
    if maps[0].output_size != maps[1].output_size:
        raise ShapeError(maps[0].output_size, maps[1].output_size)
    worst = worst_case(
        *maps, channels=conv.in_channels, size=size, input_bound=input_bound
    )
    if not alike or input_bound != 1.0:
        return worst
    try:
        exact = float(worst_case_error(layer, conv, size=size).max())
    except NotOneHotError:  # a table that a border cuts: the maps say it all
        return worst
    return WorstCase(exact, worst.attained, worst.x, worst.output, worst.basis)


def attained(
    layer: RelativeSelfAttention, conv: Convolution, x: Float[Tensor, "1 channels ..."]
) -> tuple[float, tuple[int, ...]]:
    """Return the largest difference on one input, and the output that shows it.

    Args:
        layer: A layer in float64.
        conv: A convolution in float64.
        x: The input.

    Returns:
        The difference, absolute, and the position per axis.
    """
    with torch.no_grad():
        gap = (layer(x) - conv(x)).abs()[0]
    place = torch.unravel_index(gap.argmax(), gap.shape)
    return float(gap.max()), tuple(int(index) for index in place[1:])


def _searched(
    layer: RelativeSelfAttention,
    conv: Convolution,
    size: Sequence[int],
    input_bound: float,
) -> WorstCase:
    """Climb along the signs of the gradient, from a few inputs."""
    generator = torch.Generator("cpu").manual_seed(0)
    shape = (8, conv.in_channels, *size)
    x = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    best, chosen = -1.0, x[:1]
    x = x.sign() * input_bound
    for _ in range(_STEPS):
        x = x.detach().requires_grad_()
        outputs, expected = layer(x), conv(x)
        if outputs.shape != expected.shape:
            raise ShapeError(outputs.shape[1:], expected.shape[1:])
        gaps = (outputs - expected).abs().flatten(1).amax(1)
        largest = float(gaps.detach().max())
        if largest > best:
            best, chosen = largest, x.detach()[gaps.argmax()][None]
        gaps.sum().backward()
        slope = torch.zeros_like(x) if x.grad is None else x.grad
        x = torch.where(slope == 0, x, slope.sign() * input_bound)
    reached, output = attained(layer, conv, chosen)
    return WorstCase(float("inf"), reached, chosen, output, "search")
