"""A law that is shown something broken must fail."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from tests import fuzz, laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, MODES, Case
from tests.fuzz import Trial
from tests.modes import BY_NAME

ALPHA = 8.0
one_of_each = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)


def flip_centers(attention: nn.Module) -> None:
    attention.centers.neg_()


def swap_two_heads(attention: nn.Module) -> None:
    attention.centers[:2] = attention.centers[:2].flip(0).clone()


def move_one_head(attention: nn.Module) -> None:
    attention.centers[0, 0] += 1


def soften_one_head(attention: nn.Module) -> None:
    attention.alpha[0] = ALPHA - 4


def soften_all_heads(attention: nn.Module) -> None:
    attention.alpha.fill_(ALPHA - 2)


def lose_the_bias(attention: nn.Module) -> None:
    attention.bias.zero_()


def change_one_weight(attention: nn.Module) -> None:
    attention.output_weight[-1, 0, 0, 0] += 0.1


def change_one_ulp(attention: nn.Module) -> None:
    weight = attention.output_weight[0, 0, 0, 0]
    weight.copy_(weight.nextafter(2 * weight))


SABOTAGES = [
    flip_centers,
    swap_two_heads,
    move_one_head,
    soften_one_head,
    soften_all_heads,
    lose_the_bias,
    change_one_weight,
]


def sabotaged(
    conv: nn.Module, sabotage: Callable[[nn.Module], None], **options: Any
) -> nn.Module:
    attention = ex.attention_from_conv(conv, **options)
    with torch.no_grad():
        sabotage(attention)
    return attention


class TestEqualsConvolution:
    @one_of_each
    def test_passes_what_is_whole(self, case: Case) -> None:
        conv = case.conv()
        attention = ex.attention_from_conv(conv, alpha=ALPHA)
        laws.assert_equals_convolution(attention, conv, case.input(), alpha=ALPHA)

    @one_of_each
    @pytest.mark.parametrize("sabotage", SABOTAGES)
    def test_fails_what_is_broken(
        self, case: Case, sabotage: Callable[[nn.Module], None]
    ) -> None:
        conv = case.conv()
        attention = sabotaged(conv, sabotage, alpha=ALPHA)
        with pytest.raises(AssertionError, match="of what is allowed"):
            laws.assert_equals_convolution(attention, conv, case.input(), alpha=ALPHA)

    @pytest.mark.parametrize(("mode", "other"), list(permutations(MODES, 2)))
    def test_fails_a_wrong_padding_mode(self, mode: str, other: str) -> None:
        conv, wrong = (replace(BASE, padding_mode=m).conv() for m in (mode, other))
        attention = ex.attention_from_conv(wrong, alpha=ALPHA)
        with pytest.raises(AssertionError, match="of what is allowed"):
            laws.assert_equals_convolution(attention, conv, BASE.input(), alpha=ALPHA)


class TestWorstCase:
    @pytest.mark.parametrize("factor", [1 - 1e-9, 1 + 1e-9])
    def test_fails_a_worst_case_that_is_not_attained(self, factor: float) -> None:
        def wrong(*arguments: Any, **options: Any) -> Tensor:
            return factor * ex.worst_case_error(*arguments, **options)

        with pytest.raises(AssertionError, match="not close"):
            laws.assert_worst_case_is_attained(
                BASE.conv(), BASE.size, alpha=1.0, exact=wrong
            )

    @pytest.mark.parametrize("factor", [1 - 1e-9, 1 + 1e-9])
    def test_fails_a_worst_case_that_is_not_exact(self, factor: float) -> None:
        def wrong(*arguments: Any, **options: Any) -> Tensor:
            return factor * ex.worst_case_error(*arguments, **options)

        with pytest.raises(AssertionError, match="not close"):
            laws.assert_worst_case_is_exact(
                BASE.conv(), BASE.size, alpha=1.0, exact=wrong
            )

    def test_fails_a_bound_that_some_size_exceeds(self) -> None:
        conv = Case(kernel_size=(1, 1), size=(12, 12), padding=0).conv()

        def wrong(conv: nn.Module, *, alpha: float, size: Any = None) -> Tensor:
            exact = ex.worst_case_error(conv, alpha=alpha, size=size)
            return exact if size else 0.999 * exact

        with pytest.raises(AssertionError, match="of the any-size bound"):
            laws.assert_worst_case_is_exact(conv, (12, 12), alpha=1.0, exact=wrong)


class TestDecay:
    @pytest.mark.parametrize("slope", [0.5, 0.97, 1.03, 2.0])
    def test_fails_another_slope(self, slope: float) -> None:
        def wrong(conv: nn.Module, *, alpha: float) -> nn.Module:
            return ex.attention_from_conv(conv, alpha=slope * alpha)

        with pytest.raises(AssertionError, match="slope"):
            laws.assert_error_decays(BASE.conv(), BASE.input(), build=wrong)

    @pytest.mark.parametrize("factor", [-1.0, 0.0, 0.99, 1.01, 2.0])
    def test_fails_another_first_order_term(self, factor: float) -> None:
        def wrong(*arguments: Any, **options: Any) -> Tensor:
            return factor * ex.accuracy.first_order_error(*arguments, **options)

        with pytest.raises(AssertionError, match="remainder is"):
            laws.assert_first_order(BASE.conv(), BASE.input(), alpha=9.0, predict=wrong)


class DependsOnStrategy(ex.RelativeSelfAttention):
    """Dense is off by a billionth."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + 1e-9 * (self.strategy == "dense"))


