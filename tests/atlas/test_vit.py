"""ViT: learned absolute encodings, a class token, pre-LayerNorm."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.canvas import padded_grid
from expressivity.atlas.encodings import quadratic_encoding
from expressivity.atlas.families.vit import construct_normalised, with_encoding
from expressivity.digits import DigitsCNN, load_digit_images, train
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)

VIT, CLASS, NORMALISED = (FAMILIES[n] for n in ("vit", "vit-cls", "vit-pre-ln"))
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    CASES = {
        "3×3": (nn.Conv2d(2, 3, 3, padding=1), (4, 5)),
        "1×3, stride 2": (nn.Conv2d(3, 1, (1, 3), padding=(0, 1), stride=2), (5, 4)),
        "dilated groups": (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (4, 4)),
        "5×5, no bias": (nn.Conv2d(1, 2, 5, padding=2, bias=False), (3, 4)),
        "one axis": (nn.Conv1d(2, 3, 3, padding=1), (6,)),
        "three axes": (nn.Conv3d(1, 2, (1, 3, 2), padding=(0, 1, 0)), (2, 2, 3)),
        "one pixel": (nn.Conv2d(2, 2, 1), (1, 1)),
    }
    # What the demonstration's network, and a typical layer, ask of float32.
    TRAINED = {
        "1→16": (nn.Conv2d(1, 16, 3, padding=1), (8, 8)),
        "depthwise": (nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16), (8, 8)),
        "16→32, 1×1": (nn.Conv2d(16, 32, 1), (4, 4)),
        "32→32": (nn.Conv2d(32, 32, 3, padding=1), (4, 4)),
        "16→32": (nn.Conv2d(16, 32, 3, padding=1), (8, 8)),
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", [VIT, CLASS, NORMALISED], ids=lambda f: f.name)
def test_it_computes_convolutions(family, case: str) -> None:
    assert_computes(family, *CASES[case])


@pytest.mark.parametrize(
    ("family", "rate"),
    [(VIT, 1), (CLASS, 0.5), (NORMALISED, 1)],
    ids=["vit", "vit-cls", "vit-pre-ln"],
)
def test_the_error_falls_at_the_stated_rate(family, rate: float) -> None:
    for case in ("3×3", "dilated groups"):
        assert_error_falls(
            family, *CASES[case], [7 / rate, 10 / rate, 13 / rate], rate=rate, slack=0.1
        )


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_padding_tokens_may_hold_pixels(mode: str) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    assert_computes(VIT, conv, (4, 5))
    assert_computes(NORMALISED, conv, (4, 5))


def test_padding_wider_than_the_kernel_needs_tokens() -> None:
    conv = nn.Conv2d(1, 2, (2, 3), padding=(2, 3))
    assert_computes(VIT, conv, (3, 2))
    with pytest.raises(ArgumentError, match="outputs that stand on pixels"):
        CLASS.construct(conv, (3, 2))


@pytest.mark.parametrize("case", TRAINED)
@pytest.mark.parametrize("family", [VIT, CLASS], ids=lambda f: f.name)
def test_float32_is_accurate(family, case: str) -> None:
    conv, size = TRAINED[case]
    layer = family.construct(conv, size)
    assert next(layer.parameters()).dtype == torch.float32
    for mode in (True, False):  # torch has a fast path of its own for evaluation
        assert relative_error(layer.train(mode), conv, size) <= 1e-6
    x = torch.randn(1, conv.in_channels, *size)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-5)


def test_a_network_reads_the_same_from_attention() -> None:
    network = DigitsCNN().eval()
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        expected = network(x)
        size = (8, 8)
        for index, module in enumerate(network.features):
            if isinstance(module, nn.Conv2d):
                network.features[index] = VIT.construct(module, size)
                size = ConvGeometry.from_conv(module).output_size(size)
        torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-5)


def test_a_norm_costs_a_third_of_the_digits() -> None:
    """Rounding grows with B and the rest falls with B²: B³ ≈ 1/ε is the best."""
    conv, size = copy.deepcopy(CASES["3×3"][0]).float(), (4, 5)
    for alpha in (24.0, 300.0):
        layer = NORMALISED.construct(conv, size, alpha=alpha)
        assert 1e-6 < relative_error(layer, conv, size) < 1e-4
    for anchor, message in ((0.5, "at least 1, got 0.5"), (300.0, "at most 203")):
        with pytest.raises(ArgumentError, match=f"anchor needs to be {message}"):
            construct_normalised(conv, size, 24.0, anchor)
    with pytest.raises(ArgumentError, match="weights in float32 or float64"):
        NORMALISED.construct(conv.half(), size)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_enough_on_small_images(dtype) -> None:
    conv = copy.deepcopy(CASES["3×3"][0]).to(dtype)
    assert relative_error(VIT.construct(conv, (6, 5)), conv, (6, 5)) <= 0.02


def test_an_encoding_of_the_plane_clamps() -> None:
    """Off the canvas the nearest token is found: replicate padding."""
    geometry = ConvGeometry.create((1, 3), padding=(0, 1), padding_mode="replicate")
    code = quadratic_encoding(Grid.of(geometry, (2, 3)), 50.0)
    query = code.query[2] @ code.position[2] + code.query_bias[2]
    assert int((code.position @ query).argmax()) == 2


def test_heads_are_as_narrow_as_the_rank_allows() -> None:
    conv = nn.Conv2d(5, 4, 3, padding=1).double()
    layer = VIT.construct(conv, (4, 4)).layer
    assert layer.attention.head_dim == 4  # the rank; the encoding needs 3
    assert layer.attention.num_heads == 9


def test_a_class_token_with_twice_the_values_is_as_good_as_padding() -> None:
    conv, size = copy.deepcopy(CASES["3×3"][0]).double(), (4, 5)
    errors = []
    for alpha in (8.0, 12.0):
        layer = CLASS.construct(conv, size, alpha=alpha)
        attention = layer.layer.attention
        with torch.no_grad():
            rows = attention.in_proj_bias.unflatten(0, (3, 9, attention.head_dim))[0]
            rows[:, 3] += math.sqrt(attention.head_dim) * alpha / 2
            attention.out_proj.weight.mul_(2)
        errors.append(relative_error(layer, conv, size))
    assert math.log(errors[0] / errors[1]) == pytest.approx(4, rel=0.1)


def test_an_anchor_bounds_what_the_norm_does() -> None:
    """A token shrinks by ‖x‖²/(4B²) at most, and the rate is no worse."""
    conv, size = copy.deepcopy(CASES["3×3"][0]).double(), (4, 5)
    grid = padded_grid(conv, size)
    x = torch.rand(1, 2, *size, dtype=torch.float64)
    errors = []
    for anchor in (64.0, 256.0):
        code = quadratic_encoding(grid, 60.0)
        code = code.in_units(2 * code.position.abs().amax(0))
        layer = with_encoding(conv, code, anchor=anchor)
        with torch.no_grad():
            out = layer(grid.canvas(x).flatten(2).mT).mT.unflatten(2, grid.canvas_size)
            error = (out[:, :, 1:-1, 1:-1] - conv(x)).abs().max()
        largest = x.square().sum(1).max() / (4 * anchor**2)
        gain = conv.weight.abs().flatten(1).sum(1).max() * x.abs().max()
        assert error <= largest * gain * (1 + 1e-3)
        errors.append(float(error))
    assert math.log(errors[0] / errors[1], 4) == pytest.approx(2, rel=0.05)


def test_outputs_are_bounded_behind_a_norm_whatever_the_embedding() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    layer = NORMALISED.construct(conv, (3, 3))
    x = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    x[:, 0, 1, 2] = torch.tensor([1e12, 1e15])
    with torch.no_grad():
        seen, wanted = layer(x)[:, 0, 1, 1], conv(x)[:, 0, 1, 1]
    assert wanted[1] / wanted[0] > 999
    assert seen[1] / seen[0] < 1.001


def test_a_norm_hides_the_mean_of_a_token() -> None:
    conv = nn.Conv2d(3, 2, 3, padding=1).double()
    assert_cannot(NORMALISED.refute(conv, (4, 3)), steps=120)


def test_a_norm_of_one_channel_leaves_nothing() -> None:
    conv = nn.Conv1d(1, 2, 3, padding=1).double()
    witness = NORMALISED.refute(conv, (4,))
    largest = conv.weight[:, :, [0, 2]].abs().max().item()
    assert witness.bound == pytest.approx(largest)
    assert witness.violation() <= 1e-9


def test_kernels_that_see_no_mean_are_an_exception() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    with torch.no_grad():
        conv.weight[:, 1] = -conv.weight[:, 0]
    with pytest.raises(ArgumentError, match="sum to zero over the channels"):
        NORMALISED.refute(conv, (4, 3))


def test_what_it_does_not_take() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="zero, reflect or circular padding"):
        VIT.construct(conv)
    circular = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    with pytest.raises(ArgumentError, match="zero padding"):
        CLASS.construct(circular)
    with pytest.raises(ArgumentError, match="ask for the layer"):
        VIT.refute(conv)


def test_a_wrong_layer_and_a_wrong_witness_are_found_out() -> None:
    conv, size = copy.deepcopy(CASES["3×3"][0]).double(), (4, 3)
    flipped = copy.deepcopy(conv)
    with torch.no_grad():
        flipped.weight.copy_(conv.weight.flip(3))
    assert relative_error(VIT.construct(flipped, size), conv, size) > 1e-2
    conv = nn.Conv2d(3, 2, 3, padding=1).double()
    honest = NORMALISED.refute(conv, size)
    inputs = honest.inputs.clone()
    inputs[:, 0] = 0  # no longer the same on all channels
    wrong = Witness.of(
        conv,
        inputs,
        honest.query,
        kind="normaliser",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound


def test_trained_layers_run_in_stock_attention() -> None:
    images, network = load_digit_images(), DigitsCNN()
    train(network, images, epochs=2)
    x, found = images.test_images[:50], 0
    with torch.no_grad():
        for module in network.features:
            if isinstance(module, nn.Conv2d):
                layer = FAMILIES["vit"].construct(module, tuple(x.shape[2:]))
                assert any(
                    isinstance(m, nn.MultiheadAttention) for m in layer.modules()
                )
                expected = module(x)
                error = (layer(x) - expected).abs().max() / expected.abs().max()
                assert error < 1e-5
                found += 1
            x = module(x)
    assert found == 4
