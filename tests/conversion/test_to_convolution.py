"""From attention back to the convolution that it computes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, NotOneHotError
from expressivity.heads.leak import alpha_for_leak
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, Case, cases
from tests.conversion.test_to_attention import NO_NUMBERS, over_cases, over_dtypes


class TestWayBack:
    def test_keeps_mode_and_gradients(self) -> None:
        conv = BASE.conv().eval()
        conv.bias.requires_grad_(False)
        back = ex.conv_from_attention(ex.attention_from_conv(conv))
        assert not back.training
        assert back.weight.requires_grad
        assert not back.bias.requires_grad

    def test_survives_materialised_projections(self) -> None:
        conv = BASE.conv()
        attention = ex.attention_from_conv(conv).materialize_projections()
        assert torch.equal(ex.conv_from_attention(attention).weight, conv.weight)

    def test_content_terms_that_are_zero_do_not_matter(self) -> None:
        conv = BASE.conv()
        attention = ex.attention_from_conv(conv).add_content_terms(3)
        assert torch.equal(ex.conv_from_attention(attention).weight, conv.weight)

    @pytest.mark.parametrize("name", ["query_weight", "content_bias"])
    def test_refuses_heads_that_look_at_the_tokens(self, name: str) -> None:
        attention = ex.attention_from_conv(BASE.conv()).add_content_terms(3)
        nn.init.constant_(getattr(attention, name), 1e-9)
        for options in ({}, {"tolerance": 1.0}):
            with pytest.raises(NotOneHotError, match="depend on the tokens"):
                ex.conv_from_attention(attention, **options)
        with pytest.raises(NotOneHotError, match="depend on the tokens"):
            ex.worst_case_error(attention, BASE.conv())

    @given(cases(), st.randoms(use_true_random=False))
    def test_heads_in_any_order_and_several_on_a_tap(
        self, case: Case, random: Any
    ) -> None:
        conv = case.conv()
        once = ex.attention_from_conv(conv)
        heads = [*range(once.num_heads), random.randrange(once.num_heads)]
        random.shuffle(heads)
        attention = ex.RelativeSelfAttention(
            conv.in_channels,
            conv.out_channels,
            once.geometry,
            num_heads=len(heads),
            groups=conv.groups,
            dtype=torch.float64,
            bias=False,
        )
        with torch.no_grad():
            attention.alpha.fill_(40)
            attention.centers.copy_(once.centers[heads])
        x = case.input()
        back = ex.conv_from_attention(attention)
        atol = laws.ROUNDING * laws.output_bound(back, x)
        assert laws.measured_error(attention, back, x) <= atol

    def test_refuses_soft_heads_and_says_how_soft(self) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with torch.no_grad():
            attention.alpha[4] = 8.0
        leak = f"{ex.accuracy.leak(8.0, axes=2):.3g}"
        message = f"1 of 6 heads are not one-hot: head 4 .alpha=8.* gives {leak} "
        with pytest.raises(NotOneHotError, match=message):
            ex.conv_from_attention(attention)

    @over_dtypes
    def test_one_hot_means_up_to_rounding(self, dtype: torch.dtype) -> None:
        attention = ex.attention_from_conv(BASE.conv(dtype))
        limit = alpha_for_leak(torch.finfo(dtype).eps, axes=2)
        with torch.no_grad():
            attention.alpha.fill_(1.02 * limit)
            assert ex.conv_from_attention(attention)
            attention.alpha.fill_(0.98 * limit)
            with pytest.raises(NotOneHotError, match="6 of 6 heads are not one-hot"):
                ex.conv_from_attention(attention)

    def test_refuses_strengths_out_of_range(self) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with torch.no_grad():
            attention.alpha[1] = -1.0
        with pytest.raises(ArgumentError, match="at least 0, got -1 in head 1"):
            ex.conv_from_attention(attention)

    def test_refuses_heads_without_locality(self) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with torch.no_grad():
            attention.alpha[1] = 0.0
        with pytest.raises(NotOneHotError, match="1 of 6 heads are not one-hot"):
            ex.conv_from_attention(attention)
        with pytest.raises(NotOneHotError, match="attends to a whole canvas"):
            ex.conv_from_attention(attention, tolerance=1e3)

    def test_refuses_heads_aimed_outside_the_kernel(self) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with torch.no_grad():
            attention.centers[3, 1] += 1
        with pytest.raises(NotOneHotError, match="head 3 attends to the displacement"):
            ex.conv_from_attention(attention)
        with pytest.raises(NotOneHotError, match="nearest convolution differs by"):
            ex.conv_from_attention(attention, tolerance=1e-3)

    @pytest.mark.parametrize(
        "padding", [((0, 1), (1, 1)), ((1, 2), (0, 1)), ((2, 0), (0, 0))], ids=str
    )
    def test_refuses_padding_that_torch_lacks(
        self, padding: tuple[tuple[int, int], ...]
    ) -> None:
        geometry = ex.ConvGeometry((3, 2), (1, 1), padding, (1, 1))
        layer = ex.RelativeSelfAttention(2, 2, geometry)
        nn.init.constant_(layer.alpha, 30.0)
        with pytest.raises(ArgumentError, match="pads both sides alike or 'same'"):
            ex.conv_from_attention(layer)

    @over_cases
    def test_nearest_convolution_states_its_error(self, case: Case) -> None:
        attention = ex.attention_from_conv(case.conv(), alpha=2.0)
        nearest = ex.conv_from_attention(attention, tolerance=1e3)
        worst = ex.worst_case_error(attention, nearest.conv, size=case.size).max()
        rounding = laws.ROUNDING * float(laws.weight_norms(case.conv()).max())
        assert 0 < worst <= nearest.error + rounding
        x = case.input()
        error = laws.measured_error(attention, nearest.conv, x)
        assert error <= nearest.error * x.abs().max() + rounding

    def test_nearest_convolution_is_nearest_in_the_frobenius_norm(self) -> None:
        case = replace(
            BASE_1D, size=(24,), padding=1, padding_mode="circular", bias=False
        )
        attention = ex.attention_from_conv(case.conv(), alpha=0.8)
        with torch.no_grad():
            attention.centers.add_(0.3)
        found = ex.conv_from_attention(attention, tolerance=1e3).conv.weight
        # Interior rows of the operator, as kernels of all displacements.
        rows = oracles.operator(attention, case.in_channels, case.size)
        rows = rows.unflatten(0, (case.in_channels, -1))
        middle = rows[..., 11:14, :, 12].permute(2, 0, 1)
        torch.testing.assert_close(found.detach(), middle, rtol=1e-9, atol=1e-9)

    def test_nearest_convolution_of_hard_heads_is_exact(self) -> None:
        conv = BASE.conv()
        nearest = ex.conv_from_attention(ex.attention_from_conv(conv), tolerance=1e-9)
        assert nearest.error < 1e-13  # rounding in float64, bounded
        torch.testing.assert_close(nearest.conv.weight, conv.weight)

    @pytest.mark.parametrize("tolerance", NO_NUMBERS, ids=repr)
    def test_refuses_a_bad_tolerance(self, tolerance: Any) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with pytest.raises(ArgumentError, match="tolerance needs a"):
            ex.conv_from_attention(attention, tolerance=tolerance)

    def test_refuses_a_tolerance_that_is_exceeded(self) -> None:
        attention = ex.attention_from_conv(BASE.conv(), alpha=3.0)
        error = ex.conv_from_attention(attention, tolerance=10.0).error
        assert ex.conv_from_attention(attention, tolerance=1.01 * error)
        with pytest.raises(NotOneHotError, match=r"more than tolerance=.*raise alpha"):
            ex.conv_from_attention(attention, tolerance=0.99 * error)


@pytest.mark.parametrize("alpha", [0.01, 0.02, 0.5, 1.0, 3.0])
def test_the_error_of_the_nearest_convolution_holds_on_large_inputs(
    alpha: float,
) -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1).double()
    attention = ex.attention_from_conv(conv, alpha=alpha)
    nearest = ex.conv_from_attention(attention, tolerance=100.0)
    on_large = ex.worst_case_error(attention, nearest.conv, size=(400,)).max()
    assert float(on_large) <= nearest.error * (1 + 1e-9)
