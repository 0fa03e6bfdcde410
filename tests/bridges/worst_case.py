"""Worst cases of layers: from their rows, and from formulas of short kernels."""

from collections.abc import Mapping
from math import exp

import torch
from torch import nn

import expressivity as ex
from expressivity.heads.leak import leak
from proofs.engine import Formula
from tests import oracles


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare rows, the inputs that attain them, and the bound for every size."""
    generator = torch.Generator().manual_seed(0)
    worst, row_norm, bound, one_tap, two_taps = (
        formulas[name].function("math")
        for name in ("worst", "row_norm", "bound", "one_tap", "two_taps")
    )
    check_rows(worst, generator)
    check_bound(bound, generator)
    layer = ex.attention_from_conv(random_conv(generator, 1, 1, 2), alpha=0.7)
    for row, target in zip(
        layer.attention_probabilities(size=(5,))[0], range(4), strict=True
    ):
        kept = row[target].item()
        deviation = row.sum().item() - 2 * kept + 1
        torch.testing.assert_close(row_norm(1 - kept), deviation, rtol=1e-13, atol=0)
    for alpha, pixels in ((0.4, 2), (1.5, 5), (9.0, 3)):
        conv, other = (random_conv(generator, 1, 1, taps) for taps in (1, 2))
        found = ex.worst_case_error(conv, alpha=alpha, size=(pixels,)).item()
        weight, spots = conv.weight.item(), range(1, pixels + 1)
        rows = [one_tap(weight, exp(-alpha), spot, pixels) for spot in spots]
        torch.testing.assert_close(found, max(rows), rtol=1e-11, atol=0)
        found = ex.worst_case_error(other, alpha=alpha, size=(2,)).item()
        expected = two_taps(*other.weight.flatten().tolist(), exp(-alpha))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def check_rows(worst, generator: torch.Generator) -> None:
    conv = random_conv(generator, 2, 3, 3)
    layer = ex.attention_from_conv(conv, alpha=1.3)
    layer.bias.data += torch.randn(3, generator=generator, dtype=torch.float64)
    constants = (layer.bias - conv.bias).tolist()
    size, bound = (6,), 2.5
    rows = oracles.operator(layer, 2, size) - oracles.operator(conv, 2, size)
    found = ex.worst_case_error(layer, conv, size=size).tolist()
    for channel, norms in enumerate(rows.abs().sum(0)):
        norm, place = norms.max(0)
        constant = constants[channel]
        expected = worst(1, norm.item(), constant)
        torch.testing.assert_close(found[channel], expected, rtol=1e-12, atol=0)
        signs = rows[:, channel, place].sign().reshape(1, 2, *size)
        x = bound * signs * (1 if constant > 0 else -1)
        error = (layer(x) - conv(x))[0, channel, place].abs().item()
        expected = worst(bound, norm.item(), constant)
        torch.testing.assert_close(error, expected, rtol=1e-12, atol=0)


def check_bound(bound, generator: torch.Generator) -> None:
    conv = random_conv(generator, 3, 1, 4)
    layer = ex.attention_from_conv(conv)
    layer.alpha.data = torch.tensor([0.3, 1.0, 2.0, 9.0], dtype=torch.float64)
    (projection,) = (
        weight
        for weight in (layer.value_weight, layer.output_weight)
        if weight is not None
    )
    spare = torch.randn(projection.shape, generator=generator, dtype=torch.float64)
    projection.data += spare
    found = ex.worst_case_error(layer, conv).item()
    sizes = [matrix.abs().sum(dim=(0, 1, 2)).tolist() for matrix in (projection, spare)]
    leaks = [leak(strength, 1) for strength in layer.alpha.tolist()]
    expected = sum(map(bound, leaks, *sizes))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def random_conv(
    generator: torch.Generator, channels: int, outputs: int, taps: int
) -> nn.Conv1d:
    conv = nn.Conv1d(channels, outputs, taps, padding=taps // 3, dtype=torch.float64)
    for parameter in conv.parameters():
        parameter.data = torch.randn(
            parameter.shape, generator=generator, dtype=torch.float64
        )
    return conv.requires_grad_(False)
