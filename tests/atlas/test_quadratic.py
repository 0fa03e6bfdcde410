"""Quadratic encodings: the layer of the paper, as a family of the atlas."""

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.atlas import FAMILIES
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_computes, assert_error_falls
from tests.atlas.samples import SIZED

QUADRATIC = FAMILIES["quadratic"]


@pytest.mark.parametrize("case", SIZED)
def test_it_computes_convolutions(case: str) -> None:
    assert_computes(QUADRATIC, *SIZED[case])


def test_the_error_falls_with_the_strength() -> None:
    assert_error_falls(QUADRATIC, *SIZED["3×3"], [7, 10, 13], rate=1, slack=0.1)


def test_it_is_the_layer_of_the_package_evaluated_densely() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    layer = QUADRATIC.construct(conv, (4, 5), alpha=3.0)
    assert isinstance(layer, ex.RelativeSelfAttention)
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    expected = ex.attention_from_conv(conv, alpha=3.0, strategy="separable")(x)
    torch.testing.assert_close(layer(x), expected)


def test_there_is_no_witness() -> None:
    with pytest.raises(ArgumentError, match="ask for the layer"):
        QUADRATIC.refute(nn.Conv2d(1, 1, 3, padding=1))
