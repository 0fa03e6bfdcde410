"""Deconvolved heads on the package's smoothing, and layers with rings of heads."""

from collections.abc import Callable, Mapping
from itertools import product
from math import exp

import pytest
import torch
from torch import Tensor, nn

from expressivity.conversion import attention_from_conv
from expressivity.heads.smoothing import Axis, smoothing_matrix
from proofs.engine import Formula
from tests.oracles import exact_convolution

TERMS, TOKENS = 25, 61


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare what rings of heads leave with the bound and the leading constant."""
    inverse, bound = (formulas[name].function("math") for name in ("inverse", "bound"))
    for alpha in (0.7, 1.5, 6.0):
        for rings in (0, 1, 2):
            left = _left_over(inverse, alpha, rings)
            assert left <= bound(alpha, rings, TERMS) * (1 + 1e-9)
            if alpha == 6:
                assert left == pytest.approx(2 * exp(-alpha * (rings + 1)), rel=0.01)
    assert _left_over(inverse, 1.5, 18) < 1e-11
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for axes, rings in product((1, 2), (0, 1, 2)):
            _check_layer(inverse, bound, axes, rings)


def _factors(inverse: Callable[..., float], alpha: float, rings: int) -> Tensor:
    """Return Z a for the shifts −rings, …, rings."""
    weight = exp(-alpha)
    normaliser = 1 + 2 * sum(weight ** (n * n) for n in range(1, TERMS))
    half = [
        normaliser * inverse(alpha, ring, ring + TERMS) for ring in range(rings + 1)
    ]
    return torch.tensor(half[:0:-1] + half, dtype=torch.float64)


def _left_over(inverse: Callable[..., float], alpha: float, rings: int) -> float:
    """Return the sum of absolute values that heads about the middle leave."""
    axis = Axis(tokens=TOKENS, zeros_before=0, canvas=TOKENS)
    strength = torch.tensor(alpha, dtype=torch.float64)
    middle = TOKENS // 2
    targets = range(middle - rings, middle + rings + 1)
    rows = smoothing_matrix(axis, targets, strength.new_zeros(()), strength).dense()
    left = _factors(inverse, alpha, rings) @ rows
    left[middle] -= 1
    return float(left.abs().sum())


def _check_layer(
    inverse: Callable[..., float], bound: Callable[..., float], axes: int, rings: int
) -> None:
    """A layer with the factors in its kernel is near the convolution in the middle."""
    alpha, reach = 2.5, 1 + rings
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    conv = kind(1, 2, 3, padding=1).double()
    wide = kind(1, 2, 3 + 2 * rings, padding=reach).double()
    factors = _factors(inverse, alpha, rings)
    spread = conv.weight
    for axis in range(axes):
        moved = spread.movedim(2 + axis, -1)
        parts = nn.functional.pad(moved, (2 * rings, 2 * rings)).unfold(
            -1, len(factors), 1
        )
        spread = (parts @ factors).movedim(-1, 2 + axis)
    wide.weight.copy_(spread)
    wide.bias.copy_(conv.bias)
    layer = attention_from_conv(wide, alpha=alpha)
    assert layer.num_heads == (3 + 2 * rings) ** axes
    x = torch.rand(1, 1, *[21] * axes, dtype=torch.float64) * 2 - 1
    error = (layer(x) - exact_convolution(conv, x)).abs()
    for axis in range(axes):
        error = error.narrow(2 + axis, 8, 5)
    share = (1 + bound(alpha, rings, TERMS)) ** axes - 1
    largest = conv.weight.abs().sum(dim=tuple(range(1, axes + 2)))
    assert (error.flatten(2).amax((0, 2)) <= share * largest + 1e-13).all()
