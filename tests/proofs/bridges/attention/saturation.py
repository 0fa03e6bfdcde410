"""Where the package calls a dtype saturated, and what torch's softmax then holds."""

from collections.abc import Mapping
from math import exp

import torch
from mpmath import mpf

from expressivity.heads.encoding import positional_scores
from expressivity.heads.leak import saturation_alpha
from proofs.engine import Formula

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Weights are off by an ulp or two, so a threshold is tried at a distance from it.
APART = 1e-3


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare both thresholds of every dtype."""
    for dtype in DTYPES:
        for axes in (1, 2, 3):
            _check_saturation(formulas, dtype, axes)
        _check_two_scores(formulas, dtype)
        _check_underflow(formulas, dtype)


def _check_saturation(
    formulas: Mapping[str, Formula], dtype: torch.dtype, axes: int
) -> None:
    """Find the package's strength in the proved interval, and the softmax one-hot."""
    saturation, earliest, latest = (
        formulas[name].function() for name in ("saturation", "earliest", "latest")
    )
    half_ulp = torch.finfo(dtype).eps / 2
    found = saturation_alpha(dtype, axes)
    # It is bisected to twelve digits.
    assert earliest(axes, half_ulp) * (1 - 1e-12) <= found
    assert found <= saturation(axes, half_ulp) * (1 + 1e-12)
    if dtype in (torch.float32, torch.float64):
        alpha = float(latest(axes, half_ulp)) + APART
        scores = positional_scores(
            torch.tensor([alpha], dtype=dtype),
            torch.zeros(1, axes, dtype=dtype),
            [range(2, 3)] * axes,
            [5] * axes,
        )
        probabilities = scores.softmax(-1).flatten().sort(descending=True).values
        assert probabilities[0] == 1
        assert probabilities[1:].sum() <= half_ulp


def _check_two_scores(formulas: Mapping[str, Formula], dtype: torch.dtype) -> None:
    """One neighbour in all: 2d = 1."""
    saturation = formulas["saturation"].function()
    half_ulp = torch.finfo(dtype).eps / 2
    wide = dtype in (torch.float32, torch.float64)
    # Half precision is computed in float32 and rounded afterwards.
    threshold = saturation(0.5, half_ulp if wide else half_ulp / 2)
    for shift in (-APART, APART):
        alpha = float(threshold) + (shift if wide else 10 * shift)
        scores = torch.tensor([0, -alpha], dtype=dtype if wide else torch.float32)
        assert (scores.softmax(0).to(dtype)[0] == 1) == (shift > 0)


def _check_underflow(formulas: Mapping[str, Formula], dtype: torch.dtype) -> None:
    """Exponentials, and softmaxes where they are computed in the dtype itself."""
    info = torch.finfo(dtype)
    threshold = formulas["underflow"].function()
    alpha = float(threshold(mpf(info.smallest_normal), mpf(info.eps / 2)))
    for shift in (-APART, APART):
        weight = torch.tensor(exp(-alpha - shift), dtype=torch.float64).to(dtype)
        assert (weight == 0) == (shift > 0)
        if dtype in (torch.float32, torch.float64):
            scores = torch.tensor([0, -alpha - shift], dtype=dtype)
            assert (scores.exp()[1] == 0) == (shift > 0)
            assert (scores.softmax(0).tolist() == [1, 0]) == (shift > 0)
