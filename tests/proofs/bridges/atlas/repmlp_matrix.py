"""RepMLP's fully connected layer with a convolution in it, entry by entry."""

from collections.abc import Callable, Mapping
from itertools import product

import pytest
import torch
from torch import nn

from expressivity.atlas.families.repmlp import construct
from expressivity.atlas.layers.repmlp import Normalised
from expressivity.geometry import ConvGeometry
from proofs.engine import Formula
from tests.oracles import exact_convolution

OPTIONS = (
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "padding": (0, 2), "stride": (1, 2), "dilation": (2, 1)},
    {"kernel_size": (1, 2), "groups": 2, "stride": 2, "dilation": (1, 3)},
)
SIZE = 3, 5


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare matrices, what taps read, and normalisers that are taken in."""
    functions = {name: formula.function("math") for name, formula in formulas.items()}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for options in OPTIONS:
            conv = nn.Conv2d(2, 4, **options).double()
            layer, x = construct(conv, SIZE), torch.randn(1, 2, *SIZE).double()
            torch.testing.assert_close(
                layer(x), exact_convolution(conv, x), rtol=0, atol=1e-13
            )
            _check_entries(conv, layer.fc3.weight, functions["entry"])
            _check_places(conv, functions["reads"])
        _check_normaliser(functions["scale"], functions["shift"])


def _check_entries(
    conv: nn.Conv2d, matrix: torch.Tensor, entry: Callable[..., float]
) -> None:
    rows, columns = ConvGeometry.from_conv(conv).output_size(SIZE)
    channels = conv.in_channels // conv.groups
    blocks = matrix.reshape(conv.out_channels, rows, columns, channels, *SIZE)
    kernel = conv.weight
    (first, second) = (
        (conv.kernel_size[i], conv.stride[i], conv.dilation[i], conv.padding[i])
        for i in (0, 1)
    )

    def tap(o: int, c: int, u: int, v: int) -> float:
        inside = 0 <= u < first[0] and 0 <= v < second[0]
        return kernel[o, c, int(u), int(v)].item() if inside else 0.0

    for o, p, q, c, i, j in product(*map(range, blocks.shape)):
        if (o + c + p + q) % 4:
            continue  # a quarter of them will do

        def along(u: int, o: int = o, c: int = c, q: int = q, j: int = j) -> float:
            return entry(q, j, *second, lambda v: tap(o, c, u, v))

        assert blocks[o, p, q, c, i, j].item() == entry(p, i, *first, along)


def _check_places(conv: nn.Conv2d, reads: Callable[..., int]) -> None:
    """Compare what torch's convolution reads with the formula, along the last axis."""
    axis = conv.kernel_size[1], conv.stride[1], conv.dilation[1], conv.padding[1]
    taps, stride, dilation, padding = axis
    places = torch.arange(100.0, 100.0 + SIZE[1])[None, None]
    reading = torch.eye(taps)[:, None]
    read = nn.functional.conv1d(places, reading, None, stride, padding, dilation)[0]
    for u, p in product(*map(range, read.shape)):
        place = reads(p, u, stride, dilation, padding)
        on_image = 0 <= place < SIZE[1]
        assert read[u, p].item() == (100 + place if on_image else 0)


def _check_normaliser(scale: Callable[..., float], shift: Callable[..., float]) -> None:
    branch = Normalised(nn.Conv2d(1, 3, 1, bias=False)).double()
    norm = branch.norm
    for parameter in (norm.weight, norm.bias, norm.running_mean):
        parameter.normal_()
    norm.running_var.uniform_(0.5, 2)
    weight, constant = branch.fused()
    numbers = zip(
        norm.weight.tolist(),
        norm.bias.tolist(),
        norm.running_mean.tolist(),
        norm.running_var.tolist(),
        strict=True,
    )
    for output, (gamma, beta, mean, variance) in enumerate(numbers):
        factor = (weight[output] / branch.conv.weight[output]).item()
        assert factor == pytest.approx(scale(gamma, variance, norm.eps), rel=1e-12)
        expected = shift(gamma, beta, mean, variance, norm.eps)
        assert constant[output].item() == pytest.approx(expected, rel=1e-12, abs=1e-13)
