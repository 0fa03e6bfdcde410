"""What must hold for every convolution: used by the tests and by the random search.

Each law takes the code it judges as an argument, so that the tests in ``meta/`` can
show it something broken and see it fail.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import exp, log, prod
from typing import Any

import torch
from torch import Tensor, nn

import expressivity as ex
from tests import oracles

Build = Callable[..., nn.Module]
Sizes = Sequence[int]

# One ulp of float64 for each of the few thousand terms of a small test.
ROUNDING = 1e-12


def weight_norms(conv: nn.Module) -> Tensor:
    """Return Σ|W| per output channel."""
    return conv.weight.detach().double().flatten(1).abs().sum(1)


def rounding_allowance(conv: nn.Module, x: Tensor) -> Tensor:
    """Return what rounding may add to an output, per output channel.

    A sum of n terms is off by at most n ulps of the sum of their sizes; here the
    smoothing adds up the keys of each axis and the convolution its taps and
    channels, both in at least float32. Half precision rounds the smoothed canvas,
    the sum, the bias and the output once more each, in its own ulps.
    """
    dtype = conv.weight.dtype
    wide = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    keys = sum(x.shape[2:]) + 2 * sum(map(sum, oracles.paddings(conv)))
    terms = keys + prod(conv.weight.shape[1:]) + 8
    scale = weight_norms(conv) * float(x.abs().max())
    if conv.bias is not None:
        scale = scale + conv.bias.detach().double().abs()
    return (terms * wide + 4 * torch.finfo(dtype).eps) * scale


def assert_equals_convolution(
    attention: nn.Module, conv: nn.Module, x: Tensor, *, alpha: float
) -> None:
    """The layer equals torch's convolution up to the worst case and rounding."""
    with torch.no_grad():
        attention(x)  # the next input of its kind may be evaluated in another way
        error = (attention(x).double() - oracles.exact_convolution(conv, x)).abs()
    worst = ex.worst_case_error(conv, alpha=alpha, size=x.shape[2:])
    allowed = worst * float(x.abs().max()) + rounding_allowance(conv, x)
    per_channel = error.flatten(2).amax(2)
    assert (per_channel <= allowed).all(), (
        f"error is {(per_channel / allowed).max():.3g} of what is allowed"
    )


def assert_worst_case_is_exact(
    conv: nn.Module,
    size: Sizes,
    *,
    alpha: float,
    exact: Callable[..., Tensor] = ex.worst_case_error,
) -> None:
    """It is the brute-force operator's, and no size exceeds the any-size bound."""
    attention = ex.attention_from_conv(conv, alpha=alpha)
    truth = oracles.brute_force_worst_case(attention, conv, conv.in_channels, size)
    claimed = exact(conv, alpha=alpha, size=size)
    torch.testing.assert_close(
        claimed, truth, rtol=1e-12, atol=1e-14 * float(weight_norms(conv).max())
    )
    bound = exact(conv, alpha=alpha)
    assert (claimed <= bound * (1 + 1e-12)).all(), (
        f"worst case is {(claimed / bound).max()} of the any-size bound"
    )


def assert_worst_case_is_attained(
    conv: nn.Module,
    size: Sizes,
    *,
    alpha: float,
    exact: Callable[..., Tensor] = ex.worst_case_error,
) -> None:
    """The signs of the worst row are an input with exactly that error."""
    attention = ex.attention_from_conv(conv, alpha=alpha)
    rows = oracles.operator(attention, conv.in_channels, size) - oracles.operator(
        conv, conv.in_channels, size
    )
    worst = exact(conv, alpha=alpha, size=size)
    for channel, norms in enumerate(rows.abs().sum(0)):
        row = rows[:, channel, norms.argmax()]
        x = row.sign().reshape(1, conv.in_channels, *size)
        with torch.no_grad():
            error = (attention(x) - conv(x))[0, channel].abs().max()
        torch.testing.assert_close(error, worst[channel], rtol=1e-12, atol=ROUNDING)


def first_order_is_visible(conv: nn.Module, x: Tensor) -> bool:
    """Whether the first-order error is a hundredth of its usual size at least.

    It vanishes on a constant input or a canvas of one pixel, and where every target
    lies outside the canvas.
    """
    error = ex.accuracy.first_order_error(conv, x, alpha=1.0).detach().abs().max()
    return bool(error > 1e-2 * exp(-1.0) * output_bound(conv, x))


def assert_error_decays(
    conv: nn.Module, x: Tensor, *, build: Build = ex.attention_from_conv
) -> None:
    """The error falls like e^−α: slope −1 within 2 % over a decade.

    Holds where :func:`first_order_is_visible`.
    """
    low, high = 10.0, 10.0 + log(10)
    errors = [
        measured_error(build(conv, alpha=alpha), conv, x) for alpha in (low, high)
    ]
    slope = log(errors[1] / errors[0]) / (high - low)
    assert abs(slope + 1) < 0.02, f"slope {slope}"


def assert_first_order(
    conv: nn.Module,
    x: Tensor,
    *,
    alpha: float,
    predict: Callable[..., Tensor] = ex.accuracy.first_order_error,
) -> None:
    """The remainder of the first-order prediction is at most 8 (d ε)² Σ|W|, ε = e^−α.

    Along one axis a row of G_α is (ε, 1 − 2ε, ε) + (−2, 4, −2) ε² + …, so the ℓ₁ norms
    of the first- and second-order parts are 4ε and 8ε². Over d axes the second order
    is at most 8d + 16 d(d − 1)/2 = 8d².
    """
    axes, small = len(conv.kernel_size), exp(-alpha)
    with torch.no_grad():
        attention = ex.attention_from_conv(conv, alpha=alpha)
        remainder = attention(x) - conv(x) - predict(conv, x, alpha=alpha)
    # Third order and beyond: a factor of (1 + few ε).
    allowed = 8 * (axes * small) ** 2 * (1 + 8 * axes * small)
    scale = weight_norms(conv) * float(x.abs().max())
    largest = remainder.abs().flatten(2).amax(2)
    allowed = allowed * scale + rounding_allowance(conv, x)
    assert (largest <= allowed).all(), (
        f"remainder is {(largest / allowed).max():.3g} of what is allowed"
    )


