"""Convolution to attention and back: options, projections, refusals."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, NotOneHotError, UnsupportedModuleError
from expressivity.heads.leak import alpha_for_leak
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, CASES, DTYPES, Case, cases

over_cases = pytest.mark.parametrize("case", CASES, ids=str)
one_of_each = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
over_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
NO_NUMBERS = [0, -1.0, float("nan"), float("inf"), "soft"]


class TestHeads:
    @over_cases
    def test_one_head_a_tap_centered_on_it(self, case: Case) -> None:
        conv = case.conv()
        attention = ex.attention_from_conv(conv)
        literal = oracles.literal_conversion(conv, 1.0)
        assert attention.num_heads == conv.weight[0, 0].numel()
        assert attention.centers.tolist() == literal.centers

    @over_cases
    def test_projections_compose_to_the_taps(self, case: Case) -> None:
        conv = case.conv()
        blocks = ex.attention_from_conv(conv).heads().matrices()
        literal = oracles.literal_conversion(conv, 1.0).matrices
        for head, matrix in enumerate(literal):
            assert torch.equal(torch.block_diag(*blocks[head]).T, matrix)

    @pytest.mark.parametrize(
        ("channels", "outputs", "groups", "head_dim", "value", "output"),
        [
            (4, 8, 1, None, None, (1, 8, 4, 6)),
            (8, 4, 1, None, (1, 4, 8, 6), None),
            (4, 4, 1, None, None, (1, 4, 4, 6)),
            (4, 8, 4, None, None, (4, 2, 1, 6)),
            (4, 8, 1, 8, (1, 8, 4, 6), None),
            (4, 8, 1, 4, None, (1, 8, 4, 6)),
            (4, 8, 1, 3, (1, 3, 4, 6), (1, 8, 3, 6)),
            (4, 8, 1, 9, (1, 9, 4, 6), (1, 8, 9, 6)),
            (8, 4, 2, 2, (2, 2, 4, 6), None),
            (8, 4, 2, 1, (2, 1, 4, 6), (2, 2, 1, 6)),
        ],
    )
    def test_an_identity_is_no_parameter(
        self,
        channels: int,
        outputs: int,
        groups: int,
        head_dim: int | None,
        value: tuple[int, ...] | None,
        output: tuple[int, ...] | None,
    ) -> None:
        case = replace(BASE, in_channels=channels, out_channels=outputs, groups=groups)
        attention = ex.attention_from_conv(case.conv(), head_dim=head_dim)
        found = [
            None if weight is None else tuple(weight.shape)
            for weight in (attention.value_weight, attention.output_weight)
        ]
        assert found == [value, output]
        assert ("value_weight" in dict(attention.named_parameters())) == bool(value)

    @given(cases(), st.integers(1, 2))
    def test_a_small_head_dim_keeps_the_best_approximation(
        self, case: Case, head_dim: int
    ) -> None:
        conv = case.conv()
        kept = ex.attention_from_conv(conv, head_dim=head_dim).heads().matrices()
        blocks = conv.weight.flatten(2).movedim(2, 0).unflatten(1, (conv.groups, -1))
        u, s, vh = torch.linalg.svd(blocks.detach(), full_matrices=False)
        s[..., head_dim:] = 0
        torch.testing.assert_close(kept, u * s[..., None, :] @ vh, rtol=0, atol=1e-13)
        missing = (kept - blocks).square().sum(dim=(1, 2, 3)).sqrt().detach()
        stated = ex.accuracy.truncation_error(conv, head_dim)
        torch.testing.assert_close(stated, missing, rtol=1e-9, atol=1e-13)

    @pytest.mark.parametrize("head_dim", [0, -1, 1.5, "4"])
    def test_refuses_a_bad_head_dim(self, head_dim: Any) -> None:
        with pytest.raises(ArgumentError, match="head_dim needs"):
            ex.attention_from_conv(BASE.conv(), head_dim=head_dim)
        with pytest.raises(ArgumentError, match="head_dim needs"):
            ex.accuracy.truncation_error(BASE.conv(), head_dim)


class TestAlpha:
    @over_dtypes
    @one_of_each
    def test_default_is_the_rounding_level(
        self, case: Case, dtype: torch.dtype
    ) -> None:
        attention = ex.attention_from_conv(case.conv(dtype))
        alpha = attention.alpha.double()
        saturation = ex.accuracy.saturation_alpha(dtype, len(case.kernel_size))
        assert (alpha == alpha[0]).all()
        assert saturation <= alpha[0] <= saturation * (1 + 2 * torch.finfo(dtype).eps)
        off_target = 1 - attention.double().attention_probabilities(
            size=case.size
        ).amax(-1)
        assert off_target.max() <= torch.finfo(dtype).eps / 2

    @over_dtypes
    @pytest.mark.parametrize("tolerance", [1e-1, 1e-4, 1e-9])
    def test_tolerance_holds_and_is_used_up(
        self, dtype: torch.dtype, tolerance: float
    ) -> None:
        conv = BASE.conv(dtype)
        attention = ex.attention_from_conv(conv, tolerance=tolerance)
        worst = ex.worst_case_error(attention, conv).max()
        assert worst <= tolerance
        rounding = float(attention.alpha[0].detach()) * torch.finfo(dtype).eps
        assert worst >= tolerance * (1 - 4 * rounding) * 0.999

    @over_dtypes
    def test_given_alpha_is_taken(self, dtype: torch.dtype) -> None:
        attention = ex.attention_from_conv(BASE.conv(dtype), alpha=8)
        assert attention.alpha.tolist() == [8.0] * attention.num_heads

    @pytest.mark.parametrize("option", ["alpha", "tolerance"])
    @pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
    def test_refuses_what_is_no_positive_number(self, option: str, value: Any) -> None:
        with pytest.raises(ArgumentError, match=f"{option} needs a"):
            ex.attention_from_conv(BASE.conv(), **{option: value})

    def test_refuses_alpha_and_tolerance_at_once(self) -> None:
        with pytest.raises(ArgumentError, match="give alpha or tolerance"):
            ex.attention_from_conv(BASE.conv(), alpha=1.0, tolerance=1.0)

    def test_refuses_what_the_dtype_cannot_hold(self) -> None:
        with pytest.raises(ArgumentError, match=r"outside the range of torch\.float32"):
            ex.attention_from_conv(BASE.conv(torch.float16), alpha=1e39)


class TestLayer:
    @over_dtypes
    def test_takes_dtype_mode_and_gradients_from_the_convolution(
        self, dtype: torch.dtype
    ) -> None:
        conv = BASE.conv(dtype).eval()
        conv.weight.requires_grad_(False)
        attention = ex.attention_from_conv(conv, head_dim=3)
        assert attention.dtype == dtype
        assert not attention.training
        trainable = {n for n, p in attention.named_parameters() if p.requires_grad}
        assert trainable == {"bias"}

    def test_shares_no_memory_with_the_convolution(self) -> None:
        conv = BASE.conv()
        attention = ex.attention_from_conv(conv)
        before = attention.output_weight.clone()
        with torch.no_grad():
            conv.weight.zero_()
        assert torch.equal(attention.output_weight, before)

    def test_keeps_its_own_strategy(self) -> None:
        assert ex.attention_from_conv(BASE.conv()).strategy == "auto"
        dense = ex.attention_from_conv(BASE.conv(), strategy="dense")
        assert dense.strategy == "dense"

    @pytest.mark.gpu
    @over_dtypes
    def test_stays_on_the_device(self, dtype: torch.dtype) -> None:
        conv = BASE.conv(dtype)
        attention = ex.attention_from_conv(conv.cuda())
        assert {p.device.type for p in attention.parameters()} == {"cuda"}
        x = BASE.input(dtype=dtype)
        alpha = attention.alpha[0].item()
        with torch.no_grad():
            output = attention(x.cuda()).cpu()
        laws.assert_equals_convolution(lambda _: output, conv.cpu(), x, alpha=alpha)

    @pytest.mark.parametrize("module", [nn.Linear(3, 3), nn.ReLU(), nn.Conv2d])
    def test_refuses_what_is_no_convolution(self, module: Any) -> None:
        with pytest.raises(UnsupportedModuleError, match=r"nn\.Conv2d or nn\.Conv3d"):
            ex.attention_from_conv(module)


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

    @pytest.mark.parametrize("alpha", [0.0, -1.0])
    def test_refuses_heads_without_locality(self, alpha: float) -> None:
        attention = ex.attention_from_conv(BASE.conv())
        with torch.no_grad():
            attention.alpha[1] = alpha
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


def test_converting_draws_nothing_at_random() -> None:
    conv, before = BASE.conv(), torch.get_rng_state()
    ex.attention_from_conv(conv)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_frozen_layer_stays_frozen_when_its_projections_are_materialized() -> None:
    conv = BASE.conv().requires_grad_(False)
    attention = ex.attention_from_conv(conv).materialize_projections()
    assert not any(p.requires_grad for p in attention.parameters())


@pytest.mark.parametrize("alpha", [10**400, torch.tensor([1.0, 2.0]), "8", None])
def test_alpha_needs_to_be_one_number(alpha: Any) -> None:
    with pytest.raises(
        ex.errors.ArgumentError, match="alpha needs a positive finite number"
    ):
        ex.worst_case_error(BASE.conv(), alpha=alpha)


def test_a_tolerance_beyond_float64_is_refused() -> None:
    with pytest.raises(ex.errors.ArgumentError, match="less than float64 can express"):
        ex.alpha_for(BASE.conv(), tolerance=5e-324)


def test_a_head_without_a_place_says_nan_with_and_without_gradients() -> None:
    attention = ex.attention_from_conv(BASE.conv())
    with torch.no_grad():
        attention.centers[0, 0] = torch.nan
        assert attention(BASE.input()).isnan().all()
    assert attention(BASE.input()).isnan().all()


@pytest.mark.parametrize("shape", [(3, 7, 6), (2, 5, 7, 6), (7, 6)])
def test_the_first_order_checks_its_input(shape: tuple[int, ...]) -> None:
    conv, x = nn.Conv2d(3, 2, 3), torch.randn(shape)
    if shape[0] == 3:
        assert ex.accuracy.first_order_error(conv, x, alpha=1.0).shape == (1, 2, 5, 4)
    else:
        with pytest.raises(ex.errors.InputError, match=r"x needs \(batch, 3 channels"):
            ex.accuracy.first_order_error(conv, x, alpha=1.0)