class DependsOnOrder(ex.RelativeSelfAttention):
    """The first head also moves the output a little."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-9 * self.centers[0].sum()


class TestRewriting:
    @pytest.mark.parametrize("strategy", ["separable", "fused"])
    def test_fails_strategies_that_differ(self, strategy: str) -> None:
        attention = ex.attention_from_conv(BASE.conv(), alpha=1.0)
        attention.__class__ = DependsOnStrategy
        with pytest.raises(AssertionError, match="not close"):
            laws.assert_strategies_agree(attention, BASE.input(), (strategy, "dense"))

    def test_fails_a_layer_that_knows_the_order_of_its_heads(self) -> None:
        attention = ex.attention_from_conv(BASE.conv(), alpha=1.0)
        attention.__class__ = DependsOnOrder
        order = range(attention.num_heads)[::-1]
        with pytest.raises(AssertionError, match="not close"):
            laws.assert_head_order_is_irrelevant(attention, BASE.input(), order)

    @pytest.mark.parametrize(
        "sabotage", [flip_centers, swap_two_heads, lose_the_bias, change_one_ulp]
    )
    def test_fails_a_round_trip_that_changes_a_bit(
        self, sabotage: Callable[[nn.Module], None]
    ) -> None:
        conv = replace(BASE, kernel_size=(3, 3)).conv()
        with pytest.raises(AssertionError, match=r"(weight|bias) changed"):
            laws.assert_round_trip(conv, there=lambda c: sabotaged(c, sabotage))

    def test_fails_a_round_trip_through_another_dtype(self) -> None:
        def wrong(conv: nn.Module) -> nn.Module:
            return ex.attention_from_conv(deepcopy(conv).float())

        with pytest.raises(AssertionError, match="dtype changed"):
            laws.assert_round_trip(BASE.conv(), there=wrong)

    def test_fails_a_round_trip_that_changes_an_option(self) -> None:
        def wrong(conv: nn.Module) -> nn.Module:
            attention = ex.attention_from_conv(conv)
            attention.geometry = replace(attention.geometry, padding_mode="circular")
            return attention

        with pytest.raises(AssertionError, match="options changed"):
            laws.assert_round_trip(BASE.conv(), there=wrong)

    def test_fails_a_truncation_that_cuts_more_than_it_says(self) -> None:
        def wrong(conv: nn.Module, *, head_dim: int) -> nn.Module:
            return ex.attention_from_conv(conv, head_dim=head_dim - 2)

        conv = BASE.conv()
        with torch.no_grad():
            conv.weight[:, 0] = 0  # rank 3: nothing is cut
        with pytest.raises(AssertionError, match="above the tail"):
            laws.assert_head_dim_within_bound(
                conv, BASE.input(), head_dim=3, build=wrong
            )


class TestOracles:
    @pytest.mark.parametrize("sabotage", SABOTAGES)
    def test_nested_loops_see_every_sabotage(
        self, sabotage: Callable[[nn.Module], None]
    ) -> None:
        conv, x = BASE.conv(), BASE.input(batch=1)
        expected = oracles.literal_conversion(conv, ALPHA)(x)
        with torch.no_grad():
            found = sabotaged(conv, sabotage, alpha=ALPHA)(x)
        assert (found - expected).abs().max() > 1e-4


class TestFuzz:
    def test_says_how_many_it_compared(self, capsys: pytest.CaptureFixture) -> None:
        assert fuzz.main(["--cases", "50"]) == 0
        assert "50 random convolutions, 0 mismatches" in capsys.readouterr().out

    @pytest.mark.parametrize("error", [1.1, float("inf"), float("nan")])
    def test_prints_the_trial_that_fails(
        self,
        error: float,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture,
    ) -> None:
        bad = list(fuzz.random_trials(5, seed=3))[-1]
        monkeypatch.setattr(
            Trial, "largest_error", lambda trial: error if trial == bad else 0.0
        )
        assert fuzz.main(["--cases", "9", "--seed", "3"]) == 1
        printed = capsys.readouterr().out
        assert "9 random convolutions, 1 mismatches" in printed
        assert repr(bad) in printed

    @pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
    @pytest.mark.parametrize("name", ["recorded", "no_grad", "vmap"])
    @pytest.mark.parametrize("sabotage", SABOTAGES)
    def test_sees_every_sabotage(
        self,
        sabotage: Callable[[nn.Module], None],
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        build = ex.attention_from_conv

        def broken(conv: nn.Module, **options: Any) -> nn.Module:
            attention = build(conv, **options)
            with torch.no_grad():
                sabotage(attention)
            return attention

        monkeypatch.setattr(ex, "attention_from_conv", broken)
        trial = Trial(BASE, BY_NAME[name], 2, torch.float64, cast=False, moves=())
        assert trial.largest_error() > 1

    @pytest.mark.parametrize("cast", [True, False])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_sees_one_moved_head_in_half_precision(
        self, dtype: torch.dtype, cast: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = ex.attention_from_conv

        def broken(conv: nn.Module) -> nn.Module:
            attention = build(conv)
            with torch.no_grad():
                move_one_head(attention)
            return attention

        trial = Trial(BASE, BY_NAME["frozen"], 1, dtype, cast, moves=())
        assert trial.largest_error() <= 1
        monkeypatch.setattr(ex, "attention_from_conv", broken)
        assert trial.largest_error() > 1
