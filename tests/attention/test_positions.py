"""Positions are exact in every dtype, and stay where they are unless asked to move."""

from copy import deepcopy
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention import explain
from tests import laws, oracles

HALVES = (torch.float16, torch.bfloat16)
per_half = pytest.mark.parametrize("dtype", HALVES, ids=str)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def built_and_cast(conv: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
    """Return the layers of a convolution that was cast, and of one that was not."""
    wide = ex.attention_from_conv(conv)
    narrow = ex.attention_from_conv(deepcopy(conv).to(dtype))
    return [narrow, wide.to(dtype)]


def assert_is_the_convolution(
    conv: nn.Module, x: Tensor, dtype: torch.dtype, strategy: str
) -> None:
    narrow = deepcopy(conv).to(dtype)
    expected = oracles.exact_convolution(narrow, x.to(dtype))
    allowed = laws.rounding_allowance(narrow, x.to(dtype))
    # A layer made for float32 leaks half an ulp of it, one made for half precision
    # half an ulp of that.
    leak = torch.finfo(dtype).eps * laws.output_bound(narrow, x)
    for layer in built_and_cast(conv, dtype):
        layer.strategy = strategy
        with torch.no_grad():
            error = (layer(x.to(dtype)).double() - expected).abs()
        per_channel = error.transpose(0, 1).flatten(1).amax(1)
        assert (per_channel <= allowed + leak).all(), per_channel / allowed


class TestWideKernelsInHalfPrecision:
    @per_half
    @pytest.mark.parametrize(
        ("strategy", "taps", "dilation"),
        # Where every key is scored, heads at some of the same offsets have to do.
        [("separable", 1025, 1), ("dense", 17, 63), ("fused", 17, 63)],
    )
    def test_taps_beyond_the_whole_numbers_of_the_dtype(
        self, dtype: torch.dtype, strategy: str, taps: int, dilation: int
    ) -> None:
        conv = nn.Conv1d(1, 2, taps, dilation=dilation, padding=dilation * taps // 2)
        assert_is_the_convolution(conv, noise(1, 1, 300), dtype, strategy)

    @per_half
    def test_four_thousand_taps(self, dtype: torch.dtype) -> None:
        conv = nn.Conv1d(1, 3, 4096, stride=512)
        assert_is_the_convolution(conv, noise(2, 1, 9000), dtype, "separable")

    @per_half
    @given(
        taps=st.integers(1, 5),
        dilation=st.integers(100, 3000),
        stride=st.integers(1, 700),
        padding_mode=st.sampled_from(["zeros", "replicate", "circular", "reflect"]),
    )
    def test_widely_dilated_kernels(
        self,
        taps: int,
        dilation: int,
        stride: int,
        padding_mode: str,
        dtype: torch.dtype,
    ) -> None:
        conv = nn.Conv1d(
            2,
            2,
            taps,
            dilation=dilation,
            stride=stride,
            padding=7,
            padding_mode=padding_mode,
        )
        x = noise(1, 2, dilation * (taps - 1) + 20)
        assert_is_the_convolution(conv, x, dtype, "separable")

    @per_half
    def test_the_tolerance_is_kept_by_the_stored_alpha(
        self, dtype: torch.dtype
    ) -> None:
        conv = nn.Conv2d(2, 3, 3, padding=1).to(dtype)
        layer = ex.attention_from_conv(conv, tolerance=0.05)
        assert ex.worst_case_error(layer, conv).max() <= 0.05
        assert ex.worst_case_error(layer, conv).max() > 0.049


class TestCasting:
    def test_there_and_back_moves_no_center(self) -> None:
        layer = ex.attention_from_conv(nn.Conv1d(1, 1, 3), alpha=3.3)
        with torch.no_grad():
            layer.centers.copy_(torch.tensor([[-1000.3], [0.1], [4097.0]]))
        before = deepcopy(layer)
        for cast in (nn.Module.half, nn.Module.bfloat16, nn.Module.float):
            cast(layer)
        assert torch.equal(layer.centers, before.centers)
        assert torch.equal(layer.alpha, before.alpha)
        assert layer.half().double().centers.dtype == torch.float64

    def test_gradients_are_cast_like_their_parameters(self) -> None:
        layer = ex.attention_from_conv(nn.Conv1d(1, 1, 3), alpha=1.0)
        layer(torch.randn(1, 1, 9)).sum().backward()
        layer.half()
        for name, parameter in layer.named_parameters():
            assert parameter.grad.dtype == parameter.dtype, name

    def test_tables_stay_wide_too(self) -> None:
        conv = nn.Conv2d(1, 1, 3)
        layer = ex.attention_from_conv(conv, heads="minimal").bfloat16()
        assert layer.table.dtype == torch.float32
        assert layer.dtype == torch.bfloat16

    def test_a_state_dict_in_half_precision_still_loads(self) -> None:
        layer = ex.attention_from_conv(nn.Conv2d(1, 2, 3))
        state = {name: value.half() for name, value in layer.state_dict().items()}
        loaded = deepcopy(layer).half()
        loaded.load_state_dict(state)
        assert loaded.centers.dtype == torch.float32
        assert torch.equal(loaded.centers, layer.centers)

    def test_a_saved_layer_is_the_layer(self) -> None:
        layer = ex.attention_from_conv(nn.Conv1d(1, 2, 700)).bfloat16()
        buffer = BytesIO()
        torch.save(layer, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        assert torch.equal(loaded.centers, layer.centers)


class TestWeightDecay:
    @pytest.mark.parametrize(
        "optimizer",
        [
            lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.05),
            lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, weight_decay=0.05),
        ],
    )
    def test_a_saturated_conversion_stays_where_it_is(self, optimizer) -> None:
        conv = nn.Conv2d(2, 4, 3, padding=1)
        model = ex.convert(nn.Sequential(conv, nn.ReLU(), nn.Conv2d(4, 1, 3))).model
        before = {n: p.clone() for n, p in model.named_parameters()}
        steps = optimizer(model.parameters())
        for _ in range(20):
            steps.zero_grad()
            model(torch.randn(2, 2, 8, 8)).square().mean().backward()
            steps.step()
        for name, parameter in model.named_parameters():
            is_position = name.endswith(("alpha", "centers"))
            assert torch.equal(parameter, before[name]) == is_position, name
        for layer in (model[0], model[2]):
            assert "saturated" in str(
                explain(layer, torch.randn(1, layer.in_channels, 8, 8))
            )
            ex.conv_from_attention(layer)

    def test_soft_heads_are_trained(self) -> None:
        layer = ex.attention_from_conv(nn.Conv2d(2, 4, 3), alpha=2.0)
        assert layer.alpha.requires_grad
        assert layer.centers.requires_grad

    def test_saturated_ones_are_on_request(self) -> None:
        layer = ex.attention_from_conv(nn.Conv2d(2, 4, 3)).requires_grad_()
        layer(torch.randn(1, 2, 8, 8)).sum().backward()
        assert not layer.alpha.grad.any()
        assert not layer.centers.grad.any()
