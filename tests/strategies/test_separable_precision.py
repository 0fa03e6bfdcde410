"""The separable strategy in half precision: rounded no more often than need be."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from tests import laws
from tests.cases import BASE, BASE_1D, BASE_3D, Case

HALF = (torch.float16, torch.bfloat16)


def scattered(case: Case, dtype: torch.dtype) -> nn.Module:
    """Return a layer with soft heads on the grid and off it, both projections."""
    attention = ex.attention_from_conv(case.conv(dtype), head_dim=3)
    heads = torch.arange(attention.num_heads)
    with torch.no_grad():
        attention.alpha.copy_(0.3 + heads % 3)
        attention.centers[::2] += 0.25
    return attention


def absolute(attention: nn.Module, x: Tensor) -> Tensor:
    """Return the output with the sizes of all numbers: what roundings are parts of."""
    positive = laws.with_strategy(attention, "dense").double()
    with torch.no_grad():
        for weight in (positive.value_weight, positive.output_weight, positive.bias):
            weight.abs_()
        return positive(x.double().abs())


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        BASE,
        replace(BASE, size=(30, 70), padding=0),
        replace(BASE, stride=2, groups=2, padding_mode="reflect"),
        replace(BASE_1D, size=(200,)),
        replace(BASE_3D, padding_mode="replicate"),
    ],
    ids=str,
)
class TestHalfPrecision:
    """Positions and softmax take float32; what passes between is rounded."""

    @pytest.mark.parametrize("dtype", HALF, ids=str)
    def test_rounds_tokens_values_and_outputs(
        self, case: Case, dtype: torch.dtype, recorded: bool
    ) -> None:
        attention = scattered(case, dtype).requires_grad_(recorded)
        x = case.input(dtype=dtype)
        found = attention(x).detach()
        assert found.dtype == dtype
        expected = laws.with_strategy(attention, "dense").double()(x.double()).detach()
        # Half an ulp each: smoothed tokens, composed kernels or values, the output
        # of a head, the sum, the bias.
        rounding = 3 * torch.finfo(dtype).eps * absolute(attention, x)
        assert ((found.double() - expected).abs() <= rounding).all()

    def test_autocast_rounds_weights_too(self, case: Case, recorded: bool) -> None:
        attention = scattered(case, torch.float32).requires_grad_(recorded)
        x = case.input(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = attention(x).detach()
        assert found.dtype == torch.bfloat16
        expected = laws.with_strategy(attention, "dense").double()(x.double()).detach()
        rounding = 5 * torch.finfo(torch.bfloat16).eps * absolute(attention, x)
        assert ((found.double() - expected).abs() <= rounding).all()


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_many_heads_lose_no_digits_in_half_precision(dtype: torch.dtype) -> None:
    """A hundred equal parts, added up in bfloat16, would lose many of the last."""
    conv = nn.Conv2d(1, 1, 11, padding=5, padding_mode="replicate", dtype=dtype)
    layer = ex.attention_from_conv(conv, alpha=1.0)
    with torch.no_grad():
        layer.output_weight.fill_(0.7)
        layer.bias.zero_()
    expected = 121 * layer.output_weight[0, 0, 0, 0].item()
    found = layer(torch.ones(1, 1, 12, 13, dtype=dtype)).detach().double()
    # Half an ulp of each part, and of their sum.
    assert (found - expected).abs().max() <= torch.finfo(dtype).eps * expected
