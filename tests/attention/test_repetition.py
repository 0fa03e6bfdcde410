"""The short way of a second input of the same kind: taken, and never wrongly."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor, func, nn

import expressivity as ex
from expressivity.attention.repetition import Repetition
from expressivity.strategies import select
from tests.cases import BASE, BASE_1D, BASE_3D, Case

CASES = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
ALPHAS = pytest.mark.parametrize("alpha", [None, 0.7], ids=["saturated", "soft"])


def warm_layer(case: Case = BASE, alpha: float | None = None) -> nn.Module:
    """Return a layer that has seen an input of the case, and may repeat itself."""
    layer = ex.attention_from_conv(case.conv(), alpha=alpha)
    with torch.no_grad():
        layer(case.input())
    assert isinstance(layer._memo.repetition, Repetition)
    return layer


def expected(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what the strategy computes, with nothing remembered."""
    fresh = copy.deepcopy(layer)
    return select(fresh.strategy, *fresh._inputs(x)).attend(*fresh._inputs(x))


@CASES
@ALPHAS
def test_same_numbers_bit_for_bit(case: Case, alpha: float | None) -> None:
    layer = warm_layer(case, alpha)
    for scale in range(3):
        x = scale * case.input()
        with torch.no_grad():
            assert layer._memo.repetition.suits(layer, x)
            assert torch.equal(layer(x), expected(layer, x))


def set_strategy(layer: nn.Module) -> None:
    layer.strategy = "dense"


def set_geometry(layer: nn.Module) -> None:
    layer.geometry = ex.ConvGeometry.create((3, 2), padding=1, stride=2)


def train_softly(layer: nn.Module) -> None:
    layer.alpha.requires_grad_()
    torch.set_grad_enabled(True)


def replace_bias(layer: nn.Module) -> None:
    layer.bias = nn.Parameter(layer.bias + 1)


CHANGES: list[Callable[[nn.Module], object]] = [
    set_strategy,
    set_geometry,
    train_softly,
    replace_bias,
    lambda layer: layer.add_content_terms(3),
    lambda layer: layer.add_table((-1, -1), (3, 3)),
    lambda layer: layer.alpha.data.mul_(0.5),
    lambda layer: layer.centers.data[0].add_(0.25),
    lambda layer: setattr(layer, "bias", None),
    lambda layer: layer.materialize_projections(),
    lambda layer: setattr(layer.output_weight, "data", -layer.output_weight.data),
    lambda layer: layer.output_weight.data.neg_(),
    lambda layer: layer.to(torch.float32),
]


@ALPHAS
@pytest.mark.parametrize("change", CHANGES)
def test_notices_every_change(
    change: Callable[[nn.Module], object], alpha: float | None
) -> None:
    case = BASE
    layer = warm_layer(case, alpha)
    with torch.no_grad():
        change(layer)
        x = case.input().to(layer.dtype)
        assert torch.equal(layer(x), expected(layer, x))


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x[:1],
        lambda x: x[0],
        lambda x: x[..., :-1],
        lambda x: x.expand(3, *x.shape[1:]) if len(x) == 1 else x[:0],
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
    ],
)
@ALPHAS
def test_other_inputs(other: Callable[[Tensor], Tensor], alpha: float | None) -> None:
    layer = warm_layer(BASE, alpha)
    x = other(BASE.input())
    with torch.no_grad():
        exact = expected(layer, x)
        output = layer(x)
    assert output.flatten().allclose(exact.flatten(), rtol=0, atol=1e-12)
    channels_last = x.dim() == 4 and not x.is_contiguous()
    is_last = x.is_contiguous(memory_format=torch.channels_last) if x.dim() == 4 else 0
    if channels_last and is_last:
        assert output.is_contiguous(memory_format=torch.channels_last)
    else:
        assert output.is_contiguous()


@ALPHAS
def test_gradients_of_whatever_asks(alpha: float | None) -> None:
    layer = warm_layer(BASE, alpha)
    x = BASE.input().requires_grad_()
    names = [None, "bias", "output_weight"]
    for name in names:
        fresh = copy.deepcopy(layer)
        gradients = []
        for each in (layer, fresh):
            each.requires_grad_(False)
            wanted = x if name is None else getattr(each, name)
            x.requires_grad_(name is None)
            wanted.requires_grad_()
            gradients += torch.autograd.grad(each(x).square().sum(), [wanted])
        assert torch.equal(*gradients)


@ALPHAS
def test_other_parameters_for_one_call(alpha: float | None) -> None:
    layer = warm_layer(BASE, alpha)
    x = BASE.input()
    others = {name: 1.5 * p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad():
        called = func.functional_call(layer, others, (x,))
        for name, value in others.items():
            getattr(layer, name).copy_(value)
        assert called.allclose(expected(layer, x), rtol=0, atol=1e-12)


@ALPHAS
def test_under_vmap(alpha: float | None) -> None:
    layer = warm_layer(BASE, alpha)
    several = torch.stack([scale * BASE.input() for scale in range(3)])
    with torch.no_grad():
        outputs = func.vmap(layer)(several)
        for x, output in zip(several, outputs, strict=True):
            assert output.allclose(expected(layer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("wider", [False, True])
def test_threads_that_repeat_at_once(wider: bool) -> None:
    convolution = nn.Conv2d(16, 24 if wider else 8, 3 if wider else 1)
    x, threads = torch.randn(1, 16, 40, 40), 4
    for _ in range(10):
        layer = ex.attention_from_conv(convolution, alpha=2.0).requires_grad_(False)
        wanted = layer(x)  # what is kept of the first call is used by the next ones
        barrier = Barrier(threads)

        def call(layer: nn.Module = layer, barrier: Barrier = barrier) -> Tensor:
            barrier.wait()
            return layer(x)

        with ThreadPoolExecutor(threads) as pool:
            outputs = [f.result() for f in [pool.submit(call) for _ in range(threads)]]
        for output in (*outputs, layer(x)):
            torch.testing.assert_close(output, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_do_not_repeat(copied: Callable[[nn.Module], nn.Module]) -> None:
    layer = warm_layer()
    twin = copied(layer)
    assert twin._memo.repetition is None
    with torch.no_grad():
        twin.bias.add_(1)
        x = BASE.input()
        assert (twin(x) - layer(x)).allclose(torch.ones((), dtype=x.dtype))


def test_autocast() -> None:
    layer = ex.attention_from_conv(BASE.conv(torch.float32))
    x = BASE.input(dtype=torch.float32)
    with torch.no_grad():
        layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert layer(x).dtype == torch.float32
