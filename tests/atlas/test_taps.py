"""Heads that carry the taps of a convolution, in layers of any width."""

import pytest
import torch
from torch import nn

from expressivity.atlas.taps import carry, factored, full_taps, tap_factors, zeroed
from expressivity.geometry import ConvGeometry


def conv(**options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 2, (2, 3), **options).double()


@pytest.mark.parametrize("groups", [1, 2])
def test_taps_are_the_weights_with_zeros_between_groups(groups: int) -> None:
    convolution = conv(groups=groups)
    taps = full_taps(convolution)
    assert taps.shape == (6, 2, 4)
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64)
    pixels = x.flatten(2)[0].mT  # one window: each tap reads one pixel
    outputs = torch.einsum("toc,tc->o", taps, pixels) + convolution.bias
    torch.testing.assert_close(outputs, convolution(x)[0, :, 0, 0])
    assert len(taps) == len(ConvGeometry.from_conv(convolution).centers())


def test_factors_are_as_narrow_as_the_largest_rank() -> None:
    matrices = torch.zeros(3, 4, 5, dtype=torch.float64)
    matrices[0, 1, 2] = matrices[1, 0, 0] = matrices[1, 3, 4] = 1.0
    value, output = factored(matrices)
    assert (value.shape, output.shape) == ((3, 2, 5), (3, 4, 2))
    torch.testing.assert_close(output @ value, matrices)


@pytest.mark.parametrize("linear", [True, False], ids=["linear", "1×1 convolution"])
@pytest.mark.parametrize("wider", [0, 3])
def test_projections_may_be_wider_than_the_factors(linear: bool, wider: int) -> None:
    """What the factors leave free becomes zero, whatever it held."""
    convolution = conv()
    values, outputs = factors = tap_factors(convolution)
    heads, rank, channels = values.shape
    width = heads * (rank + wider)
    make = nn.Linear if linear else lambda a, b: nn.Conv2d(a, b, 1)
    value, output = make(channels + wider, width), make(width, 2 + wider)
    value, output = value.double(), output.double()
    carry(convolution, value, output, factors)
    read = value.weight.flatten(1).unflatten(0, (heads, -1))
    write = output.weight.flatten(1).unflatten(1, (heads, -1)).movedim(1, 0)
    expected = torch.zeros(heads, 2 + wider, channels + wider, dtype=torch.float64)
    expected[:, :2, :channels] = full_taps(convolution)
    torch.testing.assert_close(write @ read, expected)
    assert not value.bias.any()
    assert output.bias[:2].equal(convolution.bias)
    assert not output.bias[2:].any()
    assert read[:, :rank, :channels].equal(values)
    assert write[:, :2, :rank].equal(outputs)


def test_a_layer_of_zeros_is_in_float64() -> None:
    layer = zeroed(nn.LayerNorm(3))
    assert layer.weight.dtype == torch.float64
    assert not any(parameter.any() for parameter in layer.parameters())
