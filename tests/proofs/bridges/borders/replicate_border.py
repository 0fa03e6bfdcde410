"""Rows of targets off the canvas, and torch's own replicate padding."""

from collections.abc import Mapping

import pytest
import torch
from mpmath import exp, mp
from torch import nn

import expressivity as ex
from expressivity.heads.smoothing import Axis, axis_limit, smoothing_matrix
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare leaks along an axis, the pixel that wins, and the limit."""
    gap = formulas["gap"].function("math")
    leak, upper, lower = (
        formulas[name].function() for name in ("leak", "upper", "lower")
    )
    for alpha in (0.1, 0.7, 3.0, 20.0):
        strength = torch.tensor(alpha, dtype=torch.float64)
        for behind, outside in ((1, 0), (1, 3), (3, 1), (6, 2)):
            axis = Axis(tokens=behind + 1, zeros_before=0, canvas=behind + 1)
            spots = range(-outside, behind + outside + 1)
            rows = smoothing_matrix(axis, spots, 0 * strength, strength).dense()
            gaps = [gap(steps, outside) for steps in range(behind + 1)]
            weights = (-strength * torch.tensor(gaps)).exp()
            with mp.workdps(200):
                leaked = leak(exp(-alpha), outside, behind)
                bounds = [bound(exp(-alpha), outside) for bound in (lower, upper)]
                # Two pixels attain the lower one.
                assert bounds[0] * (1 - mp.mpf("1e-100")) <= leaked <= bounds[1]
            for row in (rows[0], rows[-1].flip(0)):
                # Weights below eps² of the largest are zero.
                cut = torch.finfo(row.dtype).eps ** 2
                torch.testing.assert_close(row / row[0], weights, rtol=1e-12, atol=cut)
                found = row[1:].sum().item()
                assert found == pytest.approx(float(leaked), rel=1e-13, abs=6 * cut)
    check_limit()


def check_limit() -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(
        2, 3, (3, 2), padding=2, padding_mode="replicate", dtype=torch.float64
    ).requires_grad_(False)
    x = torch.randn(1, 2, 4, 3, generator=generator, dtype=torch.float64)
    layer = ex.attention_from_conv(conv, alpha=40.0)
    torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-14)
    limits = [
        axis_limit(
            torch.tensor([q + center for q in range(start, stop)]), keys, x.dtype
        )
        for center, start, stop, keys in ((-1, -1, 5, 4), (1, -2, 4, 3))
    ]
    # The head of the first row and the last column.
    found = layer.attention_probabilities(size=(4, 3))[1]
    torch.testing.assert_close(found, torch.kron(*limits), rtol=0, atol=1e-14)
