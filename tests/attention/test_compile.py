"""torch.compile and torch.export take the layer, and bake no value into it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from tests.cases import BASE, BASE_1D, BASE_3D, Case
from tests.compilers import needs_inductor

pytestmark = [
    pytest.mark.compiled,
    # The compiler warns about parts of torch that torch itself still uses.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
per_strategy = pytest.mark.parametrize("strategy", ["separable", "fused", "dense"])
# Two heads: every head that is smoothed by itself is traced by itself, in seconds.
FEW = replace(BASE, kernel_size=(1, 2))
TINY = Case(kernel_size=(1, 2), size=(3, 4), in_channels=1, out_channels=2, padding=0)


def outputs_and_gradients(
    function: nn.Module, parameters: list[nn.Parameter], x: Tensor
) -> list[Tensor]:
    x = x.clone().requires_grad_()
    output = function(x)
    return [output, *torch.autograd.grad(output.square().sum(), [x, *parameters])]


def assert_all_close(found: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        atol = 1e-12 * (1 + float(other.detach().abs().max()))
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


class TestCompile:
    @per_strategy
    @pytest.mark.parametrize(
        ("backend", "case"),
        [
            ("aot_eager", replace(BASE, groups=2, stride=2, padding_mode="reflect")),
            ("aot_eager", BASE_1D),
            ("aot_eager", replace(BASE_3D, padding_mode="replicate")),
            pytest.param("inductor", TINY, marks=needs_inductor),
        ],
        ids=str,
    )
    def test_outputs_and_gradients_are_those_of_the_layer(
        self, case: Case, backend: str, strategy: str
    ):
        layer = ex.attention_from_conv(case.conv(), alpha=1.0, strategy=strategy)
        compiled = torch.compile(layer, backend=backend, fullgraph=True)
        parameters, x = list(layer.parameters()), case.input()
        found = outputs_and_gradients(compiled, parameters, x)
        assert_all_close(found, outputs_and_gradients(layer, parameters, x))

    @per_strategy
    @pytest.mark.parametrize("frozen", [True, False])
    def test_parameters_may_change_afterwards(self, frozen: bool, strategy: str):
        layer = ex.attention_from_conv(FEW.conv(), strategy=strategy)
        layer.requires_grad_(not frozen)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        x = FEW.input()
        before = compiled(x).detach()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.uniform_(0.1, 1)
        assert (compiled(x) - before).abs().max() > 1e-2
        assert_all_close([compiled(x)], [layer(x)])
        with torch.no_grad():
            assert_all_close([compiled(x)], [layer(x)])

    @per_strategy
    def test_inputs_may_change_their_size(self, strategy: str):
        layer = ex.attention_from_conv(FEW.conv(), alpha=1.0, strategy=strategy)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for size in [(6, 5), (7, 4), (5, 9)]:
            x = replace(FEW, size=size).input()
            assert_all_close([compiled(x)], [layer(x)])

    @pytest.mark.parametrize("head_dim", [1, 9])
    @torch.no_grad()
    def test_both_projections_compile(self, head_dim: int):
        layer = ex.attention_from_conv(FEW.conv(), alpha=1.0, head_dim=head_dim)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert_all_close([compiled(FEW.input())], [layer(FEW.input())])

    def test_content_terms_compile(self):
        layer = ex.attention_from_conv(FEW.conv(), alpha=1.0).add_content_terms(2)
        nn.init.normal_(layer.query_weight)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert_all_close([compiled(FEW.input())], [layer(FEW.input())])

    @pytest.mark.parametrize("trained", [False, True])
    def test_gated_content_compiles(self, trained: bool):
        layer = ex.attention_from_conv(FEW.conv(), alpha=1.0).add_content(2)
        nn.init.normal_(layer.gate)
        for position in (layer.alpha, layer.centers):
            position.requires_grad_(trained)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert_all_close([compiled(FEW.input())], [layer(FEW.input())])

    @pytest.mark.parametrize("wrong", [-0.5, float("nan")])
    def test_a_strength_out_of_range_gives_no_numbers(self, wrong: float):
        layer = ex.attention_from_conv(FEW.conv(), alpha=1.0)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert compiled(FEW.input()).isfinite().all()
        with torch.no_grad():
            layer.alpha[1] = wrong
        assert compiled(FEW.input()).isnan().all()

    def test_a_converted_network_compiles(self):
        network, x = digits_network(), network_input(2)
        model = ex.convert(network).model
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert_all_close([compiled(x)], [network(x)])


class TestExport:
    @per_strategy
    @pytest.mark.parametrize("strict", [True, False])
    def test_exported_network_takes_any_batch(self, strict: bool, strategy: str):
        network = digits_network()
        model = ex.convert(network, strategy=strategy).model
        exported = exported_network(model, strict=strict)
        for batch in (1, 3, 5):
            x = network_input(batch)
            assert_all_close([exported(x)], [network(x)])

    # The separable strategy keeps the positions of its heads: see test_tracing.py.
    @pytest.mark.parametrize("strategy", ["fused", "dense"])
    def test_exported_parameters_may_change_afterwards(self, strategy: str):
        model = ex.convert(digits_network(), strategy=strategy).model
        exported = exported_network(copy.deepcopy(model), strict=False)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("alpha", "centers")):
                    parameter.uniform_(0.1, 1)
        x = network_input(2)
        assert (exported(x) - model(x)).abs().max() > 1e-3
        exported.load_state_dict(model.state_dict())
        assert_all_close([exported(x)], [model(x)])


def digits_network() -> nn.Module:
    return (
        nn
        .Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 2, groups=4, padding="same", padding_mode="replicate"),
            nn.Conv2d(4, 3, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        .double()
        .eval()
    )


def network_input(batch: int) -> Tensor:
    return torch.randn(batch, 1, 8, 6, dtype=torch.float64)


def exported_network(model: nn.Module, *, strict: bool) -> nn.Module:
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        model, (network_input(2),), dynamic_shapes=({0: batch},), strict=strict
    )
    return program.module()
