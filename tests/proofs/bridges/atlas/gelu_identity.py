"""Torch's GELU, and the perceptrons of MLP-Mixer."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from expressivity.atlas.families.mixer import construct_feed_forward, construct_mixer
from expressivity.atlas.token_mixing import linear_mlp, toothed_mlp
from proofs.engine import Formula
from tests.oracles import exact_convolution


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare activations, linear perceptrons, teeth and whole blocks."""
    gelu, approximation, mixed, tooth = (
        formulas[name].function("math")
        for name in ("gelu", "gelu_tanh", "mixed", "tooth")
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        x = 3 * torch.randn(20, dtype=torch.float64)
        for function, kind in ((gelu, "none"), (approximation, "tanh")):
            found = functional.gelu(x, approximate=kind)
            values = [function(number) for number in x.tolist()]
            np.testing.assert_allclose(found, values, rtol=1e-13, atol=1e-15)
        matrix, token = torch.randn(3, 3).double(), torch.randn(3).double()
        linear = linear_mlp(matrix)(token[None, None])[0, 0]
        torch.testing.assert_close(linear, matrix @ token, rtol=1e-13, atol=1e-14)
        for row, number in enumerate(linear.tolist()):
            parts = matrix.tolist(), np.eye(3).tolist(), token.tolist()
            assert number == pytest.approx(_formula(mixed, row, *parts), abs=1e-13)
        _check_teeth(tooth)
        _check_blocks()


def _formula(
    mixed: Callable[..., float],
    row: int,
    readout: list[list[float]],
    forms: list[list[float]],
    token: list[float],
) -> float:
    size = len(token)
    return mixed(
        row + 1,
        size,
        size,
        lambda p, l: readout[(int(p) - 1) % size][(int(l) - 1) % size],
        lambda l, j: forms[(int(l) - 1) % size][(int(j) - 1) % size],
        lambda j: token[(int(j) - 1) % size],
    )


def _check_teeth(tooth: Callable[[float, float], float]) -> None:
    """A sharp tooth is that of ReLU, up to the tail of a hinge."""
    levels = torch.tensor([-3.0, 3.0], dtype=torch.float64)
    first_only = torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None]
    mlp = toothed_mlp(first_only, levels, bound=0.8, tail=math.exp(-40))
    for x in (-9.0, -4.1, -0.8, 0.0, 0.3, 0.79, 4.0, 5.2):
        found = mlp(torch.full((1, 1, 1), x - 3, dtype=torch.float64)).item()
        assert found == pytest.approx(tooth(x, 0.8), abs=1e-13)


def _check_blocks() -> None:
    """Blocks compute a convolution whose taps are multiples of one matrix."""
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    conv.weight.copy_(torch.randn(3, 2, 1, 1).double() * torch.randn(3, 3).double())
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    for construct in (construct_mixer, construct_feed_forward):
        found = construct(conv, (3, 4))(x)
        torch.testing.assert_close(
            found, exact_convolution(conv, x), rtol=0, atol=1e-13
        )
