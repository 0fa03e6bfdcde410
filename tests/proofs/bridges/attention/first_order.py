"""Rows of the layer at every border, its error on an input, and one axis alone."""

from collections.abc import Mapping
from math import exp, prod

import pytest
import torch
from torch import Tensor, nn

from expressivity.accuracy import first_order_error
from expressivity.conversion import attention_from_conv
from expressivity.heads.smoothing import Axis, smoothing_matrix
from proofs.engine import Formula
from tests.cases import Case

ROUNDING = 1e-14  # of float64, in sums of a few dozen numbers of size one
KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def check(formulas: Mapping[str, Formula]) -> None:
    """Compare the first order, and hold the rest below its bounds."""
    for size in ((6,), (5, 3), (4, 1), (3, 3, 3)):
        _check_rows(formulas, size)
    for mode, padding in (("zeros", 1), ("reflect", 1), ("replicate", 2)):
        _check_input(formulas, mode, padding)
    _check_one_axis(formulas)


def _remainder(conv: nn.Module, x: Tensor, alpha: float) -> Tensor:
    attention = attention_from_conv(conv, alpha=alpha, strategy="dense")
    return attention(x) - conv(x) - first_order_error(conv, x, alpha=alpha)


def _check_rows(formulas: Mapping[str, Formula], size: tuple[int, ...]) -> None:
    """Read all rows off a basis of inputs; the targets go one pixel off the canvas."""
    axes = len(size)
    neighbour, target, remainder, most_off = (
        formulas[name].function("math")
        for name in ("neighbour", "target", "remainder", "off")
    )
    # One output channel a tap: a row of the layer is then the row of one head.
    taps = 3**axes
    conv = KINDS[axes - 1](
        1, taps, 3, padding=1, padding_mode="replicate", bias=False, dtype=torch.float64
    )
    conv.weight.copy_(torch.eye(taps).reshape(conv.weight.shape))
    basis = torch.eye(prod(size), dtype=torch.float64).reshape(-1, 1, *size)

    keys = torch.cartesian_prod(*map(torch.arange, size)).reshape(-1, axes)
    centers = torch.cartesian_prod(*[torch.arange(-1, 2)] * axes).reshape(-1, 1, axes)
    targets = (keys + centers)[:, :, None]
    nearest = targets.clamp(torch.zeros(axes).long(), torch.tensor(size) - 1)
    steps = (keys - nearest).abs()
    hit = (steps.sum(-1) == 0).double()
    near = ((steps * (targets == nearest)).sum(-1) == 1) & (steps.sum(-1) == 1)
    near = near.double()
    count = near.sum(-1, keepdim=True)

    small = exp(-2.5)
    found = first_order_error(conv, basis, alpha=2.5).flatten(2).permute(1, 2, 0)
    expected = hit * target(small, count) + near * neighbour(small)
    torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=0)

    for alpha in (0.3, 2.0, 9.0):
        small = exp(-alpha)
        norm = _remainder(conv, basis, alpha).abs().sum(0).max()
        bound = remainder(small, axes)
        assert norm <= bound + ROUNDING
        rows = attention_from_conv(conv, alpha=alpha).attention_probabilities(size=size)
        others = (rows * (1 - hit - near)).sum(-1)
        assert others.max() <= most_off(small, axes) * (1 + ROUNDING)
    if min(size) > 2:  # a pixel with all neighbours: λ ≥ 2dε − 2d(d + 1)ε²
        assert norm >= bound * (1 - (axes + 1) * small) - ROUNDING


def _check_input(formulas: Mapping[str, Formula], mode: str, padding: int) -> None:
    """Hold the rest of the error on an input to its bound and to its order."""
    bound = formulas["remainder"].function("math")
    case = Case(padding=padding, padding_mode=mode)
    conv, x = case.conv(), case.input()
    norms = conv.weight.abs().sum((1, 2, 3)) * x.abs().max()
    largest = []
    for alpha in (0.3, 9.0, 11.0):
        error = _remainder(conv, x, alpha).abs().amax((0, 2, 3))
        assert (error <= bound(exp(-alpha), 2) * norms + ROUNDING).all()
        largest.append(float(error.max()))
    # Third order and beyond: some dozens of ε.
    assert largest[-1] / largest[-2] == pytest.approx(exp(-2 * 2), rel=50 * exp(-9))


def _check_one_axis(formulas: Mapping[str, Formula]) -> None:
    """Compare the smoothing with its truncation, in the interior and at the ends."""
    truncated, truncation = (
        formulas[name].function("math") for name in ("truncated", "truncation")
    )
    pixels, axis = 9, Axis(tokens=9, zeros_before=0, canvas=9)
    near = torch.eye(pixels, dtype=torch.float64)
    near = near.roll(1, 0).tril() + near.roll(-1, 0).triu()
    count = near.sum(1)
    for alpha in (0.5, 2.0, 6.0):
        strength, center = torch.tensor([alpha, 0.0], dtype=torch.float64)
        found = smoothing_matrix(axis, range(pixels), center, strength).dense()
        factor = truncated(exp(-alpha), count)[:, None]
        expected = torch.eye(pixels) + factor * (near - count.diag())
        rest = (found - expected).abs().sum(1).max()
        assert rest <= truncation(exp(-alpha)) + ROUNDING
