"""What tracers see of alpha and the centers: values under a guard, or for good."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, func, nn
from torch.nn.utils import parametrize

import expressivity as ex
from expressivity.geometry.grid import Grid
from expressivity.heads import placement
from expressivity.heads.parameters import Heads
from expressivity.strategies.separable.reading import Reading
from expressivity.strategies.separable.strategy import part_of
from expressivity.strategies.separable.tracing import traced_steps
from tests.cases import BASE, CASES, Case
from tests.strategies.test_separable_saturated import aimed_anywhere

# The compiler warns about parts of torch that torch itself still uses.
compiled = [
    pytest.mark.compiled,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
needs_guards = pytest.mark.skipif(
    not placement._IS_GUARDED, reason="this torch has no guards of opaque objects"
)
per_mode = pytest.mark.parametrize("strict", [True, False])

STEM = Case(
    kernel_size=(7, 7),
    size=(32, 32),
    in_channels=3,
    out_channels=16,
    stride=2,
    padding=3,
)
# Two heads: every head that is smoothed by itself is traced by itself, in seconds.
FEW = replace(BASE, kernel_size=(1, 2))
SIZES = [(32, 32), (48, 48), (56, 40), (64, 64), (33, 57)]


class Counter:
    """A backend that counts graphs and their calls, and runs them as they are."""

    def __init__(self) -> None:
        self.graphs: list[int] = []

    def __call__(
        self, module: torch.fx.GraphModule, _: Sequence[Tensor]
    ) -> Callable[..., Any]:
        calls = [node for node in module.graph.nodes if node.op.startswith("call_")]
        self.graphs.append(len(calls))
        return module.forward


def frozen(layer: nn.Module) -> nn.Module:
    layer.alpha.requires_grad_(False)
    layer.centers.requires_grad_(False)
    return layer


def assert_alike(output: Tensor, wanted: Tensor) -> None:
    atol = 64 * torch.finfo(wanted.dtype).eps * (1 + float(wanted.detach().abs().max()))
    torch.testing.assert_close(output, wanted, rtol=0, atol=atol)


def planned(heads: Heads, grid: Grid, x: Tensor) -> Tensor:
    """Evaluate the plan of a tracer without one."""
    grid, steps = traced_steps(heads, replace(grid, any_size=True))
    first, *others = (part_of(step, heads) for step in steps)
    output = first.attend(heads, grid, grid.tokens(x), heads.bias)
    for part in others:
        output = output + part.attend(heads, grid, grid.tokens(x), None)
    return output


class TestPlan:
    @pytest.mark.parametrize("alpha", [None, 0.7])
    @pytest.mark.parametrize("case", CASES, ids=str)
    @torch.no_grad()
    def test_plan_of_a_tracer_computes_the_same(self, case: Case, alpha: float | None):
        conv, x = case.conv(), case.input()
        options = {} if alpha is None else {"alpha": alpha}
        layer = ex.attention_from_conv(conv, **options)
        assert_alike(
            planned(layer.heads(), layer._grid(layer.heads(), case.size), x), layer(x)
        )

    @pytest.mark.parametrize("mode", ["zeros", "replicate", "reflect"])
    @pytest.mark.parametrize("shift", [-9, -3, -1, 1, 2, 7])
    @pytest.mark.parametrize("heads", [[0], [2], [0, 5], range(6)], ids=str)
    @torch.no_grad()
    def test_one_plan_serves_every_size_wherever_the_heads_aim(
        self, mode: str, shift: int, heads: Sequence[int]
    ):
        case = replace(BASE, padding_mode=mode, stride=(2, 3))
        layer = ex.attention_from_conv(case.conv())
        layer.centers[list(heads)] += shift
        for size in [(4, 3), (5, 4), (6, 5), (7, 9), (12, 8)]:
            x = replace(case, size=size).input()
            grid = layer._grid(layer.heads(), size)
            assert_alike(planned(layer.heads(), grid, x), layer(x))

    @given(aimed_anywhere())
    def test_any_aim(self, aimed: tuple[Case, nn.Module]) -> None:
        case, layer = aimed
        with torch.no_grad():
            x, grid = case.input(), layer._grid(layer.heads(), case.size)
            assert_alike(planned(layer.heads(), grid, x), layer(x))

    @torch.no_grad()
    def test_heads_of_a_convolution_are_one_convolution(self):
        for case in CASES:
            heads = ex.attention_from_conv(case.conv()).heads()
            grid = Grid.of(ex.ConvGeometry.from_conv(case.conv()), case.size)
            _, steps = traced_steps(heads, replace(grid, any_size=True))
            assert len(steps) == 1
            assert isinstance(steps[0].prepared, Reading)


def set_through_data(layer: nn.Module) -> None:
    layer.alpha.data.fill_(0.7)


@torch.no_grad()
def set_in_place(layer: nn.Module) -> None:
    layer.centers.add_(1)


def take_a_step(layer: nn.Module) -> None:
    layer.alpha.grad = layer.alpha.detach() - 1.0
    torch.optim.SGD([layer.alpha], lr=1.0).step()


def load(layer: nn.Module, *, assign: bool = False) -> None:
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    state["alpha"].fill_(1.3)
    layer.load_state_dict(state, assign=assign)
    frozen(layer)


def replace_parameter(layer: nn.Module) -> None:
    layer.alpha = nn.Parameter(torch.full_like(layer.alpha, 0.9), requires_grad=False)


CHANGES = [
    set_through_data,
    set_in_place,
    take_a_step,
    load,
    lambda layer: load(layer, assign=True),
    replace_parameter,
]


@needs_guards
class TestCompile:
    pytestmark = compiled

    def test_two_graphs_serve_all_sizes(self):
        layer, backend = ex.attention_from_conv(STEM.conv(torch.float32)), Counter()
        traced = torch.compile(layer, backend=backend, fullgraph=True)
        for size in SIZES:
            x = replace(STEM, size=size).input(dtype=torch.float32)
            assert torch.equal(traced(x), layer(x))
        # One for the first size and one for any other, a convolution each; one alone
        # where torch has seen several sizes of this layer before in the process.
        assert len(backend.graphs) <= 2
        assert max(backend.graphs) <= 4

    def test_two_graphs_serve_all_sizes_and_batches_of_a_network(self):
        network, backend = mixed_network(), Counter()
        model = ex.convert(network).model
        traced = torch.compile(model, backend=backend, fullgraph=True)
        for batch, size in zip([2, 3, 2, 5, 4], SIZES, strict=True):
            x = torch.randn(batch, 3, *size, dtype=torch.float64)
            assert_alike(traced(x), network(x))
        assert len(backend.graphs) <= 3

    @pytest.mark.parametrize("mode", ["zeros", "replicate"])
    def test_heads_that_aim_elsewhere_serve_all_sizes(self, mode: str):
        case = replace(BASE, stride=(2, 3), padding_mode=mode)
        layer, backend = ex.attention_from_conv(case.conv()), Counter()
        layer.centers.add_(2)
        traced = torch.compile(layer, backend=backend, fullgraph=True, dynamic=True)
        for size in SIZES:
            x = replace(case, size=size).input()
            assert_alike(traced(x), layer(x))
        assert len(backend.graphs) <= 2

    def test_soft_heads_take_every_size_in_a_graph_of_its_own(self):
        case = replace(STEM, kernel_size=(3, 2), padding=1)
        layer = ex.attention_from_conv(case.conv(), alpha=1.0)
        backend = Counter()
        traced = torch.compile(frozen(layer), backend=backend, fullgraph=True)
        for size in SIZES[:3]:
            x = replace(case, size=size).input()
            assert_alike(traced(x), layer(x))
        assert len(backend.graphs) <= 3
        # One smoothing for all of them; heads of their own go together, too.
        alone = Counter()
        layer.alpha.requires_grad_()
        torch.compile(layer, backend=alone, fullgraph=True)(case.input())
        assert max(backend.graphs) < max(alone.graphs) < 100

    def test_training_and_evaluation_take_turns(self):
        layer, backend = ex.attention_from_conv(FEW.conv(), alpha=0.7), Counter()
        traced, x = torch.compile(layer, backend=backend, fullgraph=True), FEW.input()
        descent = torch.optim.SGD([layer.alpha, layer.centers], lr=1e-3)
        for _ in range(4):
            traced(x).square().sum().backward()
            descent.step()
            with torch.no_grad():
                assert_alike(traced(x), layer(x))
        assert len(backend.graphs) == 2

    def test_soft_heads_beside_saturated_ones(self):
        layer = frozen(ex.attention_from_conv(BASE.conv(), alpha=0.7))
        layer.alpha[[0, 3]] = 60.0
        traced, x = (
            torch.compile(layer, backend=Counter(), fullgraph=True),
            BASE.input(),
        )
        assert_alike(traced(x), layer(x))

    def test_long_axes_are_smoothed_in_bands(self):
        case = replace(BASE, size=(4, 300))
        layer = frozen(ex.attention_from_conv(case.conv(), alpha=2.0))
        traced = torch.compile(layer, backend="aot_eager", fullgraph=True)
        x = case.input().requires_grad_()
        outputs = [function(x) for function in (traced, layer)]
        assert_alike(*outputs)
        assert_alike(*(torch.autograd.grad(y.square().sum(), x)[0] for y in outputs))

    @pytest.mark.parametrize("change", CHANGES)
    def test_changes_are_seen(self, change: Callable[[nn.Module], None]):
        layer, backend = frozen(ex.attention_from_conv(FEW.conv())), Counter()
        traced, x = torch.compile(layer, backend=backend, fullgraph=True), FEW.input()
        before = traced(x).detach()
        assert_alike(traced(x), layer(x))
        assert len(backend.graphs) == 1
        change(layer)
        assert (layer(x) - before).abs().max() > 1e-3
        assert_alike(traced(x), layer(x))
        with torch.no_grad():
            assert_alike(traced(x), layer(x))

    def test_values_that_are_not_finite_are_compared_as_well(self):
        layer, backend = frozen(ex.attention_from_conv(FEW.conv())), Counter()
        layer.alpha[0] = torch.nan
        traced = torch.compile(layer, backend=backend, fullgraph=True)
        for _ in range(3):
            assert traced(FEW.input()).isnan().all()
        assert len(backend.graphs) == 1

    def test_other_parameters_are_not_mistaken_for_those_of_the_layer(self):
        layer = frozen(ex.attention_from_conv(FEW.conv()))
        soft, x = nn.Parameter(torch.full_like(layer.alpha, 0.7), False), FEW.input()

        def called(alpha: Tensor, x: Tensor) -> Tensor:
            return func.functional_call(layer, {"alpha": alpha}, (x,))

        traced = torch.compile(called, backend="aot_eager", fullgraph=True)
        for alpha in (layer.alpha, soft):
            assert_alike(traced(alpha, x), called(alpha, x))
        whole = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert_alike(whole(x), layer(x))
        found = func.functional_call(whole, {"_orig_mod.alpha": soft}, (x,))
        assert_alike(found, called(soft, x))

    def test_parametrised_strengths_are_followed(self):
        layer = parametrised_layer()
        traced, x = torch.compile(layer, backend="aot_eager"), FEW.input()
        assert_alike(traced(x), layer(x))
        with torch.no_grad():
            layer.parametrizations.alpha.original.fill_(0.2)
        assert_alike(traced(x), layer(x))

    def test_without_guards_nothing_is_baked_in(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(placement, "_IS_GUARDED", False)
        layer = frozen(ex.attention_from_conv(FEW.conv()))
        traced, x = (
            torch.compile(layer, backend="aot_eager", fullgraph=True),
            FEW.input(),
        )
        for _ in range(2):
            assert_alike(traced(x), layer(x))
            layer.alpha.data.fill_(0.7)


class Swapped(nn.Module):
    """Calls a layer with strengths that are not its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = frozen(ex.attention_from_conv(FEW.conv()))
        self.strength = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.strength.expand_as(self.layer.alpha)
        return func.functional_call(self.layer, {"alpha": alpha}, (x,))


def parametrised_layer() -> nn.Module:
    layer = frozen(ex.attention_from_conv(FEW.conv(), alpha=0.7))
    parametrize.register_parametrization(layer, "alpha", nn.Softplus())
    return layer


def mixed_network() -> nn.Module:
    return (
        nn
        .Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4),
            nn.Conv2d(8, 4, 1, stride=2),
            nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate"),
            nn.Conv2d(4, 4, (4, 3), padding="same", padding_mode="circular"),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        .double()
        .eval()
    )
