"""The attention of timm and of transformers, filled by one call each."""

from collections.abc import Callable
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


class Window(nn.Module):
    """The names of timm's window attention, and its table of biases."""

    def __init__(self, window: tuple[int, int], width: int = WIDTH) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        rows, columns = window
        places = [(i, j) for i in range(rows) for j in range(columns)]
        index = [
            [
                (i - k + rows - 1) * (2 * columns - 1) + j - l + columns - 1
                for k, l in places
            ]
            for i, j in places
        ]
        self.register_buffer("relative_position_index", torch.tensor(index))
        entries = (2 * rows - 1) * (2 * columns - 1)
        self.relative_position_bias_table = nn.Parameter(torch.randn(entries, HEADS))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, 2)
        )
        bias = self.relative_position_bias_table[self.relative_position_index]
        scores = query @ key.mT + bias.movedim(-1, 0)
        return self.proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def timm_window(window: tuple[int, int]) -> nn.Module:
    from timm.models.swin_transformer import WindowAttention

    return WindowAttention(WIDTH, HEADS, window_size=window).eval()


def swin(window: tuple[int, int]) -> nn.Module:
    from transformers import SwinConfig
    from transformers.models.swin.modeling_swin import SwinAttention

    config = SwinConfig()
    config._attn_implementation = "eager"
    return SwinAttention(config, WIDTH, HEADS, window[0]).eval()


WINDOWS = [
    Window,
    pytest.param(timm_window, marks=needs_timm, id="timm"),
    pytest.param(swin, marks=needs_transformers, id="transformers"),
]


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


@pytest.mark.parametrize("alpha", [None, 1.5])
@pytest.mark.parametrize("make", WINDOWS)
def test_window_attention_of_swin_is_filled_by_one_call(
    make: Callable[[tuple[int, int]], nn.Module], alpha: float | None
) -> None:
    attention = ex.attention_from_conv(CONV, alpha=alpha, strategy="dense")
    layer = ex.stock.fill_swin(make((9, 9)), attention, size=SIZE)
    assert_equals_convolution(layer, attention)
    assert alpha or assert_equals_convolution(layer) is None


def test_a_window_may_be_a_rectangle() -> None:
    attention = ex.attention_from_conv(nn.Conv2d(8, 12, 3), alpha=1.5, strategy="dense")
    layer = ex.stock.fill_swin(Window((4, 7)), attention, size=(4, 7))
    x = torch.randn(2, 8, 4, 7)
    assert (layer(x) - attention(x)).abs().max() < 1e-5


@pytest.mark.parametrize("window", [(7, 4), (4, 8), (2, 14)])
def test_the_window_has_to_be_the_canvas(window: tuple[int, int]) -> None:
    attention = ex.attention_from_conv(nn.Conv2d(8, 12, 3))
    with pytest.raises(ArgumentError, match=r"module with window_size=\(4, 7\)"):
        ex.stock.fill_swin(Window(window), attention, size=(4, 7))


def test_what_is_required_is_said() -> None:
    attention = ex.attention_from_conv(CONV)
    for fill in (ex.stock.fill_gpsa, ex.stock.fill_swin, ex.stock.fill_vit):
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