def assert_strategies_agree(
    attention: nn.Module,
    x: Tensor,
    strategies: tuple[str, str] = ("separable", "dense"),
    dtype: torch.dtype = torch.float64,
) -> None:
    """Outputs and all gradients are the same, whichever strategy runs.

    The first runs in a dtype, the second in float64, on the same numbers.
    """
    rounding = ROUNDING if dtype == torch.float64 else 1000 * torch.finfo(dtype).eps
    narrow, x = deepcopy(attention).to(dtype), x.to(dtype)
    layers = (narrow, x), (deepcopy(narrow).double(), x.double())
    outputs, gradients = zip(
        *(
            _output_and_gradients(*layer, name)
            for layer, name in zip(layers, strategies, strict=True)
        ),
        strict=True,
    )
    scale = float(outputs[1].abs().max()) + 1
    atol = rounding * scale
    torch.testing.assert_close(outputs[0].double(), outputs[1], rtol=0, atol=atol)
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(
            gradients[0][name].double(),
            gradient,
            rtol=0,
            atol=10 * rounding * (float(gradient.abs().max()) + scale),
            msg=lambda text, name=name: f"gradient of {name}: {text}",
        )
    with torch.no_grad():  # heads may then be grouped by the values of α and Δ
        grouped = with_strategy(narrow, strategies[0])(x).double()
    torch.testing.assert_close(grouped, outputs[1], rtol=0, atol=atol)


def assert_head_order_is_irrelevant(
    attention: nn.Module, x: Tensor, order: Sequence[int]
) -> None:
    """A permutation of the heads changes nothing."""
    permuted = deepcopy(attention)
    head_axes = {"alpha": 0, "centers": 0, "value_weight": -1, "output_weight": -1}
    head_axes["table"] = 0
    with torch.no_grad():
        for name, axis in head_axes.items():
            parameter = getattr(permuted, name)
            if parameter is not None:
                index = torch.tensor(list(order))
                parameter.copy_(parameter.index_select(axis, index))
        expected, found = attention(x), permuted(x)
    atol = ROUNDING * (float(expected.abs().max()) + 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def assert_round_trip(
    conv: nn.Module,
    *,
    there: Callable[[Any], Any] = ex.attention_from_conv,
) -> None:
    """Convolution → attention → convolution changes no bit and no option."""
    back = ex.conv_from_attention(there(conv))
    geometries = [ex.ConvGeometry.from_conv(c) for c in (back, conv)]
    assert geometries[0] == geometries[1], "options changed"
    assert type(back) is type(conv), "number of axes changed"
    assert back.groups == conv.groups, "groups changed"
    assert (back.bias is None) == (conv.bias is None), "bias changed"
    assert back.weight.dtype == conv.weight.dtype, "dtype changed"
    assert torch.equal(back.weight, conv.weight), "weight changed"
    if conv.bias is not None:
        assert torch.equal(back.bias, conv.bias), "bias changed"


def assert_head_dim_within_bound(
    conv: nn.Module,
    x: Tensor,
    *,
    head_dim: int,
    build: Build = ex.attention_from_conv,
) -> None:
    """A truncated layer is off by no more than both of its stated errors."""
    attention = build(conv, head_dim=head_dim)
    error = measured_error(attention, conv, x)
    largest = float(x.abs().max())
    stated = ex.worst_case_error(attention, conv, size=x.shape[2:]).max() * largest
    rounding = float(rounding_allowance(conv, x).max())
    assert error <= float(stated) + rounding, f"{error} above {float(stated)}"
    # Cauchy–Schwarz: a row of one tap's block sees the channels of its group.
    tail = float(ex.accuracy.truncation_error(conv, head_dim).sum())
    channels = conv.in_channels // conv.groups
    tail *= channels**0.5 * largest
    assert error <= tail + rounding, f"{error} above the tail {tail}"


def measured_error(attention: nn.Module, conv: nn.Module, x: Tensor) -> float:
    """Return the largest error of any output."""
    with torch.no_grad():
        return float((attention(x) - conv(x)).abs().max())


def output_bound(conv: nn.Module, x: Tensor) -> float:
    """Return Σ|W| ‖x‖_∞ of the largest output channel."""
    return float(weight_norms(conv).max()) * float(x.abs().max())


def with_strategy(attention: nn.Module, name: str) -> nn.Module:
    """Return a copy of a layer that is evaluated another way."""
    copied = deepcopy(attention)
    copied.strategy = name
    return copied


def _output_and_gradients(
    attention: nn.Module, x: Tensor, strategy: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the output, and the gradients of a fixed random functional of it."""
    layer = with_strategy(attention, strategy).requires_grad_()
    x = x.clone().requires_grad_()
    output = layer(x)
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    probe = probe.to(output.dtype)  # the same numbers in every dtype
    parameters = dict(layer.named_parameters()) | {"input": x}
    gradients = torch.autograd.grad((probe * output).sum(), [*parameters.values()])
    return output.detach(), dict(zip(parameters, gradients, strict=True))
