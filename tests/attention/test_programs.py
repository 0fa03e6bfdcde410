"""Programs that torch records answer for their parameters, or are refused."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import expressivity as ex
from tests.attention.test_written_elsewhere import LAYERS
from tests.cases import BASE, BASE_1D, BASE_3D, Case

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


def soft_with(**options: object) -> Callable[[float], nn.Module]:
    def build(alpha: float) -> nn.Module:
        return ex.attention_from_conv(BASE.conv(), alpha=alpha, **options)

    return build


def with_content(alpha: float) -> nn.Module:
    layer = ex.attention_from_conv(BASE.conv(), alpha=alpha).add_content_terms(2)
    nn.init.normal_(layer.content_bias)
    return layer


def with_gates(alpha: float) -> nn.Module:
    layer = ex.attention_from_conv(BASE.conv(), alpha=alpha).add_content(2)
    nn.init.normal_(layer.gate)
    return layer


BUILDS = [
    *LAYERS,
    with_content,
    with_gates,
    *(pytest.param(soft_with(strategy=name), id=name) for name in ("fused", "dense")),
]


def jit(layer: nn.Module, x: Tensor) -> nn.Module:
    with torch.no_grad():
        layer(x)  # there is something to bake in
    return torch.jit.trace(layer, x, check_trace=False)


def proxies(layer: nn.Module, x: Tensor) -> nn.Module:
    return make_fx(layer)(x)


def fake_proxies(layer: nn.Module, x: Tensor) -> nn.Module:
    return make_fx(layer, tracing_mode="fake", _allow_non_fake_inputs=True)(x)


def symbols(layer: nn.Module, x: Tensor) -> nn.Module:
    return fx.symbolic_trace(nn.Sequential(layer))


RECORDERS = [jit, proxies, fake_proxies, symbols]


def assert_alike(output: Tensor, wanted: Tensor) -> None:
    atol = 1e-13 * (1 + float(wanted.detach().abs().max()))
    torch.testing.assert_close(output, wanted, rtol=0, atol=atol)


def changed(layer: nn.Module) -> dict[str, Tensor]:
    """Return a state with other numbers everywhere."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.5 * value + 0.1 * torch.rand(value.shape, generator=generator)
        for name, value in layer.state_dict().items()
    }


@pytest.mark.parametrize(("alpha", "recorded"), [(1.0, True), (60.0, False)])
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("record", RECORDERS)
def test_a_program_follows_its_parameters(
    record: Callable[[nn.Module, Tensor], nn.Module],
    build: Callable[[float], nn.Module],
    alpha: float,
    recorded: bool,
) -> None:
    layer, x = build(alpha), BASE.input()
    layer.requires_grad_(recorded)
    with torch.set_grad_enabled(recorded):
        program = record(layer, x)
    before = layer(x)
    assert_alike(program(x), before)
    state = changed(layer)
    if record is jit:
        program.load_state_dict(state)
        layer.load_state_dict(state)
    else:  # the program holds the parameters themselves
        layer.load_state_dict(state)
    assert (layer(x) - before).abs().max() > 1e-3
    assert_alike(program(x), layer(x))


@pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)
def test_a_traced_program_passes_derivatives_on(case: Case) -> None:
    layer, x = ex.attention_from_conv(case.conv(), alpha=1.0), case.input()
    program = torch.jit.trace(layer, x)
    for one, other in zip(
        torch.autograd.grad(program(x).square().sum(), list(program.parameters())),
        torch.autograd.grad(layer(x).square().sum(), list(layer.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.fixture(params=["auto", "fused", "dense"])
def traced(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    layer = ex.attention_from_conv(BASE.conv(), alpha=1.0, strategy=request.param)
    return layer, torch.jit.trace(layer, BASE.input())


class TestJit:
    def test_takes_any_batch(self, traced: tuple[nn.Module, nn.Module]) -> None:
        layer, program = traced
        for batch in (0, 1, 5):
            x = BASE.input(batch=batch)
            assert program(x).shape == layer(x).shape
            if batch:
                assert_alike(program(x), layer(x))

    def test_refuses_other_sizes(self, traced: tuple[nn.Module, nn.Module]) -> None:
        _, program = traced
        height, width = BASE.size
        channels = BASE.in_channels
        for size in [(width, height), (1, width), (height, 1), (height + 1, width)]:
            with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
                program(torch.ones(1, channels, *size, dtype=torch.float64))

    def test_takes_an_input_without_batch(self) -> None:
        layer, x = ex.attention_from_conv(BASE.conv(), alpha=1.0), BASE.input()[0]
        assert_alike(torch.jit.trace(layer, x)(x), layer(x))

    def test_long_axes(self) -> None:
        case = Case(kernel_size=(3,), size=(300,))
        layer = ex.attention_from_conv(case.conv(), alpha=3.0)
        program = torch.jit.trace(layer, case.input())
        assert_alike(program(case.input()), layer(case.input()))

    def test_leaves_no_trace_behind(self) -> None:
        layer = ex.attention_from_conv(BASE.conv(), alpha=1.0, head_dim=2)
        x, fresh = BASE.input(), copy.deepcopy(layer)
        torch.jit.trace(layer, x)
        with torch.no_grad():
            assert torch.equal(layer(x), fresh(x))


class TestFx:
    def test_a_layer_is_a_single_call(self) -> None:
        network = nn.Sequential(nn.ReLU(), ex.attention_from_conv(BASE.conv()))
        program = fx.symbolic_trace(network)
        calls = [node.target for node in program.graph.nodes if node.op != "output"]
        assert calls == ["input", "0", "1"]
        assert torch.equal(program(BASE.input()), network(BASE.input()))

    def test_a_converted_network_is_traced_as_the_network_was(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
        converted = ex.convert(network).model
        graphs = [fx.symbolic_trace(m).graph for m in (network, converted)]
        assert str(graphs[0]) == str(graphs[1])

    def test_a_layer_alone_is_refused_with_the_way_out(self) -> None:
        layer = ex.attention_from_conv(BASE.conv())
        with pytest.raises(ex.errors.InputError, match=r"nn\.Sequential\(layer\)"):
            fx.symbolic_trace(layer)


@pytest.mark.parametrize("build", BUILDS)
def test_tensors_without_numbers_leave_nothing_behind(
    build: Callable[[float], nn.Module],
) -> None:
    layer, x = build(1.0), BASE.input()
    with torch.no_grad():
        expected = layer(x)
        for warm in (layer, copy.deepcopy(layer)):
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            with mode:
                shape = warm(mode.from_tensor(x)).shape
            assert shape == expected.shape
            assert_alike(warm(x), expected)


def test_the_size_of_a_program_is_said() -> None:
    layer = ex.attention_from_conv(BASE.conv(), alpha=1.0)
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        torch.jit.trace(layer, BASE.input(), check_trace=False)
    assert any("treated as a constant" in str(remark.message) for remark in remarks)
