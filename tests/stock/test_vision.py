"""The attention of timm and of transformers, filled by one call each."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, UnsupportedModuleError

CONV = nn.Conv2d(8, 12, 3, padding=1)
SIZE, WIDTH, HEADS = (7, 7), 72, 9
X = torch.randn(2, 8, *SIZE)
needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="needs timm")
needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs transformers"
)


class OldVit(nn.Module):
    """The names that transformers had before version 5."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Module()
        self.attention.num_attention_heads = HEADS
        for name in ("query", "key", "value"):
            self.attention.add_module(name, nn.Linear(WIDTH, WIDTH))
        self.output = nn.Module()
        self.output.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor]:
        maps = (self.attention.query, self.attention.key, self.attention.value)
        parts = [m(tokens).unflatten(2, (HEADS, -1)).transpose(1, 2) for m in maps]
        attended = nn.functional.scaled_dot_product_attention(*parts)
        return (self.output.dense(attended.transpose(1, 2).flatten(2)),)


def gpsa(heads: int = HEADS, width: int = WIDTH) -> nn.Module:
    from timm.models.convit import GPSA

    return GPSA(width, num_heads=heads).eval()


def vit(heads: int = HEADS, bias: bool = True, kernel: str = "eager") -> nn.Module:
    from transformers import ViTConfig
    from transformers.models.vit.modeling_vit import ViTAttention

    config = ViTConfig(hidden_size=WIDTH, num_attention_heads=heads, qkv_bias=bias)
    config._attn_implementation = kernel
    return ViTAttention(config).eval()


@torch.no_grad()
def assert_equals_convolution(layer: nn.Module, conv: nn.Module = CONV) -> None:
    assert (layer(X) - conv(X)).abs().max() < 1e-5


@needs_timm
@pytest.mark.parametrize("alpha", [None, 1.5])
def test_gpsa_of_timm_is_filled_by_one_call(alpha: float | None) -> None:
    attention = ex.attention_from_conv(CONV, alpha=alpha, strategy="dense")
    layer = ex.stock.fill_gpsa(gpsa(), attention, size=SIZE)
    assert_equals_convolution(layer, attention)
    assert alpha or assert_equals_convolution(layer) is None


@needs_timm
def test_a_grouped_strided_one_too() -> None:
    conv = nn.Conv2d(8, 12, 3, 2, padding=1, groups=4, padding_mode="reflect")
    layer = ex.stock.fill_gpsa(gpsa(), ex.attention_from_conv(conv), size=SIZE)
    assert_equals_convolution(layer, conv)


@needs_transformers
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("alpha", [None, 1.5])
def test_vit_attention_of_transformers_is_filled_by_one_call(
    alpha: float | None, kernel: str
) -> None:
    attention = ex.attention_from_conv(CONV, alpha=alpha, strategy="dense")
    layer = ex.stock.fill_vit(vit(kernel=kernel), attention, size=SIZE)
    assert_equals_convolution(layer, attention)
    assert alpha or assert_equals_convolution(layer) is None


def test_the_names_of_earlier_versions_are_known() -> None:
    attention = ex.attention_from_conv(CONV)
    assert_equals_convolution(ex.stock.fill_vit(OldVit(), attention, size=SIZE))


def test_what_is_required_is_said() -> None:
    attention = ex.attention_from_conv(CONV)
    for fill in (ex.stock.fill_gpsa, ex.stock.fill_vit):
        with pytest.raises(UnsupportedModuleError, match=r"got MultiheadAttention"):
            fill(nn.MultiheadAttention(8, 2), attention, size=SIZE)
        with pytest.raises(UnsupportedModuleError, match=r"module needs a Module"):
            fill("GPSA", attention, size=SIZE)
    pointwise = ex.attention_from_conv(nn.Conv2d(8, 12, 1))
    with pytest.raises(ArgumentError, match=r"needs 1 heads and a width of at least"):
        ex.stock.fill_vit(OldVit(), pointwise, size=SIZE)
    wide = ex.attention_from_conv(nn.Conv2d(80, 12, 3))
    with pytest.raises(ArgumentError, match=r"a width of at least 108"):
        ex.stock.fill_vit(OldVit(), wide, size=SIZE)
    without = OldVit()
    without.attention.query = nn.Linear(WIDTH, WIDTH, bias=False)
    with pytest.raises(ArgumentError, match=r"qkv_bias=True"):
        ex.stock.fill_vit(without, attention, size=SIZE)


@needs_timm
def test_gpsa_needs_a_square_canvas() -> None:
    attention = ex.attention_from_conv(CONV)
    with pytest.raises(ArgumentError, match=r"square canvas, got \(9, 8\)"):
        ex.stock.fill_gpsa(gpsa(), attention, size=(7, 6))
