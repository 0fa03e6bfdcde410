"""The laws of ``laws.py``, on the list of cases and on random convolutions."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import expressivity as ex
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, CASES, DTYPES, Case, cases

over_cases = pytest.mark.parametrize("case", CASES, ids=str)


@over_cases
def test_layer_is_the_literal_attention_of_theorem_1(case: Case) -> None:
    conv, x, alpha = case.conv(), case.input(batch=1), 0.7
    with torch.no_grad():
        output = ex.attention_from_conv(conv, alpha=alpha)(x)
    expected = oracles.literal_conversion(conv, alpha)(x)
    atol = laws.ROUNDING * oracles.output_scale(conv, x)
    torch.testing.assert_close(output, expected, rtol=0, atol=atol)


@over_cases
@pytest.mark.parametrize("alpha", [0.05, 2.0, 9.0, 40.0])
def test_equals_convolution_within_the_worst_case(case: Case, alpha: float) -> None:
    conv = case.conv()
    attention = ex.attention_from_conv(conv, alpha=alpha)
    laws.assert_equals_convolution(attention, conv, case.input(), alpha=alpha)


@given(cases(), st.floats(0.02, 60))
def test_any_convolution_equals_within_the_worst_case(case: Case, alpha: float) -> None:
    conv = case.conv()
    for strategy in ("separable", "fused", "dense"):
        attention = ex.attention_from_conv(conv, alpha=alpha, strategy=strategy)
        laws.assert_equals_convolution(attention, conv, case.input(), alpha=alpha)


@given(cases(), st.sampled_from(DTYPES))
def test_default_alpha_is_exact_up_to_rounding(case: Case, dtype: torch.dtype) -> None:
    conv = case.conv(dtype)
    attention = ex.attention_from_conv(conv)
    alpha = attention.alpha[0].item()
    laws.assert_equals_convolution(
        attention, conv, case.input(dtype=dtype), alpha=alpha
    )


@over_cases
def test_worst_case_is_the_brute_force_operators(case: Case) -> None:
    laws.assert_worst_case_is_exact(case.conv(), case.size, alpha=0.8)


@given(cases(), st.floats(0.02, 4))
def test_worst_case_of_any_convolution(case: Case, alpha: float) -> None:
    laws.assert_worst_case_is_exact(case.conv(), case.size, alpha=alpha)


@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
def test_worst_case_is_attained(case: Case) -> None:
    laws.assert_worst_case_is_attained(case.conv(), case.size, alpha=1.3)


@given(cases())
def test_error_falls_like_exp_minus_alpha(case: Case) -> None:
    conv, x = case.conv(), case.input()
    assume(laws.first_order_is_visible(conv, x))
    laws.assert_error_decays(conv, x)


@given(cases(), st.floats(3, 12))
def test_first_order_remainder_is_of_second_order(case: Case, alpha: float) -> None:
    laws.assert_first_order(case.conv(), case.input(), alpha=alpha)


@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
def test_first_order_remainder_falls_like_exp_minus_two_alpha(
    case: Case, mode: str
) -> None:
    case = replace(case, padding_mode=mode)
    conv, x = case.conv(), case.input()
    remainders = []
    for alpha in (7.0, 8.0):
        with torch.no_grad():
            predicted = ex.accuracy.first_order_error(conv, x, alpha=alpha)
            error = ex.attention_from_conv(conv, alpha=alpha)(x) - conv(x)
        remainders.append(float((error - predicted).abs().max()))
    assert math.log(remainders[0] / remainders[1]) == pytest.approx(2, rel=0.02)


@over_cases
def test_permuted_heads(case: Case) -> None:
    conv = case.conv()
    attention = ex.attention_from_conv(conv, alpha=1.0, head_dim=3)
    order = torch.randperm(attention.num_heads).tolist()
    laws.assert_head_order_is_irrelevant(attention, case.input(), order)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("strategy", ["separable", "fused"])
@given(case=cases(), data=st.data())
def test_strategies_agree_whatever_the_heads(
    strategy: str, dtype: torch.dtype, case: Case, data: st.DataObject
) -> None:
    attention = ex.attention_from_conv(
        case.conv(), head_dim=data.draw(st.sampled_from([None, 1, 5]))
    )
    scatter_heads(
        attention,
        alphas=data.draw(st.sampled_from([1, 3])),
        reach=data.draw(st.sampled_from([0, 1, 4])),
        seed=data.draw(st.integers(0, 2**20)),
    )
    laws.assert_strategies_agree(attention, case.input(), (strategy, "dense"), dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_content_terms_agree_whatever_the_heads(
    dtype: torch.dtype, case: Case, seed: int
) -> None:
    attention = ex.attention_from_conv(case.conv()).add_content_terms(3)
    scatter_heads(attention, alphas=3, reach=1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (attention.query_weight, attention.content_bias):
            weight.normal_(0, 0.5, generator=generator)
    laws.assert_strategies_agree(attention, case.input(), ("fused", "dense"), dtype)


def scatter_heads(
    attention: ex.RelativeSelfAttention, *, alphas: int, reach: float, seed: int
) -> None:
    """Give heads one of a few α in [0.01, 60], and centers off the grid."""
    generator = torch.Generator().manual_seed(seed)
    heads, axes = attention.centers.shape

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    choices, shifts = 0.01 * 6000 ** uniform(alphas), reach * (uniform(2, axes) - 0.5)
    picked = [torch.randint(n, [heads], generator=generator) for n in (alphas, 2)]
    with torch.no_grad():
        attention.alpha.copy_(choices[picked[0]])
        attention.centers.add_(shifts[picked[1]])


@pytest.mark.parametrize("alpha", [0.01, 1.0, 60.0])
@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
@pytest.mark.parametrize("strategy", ["separable", "fused"])
def test_strategies_agree_from_soft_to_hard(
    strategy: str, case: Case, alpha: float
) -> None:
    attention = ex.attention_from_conv(case.conv(), alpha=alpha)
    laws.assert_strategies_agree(attention, case.input(), (strategy, "dense"))


@given(cases())
def test_unpadded_attention_is_replicate_padding(case: Case) -> None:
    case = replace(case, padding_mode="replicate")
    conv = case.conv()
    attention = ex.attention_from_conv(conv, alpha=40.0)
    assert attention.geometry.canvas_size(case.size) == case.size
    laws.assert_equals_convolution(attention, conv, case.input(), alpha=40.0)


@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
def test_unpadded_attention_never_becomes_zero_padding(case: Case) -> None:
    conv = replace(case, padding_mode="replicate").conv()
    zeros = case.conv()
    constant = torch.ones_like(case.input())
    gap = (zeros(constant) - conv(constant)).abs().max().item()
    assert gap > 0.1
    for alpha in (0.01, 1.0, 40.0, 700.0):
        attention = ex.attention_from_conv(conv, alpha=alpha)
        assert laws.measured_error(attention, conv, constant) < laws.ROUNDING
        assert laws.measured_error(attention, zeros, constant) == pytest.approx(gap)


@over_cases
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_round_trip(case: Case, dtype: torch.dtype) -> None:
    laws.assert_round_trip(case.conv(dtype))


@given(cases(), st.sampled_from(DTYPES))
def test_round_trip_of_any_convolution(case: Case, dtype: torch.dtype) -> None:
    laws.assert_round_trip(case.conv(dtype))


@given(cases(), st.integers(1, 3))
def test_any_head_dim_is_within_its_bound(case: Case, head_dim: int) -> None:
    laws.assert_head_dim_within_bound(case.conv(), case.input(), head_dim=head_dim)


@given(cases(), st.integers(0, 3))
def test_larger_head_dim_is_exact(case: Case, extra: int) -> None:
    enough = min(case.in_channels, case.out_channels) // case.groups
    conv, x = case.conv(), case.input()
    plain = ex.attention_from_conv(conv, alpha=1.0)
    padded = ex.attention_from_conv(conv, alpha=1.0, head_dim=enough + extra)
    assert ex.accuracy.truncation_error(conv, enough + extra).max() <= laws.ROUNDING
    atol = laws.ROUNDING * laws.output_bound(conv, x)
    assert laws.measured_error(padded, plain, x) <= atol
    assert torch.equal(
        ex.conv_from_attention(ex.attention_from_conv(conv, head_dim=enough)).weight,
        conv.weight,
    )


def test_a_case_is_called_by_what_was_changed() -> None:
    assert str(BASE) == "base"
    assert str(replace(BASE, stride=(1, 3), bias=False)) == "stride=(1,3) bias=False"
    assert len({str(case) for case in CASES}) == len(CASES)


@given(cases())
def test_every_random_case_is_one_that_torch_takes(case: Case) -> None:
    assert case.conv()(case.input()).numel() > 0
