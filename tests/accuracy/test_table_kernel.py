"""As few heads as tables allow, and the convolution that tables compute."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

import expressivity as ex
from expressivity.convolutions import tap_matrices
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    NotOneHotError,
    StrategyError,
)
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES, MODES, Case, cases
from tests.heads.test_tables import table_layer


def sizes_of_heads(attention: nn.Module) -> float:
    """Return Σ_h Σ|W_h| of the largest output channel."""
    matrices = attention.heads().matrices().detach().double()
    return float(matrices.abs().sum((0, 3)).max())


def has_tokens(case: Case) -> bool:
    return case.padding_mode != "replicate" or case.padding in (0, "valid")


class TestMinimalHeads:
    @given(cases())
    def test_compute_any_convolution(self, case: Case) -> None:
        assume(has_tokens(case))
        conv, x = case.conv(), case.input()
        attention = ex.attention_from_conv(conv, heads="minimal")
        assert attention.num_heads <= ex.head_count(conv).rank + 1
        assert not attention.alpha.any()
        assert not attention.centers.any()
        atol = 1e-14 * (sizes_of_heads(attention) * float(x.abs().max()) + 1)
        for strategy in ("auto", "dense"):
            attention.strategy = strategy
            with torch.no_grad():
                found = attention(x)
            torch.testing.assert_close(found, conv(x), rtol=0, atol=100 * atol)
        assert ex.worst_case_error(attention, conv).max() <= 1e3 * atol
        back = ex.conv_from_attention(attention)
        assert ex.ConvGeometry.from_conv(back) == attention.geometry
        torch.testing.assert_close(back.weight, conv.weight, rtol=0, atol=atol)

    @pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_in_every_dtype(self, case: Case, dtype: torch.dtype) -> None:
        conv, x = case.conv(dtype), case.input(dtype=dtype)
        attention = ex.attention_from_conv(conv, heads="minimal")
        assert attention.dtype == dtype
        error = (attention(x).double() - oracles.exact_convolution(conv, x)).abs()
        scale = sizes_of_heads(attention) * float(x.abs().max()) + 3
        assert error.max() <= 4 * torch.finfo(dtype).eps * scale

    def test_two_heads_for_an_edge_detector(self) -> None:
        conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
        with torch.no_grad():
            conv.weight[0, 0] = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        attention = ex.attention_from_conv(conv, heads="minimal")
        right = torch.tensor([[0.0, 0, 1], [0, 0, 2], [0, 0, 1]]).double() / 4
        torch.testing.assert_close(
            attention.table.detach().exp(), torch.stack([right, right.flip(1)])
        )
        assert attention.heads().matrices().flatten().tolist() == pytest.approx([4, -4])

    @pytest.mark.parametrize("most", [2, 3, 5])
    @pytest.mark.parametrize("dilation", [1, 2])
    def test_fewer_have_the_error_that_is_stated(
        self, most: int, dilation: int
    ) -> None:
        case = replace(BASE, dilation=dilation, padding=2, size=(9, 8))
        conv = case.conv()
        attention = ex.attention_from_conv(conv, heads="minimal", max_heads=most)
        assert attention.num_heads <= most
        stated = ex.head_count(conv).minimal(max_heads=most).error
        for size in (None, case.size):
            error = ex.worst_case_error(attention, conv, size=size)
            torch.testing.assert_close(error, stated, rtol=1e-9, atol=1e-9)
        truth = oracles.brute_force_worst_case(attention, conv, 4, case.size)
        torch.testing.assert_close(truth, stated, rtol=1e-9, atol=1e-9)

    def test_can_be_trained(self) -> None:
        conv = replace(BASE, bias=False).conv()
        attention = ex.attention_from_conv(conv, heads="minimal")
        laws.assert_strategies_agree(attention, BASE.input(), ("normalised", "dense"))
        frozen = ex.attention_from_conv(conv.requires_grad_(False), heads="minimal")
        assert not any(p.requires_grad for p in frozen.parameters())

    def test_a_wide_head_dim_is_padded(self) -> None:
        conv, x = BASE.conv(), BASE.input()
        attention = ex.attention_from_conv(conv, heads="minimal", head_dim=9)
        torch.testing.assert_close(attention(x), conv(x), rtol=0, atol=1e-11)

    def test_refusals(self) -> None:
        conv = BASE.conv()
        minimal = {"heads": "minimal"}
        for options, message in (
            (minimal | {"alpha": 2.0}, "leave alpha, tolerance and rings out"),
            (minimal | {"tolerance": 0.1}, "leave alpha, tolerance and rings out"),
            (minimal | {"rings": 1}, r"alpha = 0 .* got .* rings=1"),
            (minimal | {"head_dim": 3}, "head_dim below 4 truncates taps"),
            (
                minimal | {"max_heads": 1},
                "max_heads needs an integer of at least 2, got 1",
            ),
            ({"max_heads": 3}, "max_heads goes with heads='minimal', got heads='taps'"),
            ({"heads": "few"}, "heads needs one of .*'minimal'.*, got 'few'"),
        ):
            with pytest.raises(ArgumentError, match=message):
                ex.attention_from_conv(conv, **options)
        padded = replace(BASE, padding_mode="replicate")
        with pytest.raises(ArgumentError, match=r"padding_mode='replicate' .* none on"):
            ex.attention_from_conv(padded.conv(), heads="minimal")
        bare = replace(padded, padding=0)
        attention = ex.attention_from_conv(bare.conv(), heads="minimal")
        expected = bare.conv()(bare.input())
        torch.testing.assert_close(attention(bare.input()), expected)
        fused = ex.attention_from_conv(conv, heads="minimal", strategy="fused")
        with pytest.raises(StrategyError, match="a table is no inner product"):
            fused(BASE.input())


def inside(case: Case, **options: Any) -> tuple[ex.RelativeSelfAttention, nn.Module]:
    """Return a layer whose tables keep within the reach of a kernel."""
    geometry = ex.ConvGeometry.from_conv(case.conv())
    low = [-anchor for anchor in geometry.anchor]
    layer = table_layer(case, (low, geometry.extent), closed=0.0, **options)
    conv = case.conv()
    with torch.no_grad():
        conv.bias.copy_(layer.bias)
    return layer, conv


class TestError:
    @pytest.mark.parametrize(
        "case",
        [
            BASE_1D,
            BASE_3D,
            replace(BASE, dilation=2, padding=2),
            replace(BASE, stride=2, groups=2),
            *(replace(BASE, padding_mode=mode) for mode in MODES[:2]),
            replace(BASE, padding_mode="circular", padding=(2, 3)),
            replace(BASE, padding_mode="replicate", padding=0),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("head_dim", [None, 1])
    def test_is_the_brute_force_operators(
        self, case: Case, head_dim: int | None
    ) -> None:
        layer, conv = inside(case, head_dim=head_dim)
        truth = oracles.brute_force_worst_case(layer, conv, 4, case.size)
        found = ex.worst_case_error(layer, conv, size=case.size)
        torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-12)
        assert (truth <= found).all()
        assert (found <= ex.worst_case_error(layer, conv) * (1 + 1e-9)).all()

    @given(st.integers(0, 30))
    def test_covers_large_scores(self, seed: int) -> None:
        torch.manual_seed(seed)
        layer, conv = inside(BASE_1D)
        with torch.no_grad():
            layer.table.mul_(10.0 ** (seed % 6))
            layer.alpha.mul_(10.0 ** (seed % 4))
        truth = oracles.brute_force_worst_case(layer, conv, 4, BASE_1D.size)
        found = ex.worst_case_error(layer, conv, size=BASE_1D.size)
        assert (truth <= found * (1 + 1e-12)).all()
        torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize(
        "case", [BASE, replace(BASE, padding_mode="replicate")], ids=str
    )
    def test_is_refused_where_borders_cut_a_table_off(self, case: Case) -> None:
        layer = table_layer(case, ([-2, -1], [4, 3]), closed=0.0)
        for call in (
            lambda: ex.worst_case_error(layer, case.conv()),
            lambda: ex.conv_from_attention(layer),
            lambda: ex.conv_from_attention(layer, tolerance=10.0),
        ):
            with pytest.raises(NotOneHotError, match="near borders the heads are norm"):
                call()

    def test_closed_entries_count_for_nothing(self) -> None:
        layer = table_layer(BASE, ([-2, -1], [4, 4]), closed=0.0)
        with torch.no_grad():
            layer.table[:, 0] = layer.table[:, :, 0] = layer.table[:, :, 3] = -inf
        assert ex.worst_case_error(layer, ex.conv_from_attention(layer)).max() < 1e-11

    def test_certificates_are_refused(self) -> None:
        layer, conv = inside(BASE)
        with pytest.raises(CertificateError, match="has a table: how its attention"):
            ex.certify(layer, conv)


class TestWayBack:
    @pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)
    def test_soft_tables_are_a_convolution(self, case: Case) -> None:
        layer, _ = inside(case)
        back, x = ex.conv_from_attention(layer), case.input()
        torch.testing.assert_close(back(x), layer(x), rtol=0, atol=1e-12)
        assert ex.worst_case_error(layer, back).max() < 1e-11
        assert ex.conv_from_attention(layer, tolerance=1e-9).error < 1e-11
        again = ex.attention_from_conv(back, heads="minimal")
        assert again.num_heads <= layer.num_heads + 1

    def test_what_is_off_the_taps_is_refused_or_stated(self) -> None:
        case = replace(BASE, dilation=2, padding=2)
        layer, _ = inside(case)
        with pytest.raises(NotOneHotError, match=r"displacement \[.*\], which is no"):
            ex.conv_from_attention(layer)
        with pytest.raises(NotOneHotError, match="nearest convolution differs by"):
            ex.conv_from_attention(layer, tolerance=1e-3)
        near = ex.conv_from_attention(layer, tolerance=100.0)
        on_taps = tap_matrices(near.conv.weight.detach())
        assert on_taps.shape == (6, 8, 4)
        size = (12, 12)
        truth = oracles.brute_force_worst_case(layer, near.conv, 4, size)
        assert near.error == pytest.approx(float(truth.max()), rel=1e-6)

    def test_a_small_channel_off_the_taps_is_no_rounding(self) -> None:
        layer, _ = inside(replace(BASE, dilation=2, padding=2))
        taps = layer.geometry.centers()
        places = layer.heads().table.window.displacements()
        off = ~(places[:, None] == taps).all(-1).any(1)
        with torch.no_grad():
            layer.table.flatten(1)[1:, off] = -inf
            layer.output_weight[..., 0] = 0
            layer.output_weight[:, 0, :, 0] = 1e-20
            layer.output_weight[:, 0, :, 1:] = 0
        assert not layer.heads().matrices()[0, :, 1:].any()
        with pytest.raises(NotOneHotError, match=r"displacement \[.*\], which is no"):
            ex.conv_from_attention(layer)

    def test_content_terms_are_refused_first(self) -> None:
        layer, _ = inside(BASE)
        nn.init.normal_(layer.add_content_terms(2).query_weight)
        with pytest.raises(NotOneHotError, match="depend on the tokens"):
            ex.conv_from_attention(layer)
