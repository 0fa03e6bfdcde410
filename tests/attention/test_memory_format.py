"""A channels-last input gives a channels-last output, with the same numbers."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.bench.resnet import resnet50
from expressivity.machine.memory_format import in_format_of, is_channels_last
from tests.cases import BASE, BASE_3D, Case

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
CASES = [
    BASE,
    replace(BASE, stride=2, padding=0),
    replace(BASE, padding=2, padding_mode="replicate", dilation=2),
    replace(BASE, groups=2),
    replace(BASE, kernel_size=(1, 1), padding=0),
    replace(BASE, kernel_size=(1, 1), padding=0, stride=2, groups=2),
    replace(BASE, size=(70, 40), padding_mode="circular"),
    replace(BASE, kernel_size=(5, 3), padding=3),
    BASE_3D,
]


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=FORMATS[x.dim()])


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("kind", ["saturated", "soft", "own", "shifted"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_separable_keeps_the_format(case: Case, kind: str, recorded: bool) -> None:
    layer = ex.attention_from_conv(
        case.conv(), alpha=None if kind == "saturated" else 0.8
    )
    with torch.no_grad():
        if kind == "own":
            layer.alpha += 0.1 * torch.arange(len(layer.alpha))
        if kind == "shifted":
            layer.centers[-1] += 0.25
    layer.requires_grad_(recorded)
    assert_keeps_the_format(layer, case.input())


@pytest.mark.parametrize("strategy", ["dense", "fused", "normalised"])
def test_other_strategies_keep_it_too(strategy: str) -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=0.8)
    if strategy == "normalised":
        layer.add_table((-2, -2), (5, 5))
    layer.strategy = strategy
    assert_keeps_the_format(layer, BASE.input())


def assert_keeps_the_format(layer: nn.Module, x: Tensor) -> None:
    plain, last = layer(x), layer(channels_last(x))
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=FORMATS[x.dim()])
    torch.testing.assert_close(last, plain, rtol=0, atol=1e-12)


def test_gradients_do_not_depend_on_the_format() -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=0.8).requires_grad_()
    x = BASE.input().requires_grad_()
    each = []
    for given in (x, channels_last(x)):
        output = layer(given)
        weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype)
        loss = (output * weights.reshape(output.shape)).sum()
        each.append(torch.autograd.grad(loss, [x, *layer.parameters()]))
    for one, other in zip(*each, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [None, 4.0])
def test_a_channels_last_network_stays_channels_last(alpha: float | None) -> None:
    network = resnet50().eval().to(memory_format=torch.channels_last)
    converted = ex.convert(network, alpha=alpha).model
    formats = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spatial = output.shape[2] * output.shape[3]
        if spatial > 1:
            formats.append(is_channels_last(output))

    for module in converted.modules():
        if isinstance(module, ex.RelativeSelfAttention):
            module.register_forward_hook(note)
    with torch.no_grad():
        converted(channels_last(torch.randn(1, 3, 64, 64)))
    assert len(formats) == 53
    assert all(formats)


def test_a_format_is_changed_only_where_it_differs() -> None:
    x = torch.randn(2, 3, 4, 5)
    last = channels_last(x)
    assert in_format_of(last, last) is last
    assert in_format_of(x, x) is x
    assert in_format_of(x, last).is_contiguous()
    assert is_channels_last(in_format_of(last, x))
    assert not is_channels_last(torch.randn(2, 1, 1, 1))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("first", ["converted", "laid out"])
def test_kernels_lie_as_the_weights_of_convolutions(case: Case, first: str) -> None:
    """torch would reorder another kernel in every call."""
    conv = case.conv()
    memory_format = FORMATS[conv.weight.dim()]
    kept = ex.attention_from_conv(conv)
    last = conv.to(memory_format=memory_format)
    if first == "converted":
        layer = copy.deepcopy(kept).to(memory_format=memory_format)
    else:
        layer = ex.attention_from_conv(last)
    assert layer.weight.is_contiguous(memory_format=memory_format)
    assert torch.equal(layer.weight, last.weight)
    x = channels_last(case.input())
    assert layer(x).allclose(last(x), rtol=0, atol=1e-12)
    assert layer.to(memory_format=torch.contiguous_format).weight.is_contiguous()


def test_gradients_move_with_their_weights() -> None:
    layer = ex.attention_from_conv(BASE.conv(torch.float64))
    layer(BASE.input()).sum().backward()
    gradient = layer.output_weight.grad.clone()
    layer.to(torch.float32, memory_format=torch.channels_last)
    weight = layer.output_weight
    assert weight.grad.dtype == weight.dtype == torch.float32
    assert weight.grad.stride() == weight.stride()
    assert torch.equal(weight.grad, gradient.float())
