"""Relative tables: what they compute, two ways, and what is refused."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import inf
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, func, nn

import expressivity as ex
from expressivity.attention import explain
from expressivity.errors import InputError
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, MODES, Case, cases

WIDE = ([-2, -2], [4, 5])  # further than the kernel of BASE: borders cut it off
WINDOWS = {1: ([-2], [4]), 2: WIDE, 3: ([-1, -2, 0], [2, 4, 1])}
SMALL = {"in_channels": 2, "out_channels": 2, "size": (3, 4)}
per_strategy = pytest.mark.parametrize("strategy", ["normalised", "dense"])
per_axes = pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)


def table_layer(
    case: Case,
    window: tuple[Sequence[int], ...] | None = None,
    *,
    num_heads: int = 3,
    closed: float = 0.2,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> ex.RelativeSelfAttention:
    """Return a layer of the geometry of a case, all random, some entries −∞."""
    conv = case.conv()
    layer = ex.RelativeSelfAttention(
        case.in_channels,
        case.out_channels,
        ex.ConvGeometry.from_conv(conv),
        num_heads=num_heads,
        groups=case.groups,
        dtype=dtype,
        **options,
    )
    low, size, *step = window or WINDOWS[len(case.size)]
    layer.add_table(low, size, step=step[0] if step else None)
    with torch.no_grad():
        layer.alpha.uniform_(0, 0.5)
        layer.bias.normal_()
        layer.table.normal_()
        layer.table.masked_fill_(torch.rand_like(layer.table) < closed, -inf)
    return layer


def literal_twin(layer: ex.RelativeSelfAttention, case: Case) -> Any:
    """Return nested loops over every query and key with the parameters of a layer."""
    blocks = layer.heads().matrices().detach()
    conv = case.conv()
    conv.bias = layer.bias
    window, tables = layer.window, []
    for scores in layer.table.detach():
        tables.append({
            tuple(
                low + step * place
                for low, step, place in zip(window.low, window.step, at, strict=True)
            ): float(scores[at])
            for at in product(*map(range, scores.shape))
        })
    return oracles.LiteralAttention(
        conv,
        layer.alpha.tolist(),
        layer.centers.tolist(),
        torch.stack([torch.block_diag(*head).mT for head in blocks]),
        tables=tables,
    )


def reaches(layer: ex.RelativeSelfAttention, x: Tensor) -> bool:
    try:
        layer(x)
    except InputError:
        return False
    return True


class TestScores:
    @per_strategy
    @pytest.mark.parametrize(
        ("case", "window"),
        [
            (BASE_1D, ([-1], [3])),
            (BASE_1D, ([-7], [15])),
            (replace(BASE_1D, stride=2, size=(9,)), ([-4], [4], [3])),
            (replace(BASE_3D, size=(2, 2, 3)), WINDOWS[3]),
            (replace(BASE, stride=2, groups=2), WIDE),
            (replace(BASE, stride=(1, 3), size=(3, 6)), ([-2, -3], [3, 4], [2, 1])),
            *((replace(BASE, size=(3, 4), padding_mode=m), WIDE) for m in MODES),
        ],
        ids=str,
    )
    @torch.no_grad()
    def test_are_the_quadratic_ones_plus_a_table(
        self, case: Case, window: Any, strategy: str
    ) -> None:
        layer = table_layer(case, window, strategy=strategy, closed=0.1)
        x = case.input()
        expected = literal_twin(layer, case)(x)
        torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)

    def test_probabilities_outside_of_the_window_are_zero(self) -> None:
        layer = table_layer(BASE_1D, ([1], [2]), closed=0.0)
        probabilities = layer.attention_probabilities(size=(7,))  # a canvas of 9 tokens
        keys, queries = torch.arange(9), torch.arange(1, 8)
        inside = ((keys - queries[:, None] - 1) // 2 == 0).expand(3, -1, -1)
        assert torch.equal(probabilities > 0, inside)
        torch.testing.assert_close(
            probabilities.sum(-1), torch.ones(3, 7).double(), rtol=0, atol=1e-15
        )

    def test_content_terms_go_with_a_table_in_dense(self) -> None:
        layer, x = table_layer(BASE, key_dim=2), BASE.input()
        assert explain(layer, x).chosen == "dense"
        before = laws.with_strategy(layer, "dense")(x)
        layer.query_weight = layer.key_weight = None
        torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-12)

    @torch.no_grad()
    def test_a_wide_table_of_zeros_changes_nothing(self) -> None:
        layer = ex.attention_from_conv(BASE.conv(), alpha=0.5)
        x = BASE.input()
        before = layer(x)
        layer.add_table((-10, -10), (21, 21))
        torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-12)

    def test_what_is_far_from_the_largest_entry_is_not_lost(self) -> None:
        """At a border that hides it, an entry of e^−2000 of the largest is all."""
        layer = table_layer(BASE_1D, ([-1], [3]), dtype=torch.float32, closed=0.0)
        layer.geometry = ex.ConvGeometry.create((1,))
        layer.table.data[:, 0], layer.table.data[:, 1:] = 2000, 0
        x = torch.randn(1, 4, 5)
        assert_agree(layer, x, torch.float32)


@given(cases(), st.data())
def test_strategies_agree(case: Case, data: st.DataObject) -> None:
    axes = len(case.size)
    numbers = {"low": (-4, 1), "size": (1, 4), "step": (1, 3)}
    window = tuple(
        data.draw(st.lists(st.integers(*bounds), min_size=axes, max_size=axes))
        for bounds in numbers.values()
    )
    head_dim = data.draw(st.sampled_from([None, 1, 5]))
    torch.manual_seed(case.seed)
    layer = table_layer(case, window, head_dim=head_dim, closed=0.1)
    x = case.input()
    assume(reaches(layer, x))
    laws.assert_strategies_agree(layer, x, ("normalised", "dense"))
    laws.assert_head_order_is_irrelevant(layer, x, [2, 0, 1])


def assert_agree(layer: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    laws.assert_strategies_agree(layer, x, ("normalised", "dense"), dtype)


@per_axes
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_every_dtype(case: Case, dtype: torch.dtype) -> None:
    case = replace(case, padding=2)
    layer, x = table_layer(case), case.input(dtype=dtype)
    assert layer.to(dtype)(x).dtype == dtype
    wide = copy.deepcopy(layer).double()
    wide.strategy = "dense"
    with torch.no_grad():
        expected, found = wide(x.double()), layer(x).double()
        wide.bias.abs_()
        for weight in (wide.value_weight, wide.output_weight):
            if weight is not None:
                weight.abs_()
        allowed = 8 * torch.finfo(dtype).eps * wide(x.double().abs())
    assert ((found - expected).abs() <= allowed).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert (
            layer(x).dtype
            == nn.functional.conv1d(
                x[:, :, :, *[0] * (x.dim() - 3)], x[:, :, :1, *[0] * (x.dim() - 3)]
            ).dtype
        )


class TestDerivatives:
    @per_strategy
    @pytest.mark.parametrize("window", [WIDE, ([0, 0], [2, 1])], ids=str)
    def test_are_finite_differences(self, strategy: str, window: Any) -> None:
        case = replace(BASE, **SMALL)
        layer = table_layer(case, window, strategy=strategy, head_dim=1, closed=0.0)
        names = [name for name, _ in layer.named_parameters()]

        def function(x: Tensor, *values: Tensor) -> Tensor:
            parameters = dict(zip(names, values, strict=True))
            return func.functional_call(layer, parameters, (x,))

        inputs = (case.input(1).requires_grad_(), *layer.parameters())
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)

    @per_strategy
    def test_closed_entries_receive_none(self, strategy: str) -> None:
        layer = table_layer(BASE, strategy=strategy)
        layer(BASE.input()).square().sum().backward()
        closed = layer.table.isneginf()
        assert closed.any()
        assert not layer.table.grad[closed].any()
        assert layer.table.grad[~closed].all()
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
        optimiser.step()
        layer.alpha.data.clamp_(min=0)
        assert torch.equal(layer.table.isneginf(), closed)
        assert layer(BASE.input()).isfinite().all()

    @torch.no_grad()
    def test_a_kept_kernel_follows_its_parameters(self) -> None:
        layer, x = table_layer(BASE, ([-1, 0], [3, 2]), closed=0.0), BASE.input()
        for parameter in [*layer.parameters()]:
            before = layer(x)
            assert torch.equal(layer(x), before)
            parameter.mul_(1.5).add_(0.1)
            assert (layer(x) - before).abs().max() > 1e-3
            expected = laws.with_strategy(layer, "dense")(x)
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
