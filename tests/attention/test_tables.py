"""A layer with tables is an ordinary module; what it refuses; how it is traced."""

import copy
import io
from dataclasses import replace
from math import inf
from typing import Any

import pytest
import torch

import expressivity as ex
from expressivity.attention import explain
from expressivity.errors import ArgumentError, InputError, StrategyError
from expressivity.geometry.window import Window
from expressivity.heads.parameters import Heads
from expressivity.heads.tables import Table
from expressivity.strategies.normalised import Normalised
from tests import allocations
from tests.cases import BASE, BASE_1D
from tests.compilers import needs_inductor
from tests.heads.test_tables import WIDE, per_strategy, table_layer


class TestModule:
    def test_state_dict_carries_a_table_over(self) -> None:
        source, target = table_layer(BASE), table_layer(BASE)
        assert "table" in source.state_dict()
        target.load_state_dict(source.state_dict())
        assert torch.equal(target(BASE.input()), source(BASE.input()))
        with pytest.raises(RuntimeError, match=r"size mismatch for table"):
            table_layer(BASE, ([0, 0], [1, 1])).load_state_dict(source.state_dict())

    def test_copies_and_casts(self) -> None:
        layer, x = table_layer(BASE), BASE.input()
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for twin in (copy.deepcopy(layer), loaded):
            assert repr(twin) == repr(layer)
            assert torch.equal(twin(x), layer(x))
            twin.table.data.zero_()
            assert layer.table.any()
        assert layer.float().table.dtype == torch.float32
        assert layer.to("meta").table.is_meta

    def test_is_described(self) -> None:
        layer = table_layer(BASE, ([-1, -2], [2, 3], [2, 2]))
        text = "low=(-1, -2), size=(2, 3), step=(2, 2)"
        assert text in repr(layer)

    def test_is_drawn(self) -> None:
        pytest.importorskip("matplotlib")
        figure = ex.plots.plot_attention_maps(
            table_layer(BASE), size=(6, 5), query=(2, 2)
        )
        assert figure.axes

    def test_explained(self) -> None:
        layer, x = table_layer(BASE, ([-1, 0], [3, 2])), BASE.input()
        explanation = explain(layer, x)
        assert explanation.chosen == "normalised"
        assert "a table need not factorise" in str(explanation.reasons["separable"])
        assert "is no inner product" in str(explanation.reasons["fused"])
        assert explanation.reasons["dense"] is None
        assert explanation.details == ("3 heads in a kernel of size 3×2",)
        cut = explain(table_layer(BASE), x)
        assert "in 8 parts where borders cut it off" in cut.details[0]

    def test_dense_says_what_memory_it_takes(self) -> None:
        case = replace(BASE, size=(16, 14))
        layer, x = table_layer(case, strategy="dense"), case.input()
        stated = float(explain(layer, x).details[0].split()[5]) * 2**30 / 2
        with torch.no_grad():
            taken = allocations.peak_bytes(lambda: layer(x))
        assert 0.95 * taken < stated < 2 * taken, stated / taken


class TestRefusals:
    @per_strategy
    def test_a_query_that_a_head_does_not_reach_a_token_from(
        self, strategy: str
    ) -> None:
        layer = table_layer(BASE_1D, ([-2], [5]), strategy=strategy, closed=0.0)
        with torch.no_grad():
            layer.table[1, 1:] = -inf  # two to the left of 1 is no token
        message = r"head 1 .* query at \(1,\) finds one of the \(9,\) tokens"
        with pytest.raises(InputError, match=message):
            layer(BASE_1D.input())
        with pytest.raises(InputError, match=message):
            layer.attention_probabilities(size=(7,))
        with pytest.raises(InputError, match=message):
            explain(layer, BASE_1D.input())
        with torch.no_grad():
            layer.table[1, 1] = 0
        assert layer(BASE_1D.input()).isfinite().all()

    @per_strategy
    def test_a_window_off_the_canvas(self, strategy: str) -> None:
        layer = table_layer(BASE_1D, ([2], [2]), strategy=strategy, closed=0.0)
        message = "axis 0: the window of displacements from 2 to 3 .* none from 7"
        with pytest.raises(InputError, match=message):
            layer(BASE_1D.input())

    def test_windows_of_no_size(self) -> None:
        layer = ex.attention_from_conv(BASE.conv())
        for low, size, step, message in (
            ([0], [1], [1], "works over 2 axes"),
            ([0, 0], [1], [1, 1], "one integer per axis each"),
            ([0, 0], [1, 0], None, "at least 1"),
            ([0, 0], [1, 1], [0, 1], "at least 1"),
        ):
            with pytest.raises(ArgumentError, match=message):
                layer.add_table(low, size, step=step)
        assert layer.table is None
        with pytest.raises(ArgumentError, match=r"needs shape \(heads, \*\(2,\)\)"):
            Table(torch.zeros(1, 3), Window((0,), (2,), (1,)))

    def test_normalised_without_a_table(self) -> None:
        layer = ex.attention_from_conv(BASE.conv(), strategy="normalised")
        with pytest.raises(StrategyError, match="without a table heads attend to the"):
            layer(BASE.input())
        heads: Heads = layer.heads()
        with pytest.raises(StrategyError, match="needs heads with a table"):
            Normalised().attend(heads, layer._grid(heads, BASE.size), BASE.input())


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestGraphs:
    @pytest.mark.parametrize(
        ("strategy", "window"),
        [("normalised", ([-1, 0], [3, 2])), ("normalised", WIDE), ("dense", WIDE)],
        ids=str,
    )
    def test_compiled(self, strategy: str, window: Any) -> None:
        torch.compiler.reset()
        layer = table_layer(BASE, window, strategy=strategy)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for size in [(6, 5), (5, 9)]:
            x = replace(BASE, size=size).input()
            found, wanted = (
                torch.autograd.grad(f(x).square().sum(), [*layer.parameters()])
                for f in (compiled, layer)
            )
            for one, other in zip(found, wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
            with torch.no_grad():
                torch.testing.assert_close(compiled(x), layer(x), rtol=0, atol=1e-12)

    @per_strategy
    def test_exported(self, strategy: str) -> None:
        layer = table_layer(BASE, strategy=strategy)
        batch = torch.export.Dim("batch")
        program = torch.export.export(
            layer, (BASE.input(),), dynamic_shapes=({0: batch},)
        )
        x = BASE.input(3)
        torch.testing.assert_close(program.module()(x), layer(x), rtol=0, atol=1e-12)

    @needs_inductor
    def test_inductor(self) -> None:
        torch.compiler.reset()
        layer = table_layer(BASE_1D, ([-1], [3]))
        x = BASE_1D.input()
        torch.testing.assert_close(
            torch.compile(layer)(x), layer(x), rtol=0, atol=1e-12
        )
