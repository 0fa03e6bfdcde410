"""One answer in every mode: recorded, frozen, transformed; any batch, any lattice."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, Case
from tests.modes import BY_NAME, MODES, Mode

pytestmark = [
    # Torch's own forward-mode derivatives script a function.
    pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]
BATCHES = (0, 1, 2, 3)
SPARSE = replace(
    BASE, kernel_size=(3, 3), dilation=8, padding=0, size=(17, 17), out_channels=6
)
SPARSE_3D = replace(
    BASE_3D, kernel_size=(3, 3, 3), dilation=2, padding=0, size=(5, 5, 5)
)

over_modes = pytest.mark.parametrize("mode", MODES, ids=str)


def saturated(case: Case) -> nn.Module:
    return ex.attention_from_conv(case.conv())


def soft(case: Case) -> nn.Module:
    return ex.attention_from_conv(case.conv(), alpha=0.8)


def with_moved_centers(case: Case) -> nn.Module:
    """Saturated heads, two of which were moved so that no lattice is worth it."""
    layer = saturated(case)
    with torch.no_grad():
        layer.centers[0] += 3
        layer.centers[-1] -= 2
    return layer


def soft_and_saturated(case: Case) -> nn.Module:
    layer = saturated(case)
    with torch.no_grad():
        layer.alpha[::2] = torch.linspace(0.3, 2, len(layer.alpha[::2]))
        layer.centers[::3] += 0.3
    return layer


def with_two_projections(case: Case) -> nn.Module:
    return ex.attention_from_conv(case.conv(), alpha=0.8, head_dim=2)


def on_one_tap(case: Case) -> nn.Module:
    """Saturated heads that all look at the same pixel."""
    layer = saturated(case)
    with torch.no_grad():
        layer.centers.zero_()
    return layer


def with_tables(case: Case) -> nn.Module:
    """As few heads as tables allow."""
    return ex.attention_from_conv(case.conv(), heads="minimal").requires_grad_()


def with_tables_and_alpha(case: Case) -> nn.Module:
    """Tables with entries that nobody attends to, on top of quadratic scores."""
    layer = soft(case)
    axes = len(case.kernel_size)
    layer.add_table(low=[-2] * axes, size=[4] * axes)
    with torch.no_grad():
        layer.table.normal_()
        layer.table[0].flatten()[0] = -torch.inf
    return layer


def gated(case: Case) -> nn.Module:
    """Heads of all strengths that attend to what tokens hold, too."""
    return with_gates(soft_and_saturated(case))


def gated_and_saturated(case: Case) -> nn.Module:
    return with_gates(saturated(case))


def gated_with_tables(case: Case) -> nn.Module:
    return with_gates(with_tables(case))


def with_gates(layer: nn.Module) -> nn.Module:
    layer.add_content(3)
    with torch.no_grad():
        layer.gate.normal_()
    return layer


LAYERS: dict[str, tuple[Case, Callable[[Case], nn.Module]]] = {
    "dense lattice": (BASE, saturated),
    "dense lattice, one query": (replace(BASE, size=(1, 1), padding=1), saturated),
    "lattice with gaps": (SPARSE, saturated),
    "lattice with gaps, 3 axes": (SPARSE_3D, saturated),
    "no lattice": (replace(BASE, kernel_size=(3, 3)), with_moved_centers),
    "no lattice, strided groups": (
        replace(BASE, kernel_size=(3, 3), stride=2, groups=2),
        with_moved_centers,
    ),
    "no lattice, no bias": (replace(SPARSE, bias=False), with_moved_centers),
    "no lattice, replicate": (
        replace(BASE, padding_mode="replicate", padding=2),
        with_moved_centers,
    ),
    "one tap": (BASE, on_one_tap),
    "one tap, strided": (replace(BASE_1D, stride=2), on_one_tap),
    "soft": (BASE, soft),
    "soft, one query": (replace(BASE, size=(2, 1), padding=(1, 1), stride=3), soft),
    "soft, circular": (replace(BASE_1D, padding_mode="circular"), soft),
    "soft and saturated": (BASE, soft_and_saturated),
    "soft and saturated, groups": (replace(BASE, groups=4), soft_and_saturated),
    "two projections": (replace(BASE, groups=2), with_two_projections),
    "many pixels": (replace(BASE_1D, size=(700,), padding=1), soft_and_saturated),
    "1×1": (replace(BASE, kernel_size=(1, 1), padding=0), saturated),
    "tables": (BASE, with_tables),
    "tables, strided": (replace(BASE, stride=2, groups=2, padding=0), with_tables),
    "tables and alpha": (replace(BASE, padding=(2, 1)), with_tables_and_alpha),
    "gated": (BASE, gated),
    "gated, two projections": (
        replace(BASE, groups=2, stride=2),
        lambda case: with_gates(with_two_projections(case)),
    ),
    "gated, replicate": (
        replace(BASE, padding_mode="replicate", padding=3, bias=False),
        gated,
    ),
    "gated and saturated": (
        replace(BASE_1D, padding_mode="circular", in_channels=8, out_channels=4),
        gated_and_saturated,
    ),
    "tables, gated": (BASE, gated_with_tables),
}
# Other strategies than "separable" do not look at lattices.
EVERYWHERE = (
    "dense lattice",
    "dense lattice, one query",
    "no lattice, replicate",
    "soft, circular",
    "soft and saturated, groups",
    "two projections",
    "gated",
    "gated, two projections",
)


def strategies_of(name: str) -> tuple[str, ...]:
    if name.startswith("tables"):
        return ("normalised", "dense")
    return ("separable", "fused", "dense") if name in EVERYWHERE else ("separable",)


over_layers = pytest.mark.parametrize(
    ("name", "strategy"),
    [(name, strategy) for name in LAYERS for strategy in strategies_of(name)],
)


def reference(layer: nn.Module, x: Tensor) -> Tensor:
    """Return the definition, one image at a time."""
    definition = laws.with_strategy(layer, "dense")
    with torch.no_grad():
        images = [definition(image) for image in x]
        return torch.stack(images) if images else definition(x)


@cache
def built(name: str) -> nn.Module:
    """Return the layer of a name; every mode runs a copy."""
    case, build = LAYERS[name]
    return build(case)


@cache
def defined_output(name: str, batch: int) -> Tensor:
    return reference(built(name), LAYERS[name][0].input(batch))


@cache
def defined_gradients(name: str, batch: int) -> dict[str, Tensor]:
    definition = laws.with_strategy(built(name), "dense")
    return BY_NAME["recorded"].gradients(definition, LAYERS[name][0].input(batch))


def assert_close(found: Tensor, wanted: Tensor, scale: float) -> None:
    atol = laws.ROUNDING * (1 + scale)
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


@over_modes
@over_layers
def test_outputs_are_the_definitions(name: str, strategy: str, mode: Mode) -> None:
    case, _ = LAYERS[name]
    runs = laws.with_strategy(built(name), strategy)
    for batch in BATCHES:
        x = case.input(batch)
        if strategy == "fused" and mode.name == "jvp":
            with pytest.raises(ex.errors.StrategyError, match="forward-mode"):
                mode.output(runs, x)
            continue
        wanted = defined_output(name, batch)
        assert_close(mode.output(runs, x), wanted, float(wanted.abs().sum()) ** 0.5)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.has_a_graph], ids=str)
@over_layers
def test_gradients_are_the_definitions(name: str, strategy: str, mode: Mode) -> None:
    case, _ = LAYERS[name]
    for batch in (1, 2):
        wanted = defined_gradients(name, batch)
        runs = laws.with_strategy(built(name), strategy)
        found = mode.gradients(runs, case.input(batch))
        assert found.keys() <= wanted.keys()
        scale = max(float(gradient.abs().max()) for gradient in wanted.values())
        for key, gradient in found.items():
            assert_close(gradient, wanted[key], 10 * scale)


@over_modes
@pytest.mark.parametrize("case", [SPARSE, SPARSE_3D, BASE], ids=str)
def test_a_conversion_is_its_convolution(case: Case, mode: Mode) -> None:
    conv = case.conv()
    layer = ex.attention_from_conv(conv)
    for batch in BATCHES:
        x = case.input(batch)
        wanted = oracles.exact_convolution(conv, x)
        assert_close(
            mode.output(layer, x), wanted, oracles.output_scale(conv, case.input())
        )


def test_heads_that_share_no_lattice_all_count_while_gradients_are_recorded() -> None:
    conv = nn.Conv2d(4, 6, 3, dilation=8)
    x = torch.randn(1, 4, 17, 17)
    torch.testing.assert_close(ex.attention_from_conv(conv)(x), conv(x))


def test_a_mode_records_what_it_says() -> None:
    layer, x = deepcopy(soft(BASE)), BASE.input()
    assert BY_NAME["positions_recorded"].gradients(layer, x).keys() == {
        "alpha",
        "centers",
    }
    assert BY_NAME["frozen_below_a_recorded_input"].gradients(layer, x).keys() == {"x"}


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "name",
    [
        "lattice with gaps",
        "no lattice",
        "soft and saturated",
        "two projections",
        "gated, two projections",
        "gated and saturated",
    ],
)
def test_compiled_layers_are_the_definition(name: str) -> None:
    torch.compiler.reset()
    case, build = LAYERS[name]
    definition = build(case)
    layer, _ = BY_NAME["positions_frozen"].prepared(definition, case.input())
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for batch in (1, 2):
        x = case.input(batch)
        wanted = reference(definition, x)
        assert_close(compiled(x).detach(), wanted, float(wanted.abs().sum()) ** 0.5)
