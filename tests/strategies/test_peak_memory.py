"""What strategies hold at once is a few inputs and outputs, however large those."""

from dataclasses import replace

import pytest
import torch

import expressivity as ex
from expressivity.strategies import STRATEGIES
from tests import allocations
from tests.cases import BASE, BASE_1D, Case

SQUARE = replace(BASE, kernel_size=(1, 2), in_channels=8, padding=0)
LINE = replace(BASE_1D, kernel_size=(2,), in_channels=8)
# Numbers held per number of input and output. Kernels for attention keep factors,
# values and outputs of every head for their backward pass.
MOST = {"separable": 20, "fused": 90}
OPTIONS = {
    "saturated": {},
    "soft": {"alpha": 1.0},
    "truncated": {"alpha": 1.0, "head_dim": 2},
    "content": {"alpha": 1.0},
}
SIZES = {"separable": (32, 64, 128), "fused": (16, 32, 64), "dense": (8, 16, 32)}
NO_CONTENT = ("separable", "content")
# From one size to the last there are sixteen times as many pixels.
GROWTH = 1.3
each_pass = pytest.mark.parametrize("trained", [False, True])


def held(case: Case, strategy: str, heads: str, *, trained: bool) -> float:
    """Return the most bytes held at once, in units of input and output."""
    conv, x = case.conv(torch.float32), case.input(1, dtype=torch.float32)
    options = OPTIONS.get(heads, {"alpha": 1.0})
    layer = ex.attention_from_conv(conv, strategy=strategy, **options)
    if heads == "content":
        torch.nn.init.normal_(layer.add_content_terms(4).query_weight, std=0.1)
    if heads == "table":
        layer.add_table((-1, -1), (3, 4))
    taken = allocations.peak_bytes_of_pass(layer, x, trained=trained)
    return taken / (x.nbytes + conv(x).nbytes)


@each_pass
@pytest.mark.parametrize(
    ("strategy", "heads"),
    [
        (strategy.name, heads)
        for strategy in STRATEGIES
        for heads in OPTIONS
        if strategy.name in MOST and (strategy.name, heads) != NO_CONTENT
    ],
)
def test_is_linear_in_the_pixels(strategy: str, heads: str, trained: bool) -> None:
    first, *others = (
        held(replace(SQUARE, size=(side, side)), strategy, heads, trained=trained)
        for side in SIZES[strategy]
    )
    assert max(first, *others) < MOST[strategy]
    assert others[-1] < GROWTH * first


@each_pass
def test_is_linear_in_the_pixels_with_a_table(trained: bool) -> None:
    first, second = (
        held(replace(SQUARE, size=(side, side)), "auto", "table", trained=trained)
        for side in (32, 128)
    )
    assert max(first, second) < MOST["separable"]
    assert second < GROWTH * first


@each_pass
def test_is_quadratic_in_the_pixels_for_dense(trained: bool) -> None:
    first, second, third = (
        held(replace(SQUARE, size=(side, side)), "dense", "soft", trained=trained)
        for side in SIZES["dense"]
    )
    assert second > 2 * first
    assert third > 3 * second > MOST["fused"]


@each_pass
@pytest.mark.parametrize("heads", ["saturated", "soft", "truncated"])
def test_is_linear_on_a_long_axis(heads: str, trained: bool) -> None:
    """Where a full matrix along the axis would be quadratic."""
    first, second = (
        held(replace(LINE, size=(length,)), "separable", heads, trained=trained)
        for length in (1_000, 16_000)
    )
    # Blocks of 32 rows and some 40 columns, of a matrix for 16 channels.
    assert max(first, second) < 3 * MOST["separable"]
    assert second < GROWTH * first


@each_pass
def test_is_linear_with_heads_off_their_taps(trained: bool) -> None:
    case = replace(SQUARE, size=(64, 64))
    conv, x = case.conv(torch.float32), case.input(1, dtype=torch.float32)
    layer = ex.attention_from_conv(conv)
    with torch.no_grad():
        layer.centers[0, 0] -= 7
        layer.centers[1, 1] += 9

    def run() -> None:
        with torch.set_grad_enabled(trained):
            output = layer(x)
        if trained:
            output.sum().backward()

    assert allocations.peak_bytes(run) < MOST["separable"] * (x.nbytes + conv(x).nbytes)
