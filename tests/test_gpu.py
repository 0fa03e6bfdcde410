"""The same on a GPU: outputs, memory, and no waiting for it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.strategies import STRATEGIES
from tests import attack, laws
from tests.cases import BASE, BASE_1D, BASE_3D, Case
from tests.heads.test_tables import table_layer

pytestmark = pytest.mark.gpu
DEVICE = "cuda"
CASES = [
    BASE,
    replace(BASE, groups=2, stride=2, padding_mode="reflect"),
    replace(BASE, size=(8, 70), padding=5, padding_mode="replicate"),
    replace(BASE_1D, size=(300,), dilation=2),
    replace(BASE_3D, padding_mode="circular"),
]
# All that take heads without tables.
QUADRATIC = [s.name for s in STRATEGIES if s.name != "normalised"]
# A GPU may round float32 to the 11 bits of TF32 on the way.
ROUNDING = {
    torch.float64: 1e-11,
    torch.float32: 2.0**-10,
    torch.float16: 2.0**-10,
    torch.bfloat16: 2.0**-7,
}
both_sides_of_saturation = pytest.mark.parametrize("alpha", [None, 1.0])
per_dtype = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


def layer_of(
    case: Case, dtype: torch.dtype, alpha: float | None, *, content: bool = False
) -> ex.RelativeSelfAttention:
    """Return a layer on the CPU, with small content terms if any."""
    layer = ex.attention_from_conv(case.conv(dtype), alpha=alpha)
    if content:
        layer.add_content_terms(4)
        with torch.no_grad():
            layer.query_weight.normal_(0, 0.02)
            layer.content_bias.normal_(0, 0.02)
    return layer


def assert_is_dense_on_the_cpu(
    found: Tensor, layer: nn.Module, x: Tensor, *, roundings: int
) -> None:
    """Equal to float64 within so many roundings of the sizes of all numbers."""
    wide = laws.with_strategy(layer, "dense").cpu().double().requires_grad_(False)
    expected = wide(x.cpu().double())
    for weight in (wide.value_weight, wide.output_weight, wide.bias):
        if weight is not None:
            weight.abs_()
    allowed = roundings * ROUNDING[x.dtype] * wide(x.cpu().double().abs())
    error = (found.detach().cpu().double() - expected).abs()
    assert (error <= allowed).all(), (error / allowed).max()


@per_dtype
@both_sides_of_saturation
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("strategy", QUADRATIC)
def test_every_strategy_is_dense_on_the_cpu(
    strategy: str, case: Case, alpha: float | None, dtype: torch.dtype
) -> None:
    layer, x = layer_of(case, dtype, alpha), case.input(dtype=dtype)
    moved = laws.with_strategy(layer, strategy).to(DEVICE)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            found = moved(x.to(DEVICE))
        assert found.device.type == DEVICE
        assert found.dtype == dtype
        assert_is_dense_on_the_cpu(found, layer, x, roundings=8)


@per_dtype
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("strategy", ["fused", "dense"])
def test_content_terms_are_those_on_the_cpu(
    strategy: str, case: Case, dtype: torch.dtype
) -> None:
    layer, x = layer_of(case, dtype, 1.0, content=True), case.input(dtype=dtype)
    found = laws.with_strategy(layer, strategy).to(DEVICE)(x.to(DEVICE))
    assert_is_dense_on_the_cpu(found, layer, x, roundings=16)


@pytest.mark.parametrize("strategy", ["separable", "fused"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_derivatives_are_those_of_dense_on_the_cpu(case: Case, strategy: str) -> None:
    layer, x = layer_of(case, torch.float64, 1.0), case.input()
    gradients = []
    for name, device in (("dense", "cpu"), (strategy, DEVICE)):
        placed = laws.with_strategy(layer, name).to(device)
        looked = x.to(device).requires_grad_()
        placed(looked).square().sum().backward()
        gradients.append([looked.grad, *(p.grad for p in placed.parameters())])
    for expected, found in zip(*gradients, strict=True):
        atol = 1e-10 * (1 + float(expected.abs().max()))
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=atol)


@pytest.fixture
def synchronising_fails() -> Iterator[None]:
    """Restore the mode that a test sets."""
    before = torch.cuda.get_sync_debug_mode()
    yield
    torch.cuda.set_sync_debug_mode(before)


@pytest.mark.usefixtures("synchronising_fails")
@both_sides_of_saturation
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("head_dim", [None, 2])
@pytest.mark.parametrize(
    "case", [BASE, replace(BASE, padding=4, padding_mode="replicate")], ids=str
)
def test_a_warm_forward_pass_does_not_wait_for_the_device(
    case: Case, head_dim: int | None, trained: bool, alpha: float | None
) -> None:
    """In inference, and in training of the projections alone."""
    conv, x = case.conv(torch.float32), case.input(dtype=torch.float32).to(DEVICE)
    layer = ex.attention_from_conv(conv, alpha=alpha, head_dim=head_dim).to(DEVICE)
    layer.alpha.requires_grad_(False)
    layer.centers.requires_grad_(False)
    with torch.set_grad_enabled(trained):
        before = [layer(x) for _ in range(3)][-1]
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        after = layer(x)
        torch.cuda.set_sync_debug_mode("default")
    assert after.requires_grad == trained
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("dtype", list(ROUNDING)[1:], ids=str)
@pytest.mark.parametrize("trained", [False, True])
def test_fused_holds_no_scores(dtype: torch.dtype, trained: bool) -> None:
    case = replace(BASE, size=(56, 56), kernel_size=(3, 3), in_channels=64)
    layer = layer_of(case, dtype, 1.0, content=True).to(DEVICE)
    layer.strategy = "fused"
    x = case.input(1, dtype=dtype).to(DEVICE).requires_grad_(trained)

    def run() -> None:
        with torch.set_grad_enabled(trained):
            output = layer(x)
        if trained:
            output.float().sum().backward()

    run()  # what libraries allocate once
    layer.zero_grad()
    x.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    taken = torch.cuda.max_memory_allocated() - before
    one_head = 56**2 * 58**2 * dtype.itemsize
    assert taken < (9 if trained else 1) * one_head


@both_sides_of_saturation
def test_a_layer_goes_to_the_device_and_comes_back(alpha: float | None) -> None:
    layer, x = layer_of(BASE, torch.float64, alpha), BASE.input()
    with torch.no_grad():
        expected = layer(x)
        for device in (DEVICE, "cpu", DEVICE):
            layer.to(device)
            for _ in range(2):
                found = layer(x.to(device))
                assert found.device.type == torch.device(device).type
                torch.testing.assert_close(
                    found.cpu(), expected, rtol=0, atol=laws.ROUNDING * 100
                )


@both_sides_of_saturation
def test_changes_on_the_device_are_seen(alpha: float | None) -> None:
    layer = layer_of(BASE, torch.float64, alpha).to(DEVICE)
    x = BASE.input().to(DEVICE)
    with torch.no_grad():
        layer(x)
        for parameter, factor in (
            (layer.alpha, 0.7),
            (layer.centers, 1.25),
            (layer.output_weight, -1.0),
        ):
            parameter.mul_(factor)
            expected = laws.with_strategy(layer, "dense")(x)
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-10)


@per_dtype
@pytest.mark.parametrize("strategy", ["normalised", "dense"])
def test_tables_are_those_of_the_cpu(strategy: str, dtype: torch.dtype) -> None:
    layer, x = table_layer(BASE), BASE.input(dtype=dtype)
    layer = layer.to(dtype)
    found = laws.with_strategy(layer, strategy).to(DEVICE)(x.to(DEVICE))
    assert_is_dense_on_the_cpu(found, layer, x, roundings=8)
    conv = BASE.conv(dtype).to(DEVICE)
    attention = ex.attention_from_conv(conv, heads="minimal")
    assert {p.device.type for p in attention.parameters()} == {DEVICE}
    back = ex.conv_from_attention(attention)
    assert back.weight.device.type == DEVICE


@pytest.mark.parametrize("strategy", QUADRATIC)
@pytest.mark.parametrize("dtype", attack.DTYPES, ids=str)
def test_no_input_exceeds_a_certificate(strategy: str, dtype: torch.dtype) -> None:
    matmul, before = torch.backends.cuda.matmul, {}
    for kind in ("fp16", "bf16"):
        name = f"allow_{kind}_reduced_precision_reduction"
        before[name] = getattr(matmul, name)
        setattr(matmul, name, False)
    try:
        with torch.backends.cudnn.flags(enabled=False, allow_tf32=False):
            for seed in range(4):
                target = attack.random_target(f"gpu/{seed}", dtype, strategy)
                moved = replace(
                    target,
                    attention=target.attention.to(DEVICE),
                    conv=target.conv.to(DEVICE),
                )
                certificate = moved.certificate()
                x = attack.inputs(target, 60, seed)
                x = torch.cat([x, certificate.worst_input]).to(DEVICE)
                assert (moved.errors(x).cpu() <= certificate.bound).all()
    finally:
        for name, value in before.items():
            setattr(matmul, name, value)
