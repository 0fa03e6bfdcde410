"""Convolution to attention and back: options, projections, refusals."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, UnsupportedModuleError
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
