"""Layers with and without zero tokens, on constant images."""

from collections.abc import Mapping
from dataclasses import replace
from math import exp

import pytest
import torch
from torch import nn

import expressivity as ex
from proofs.engine import Formula

PIXEL = 1.7


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare outputs at all queries, and hold errors above the bound."""
    constant, border, bound, seen = (
        formulas[name].function("math")
        for name in ("constant", "border", "bound", "seen")
    )
    image = torch.full((1, 1, 6, 5), PIXEL, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = nn.Conv2d(1, 1, 3, padding=1, dtype=torch.float64).requires_grad_(False)
        layer = ex.attention_from_conv(conv, alpha=40.0)
        bare = without_zero_tokens(layer)
    kernel, bias = conv.weight[0, 0], conv.bias.item()
    total, left = kernel.sum().item(), (kernel[0].sum() + kernel[1:, 0].sum()).item()
    corner, center = border(PIXEL, total, left, bias), border(PIXEL, total, 0, bias)
    for outputs in (conv(image)[0, 0], layer(image)[0, 0]):
        assert outputs[0, 0].item() == pytest.approx(corner, rel=1e-12)
        assert outputs[2, 2].item() == pytest.approx(center, rel=1e-12)
    found = bare(image)
    expected = torch.full_like(found, constant(PIXEL, total, bias))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    nearest = min(max(abs(y - corner), abs(y - center)) for y in found.flatten())
    assert nearest >= bound(corner, center) - 1e-13
    halfway = (corner + center) / 2
    assert bound(corner, center) == pytest.approx(abs(halfway - corner), rel=1e-13)
    check_witness(seen)


def without_zero_tokens(layer: ex.RelativeSelfAttention) -> ex.RelativeSelfAttention:
    """Return heads with the same matrices that attend anywhere, content included."""
    geometry = replace(layer.geometry, padding_mode="replicate")
    bare = ex.RelativeSelfAttention(1, 1, geometry, dtype=torch.float64, key_dim=2)
    bare.load_state_dict(layer.state_dict(), strict=False)
    with torch.no_grad():
        bare.alpha.copy_(torch.rand(9))
        bare.centers.normal_()
        bare.query_weight.normal_()
        bare.content_bias.normal_()
    return bare.requires_grad_(False)


def check_witness(seen) -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
    conv.requires_grad_(False).weight.copy_(torch.tensor([[[2.5, 0, 0]]]))
    for alpha, pixels in ((0.2, 1), (0.5, 4), (5.0, 3)):
        image = torch.full((1, 1, pixels), PIXEL, dtype=torch.float64)
        outputs = ex.attention_from_conv(conv, alpha=alpha)(image)[0, 0]
        expected = 2.5 * PIXEL * seen(exp(-alpha), pixels)
        assert outputs[0].item() == pytest.approx(expected, rel=1e-12)
