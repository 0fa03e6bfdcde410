"""Determinants and minors of the smoothing, and what its rows can be combined to."""

from collections.abc import Mapping, Sequence
from math import exp, log
from random import Random

import pytest
import torch
from torch import Tensor

from expressivity.heads.smoothing import Axis, smoothing_matrix
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare determinants and minors; solve for one-hot maps."""
    determinant, ratio = (
        formulas[name].function("math") for name in ("log_determinant", "cross_ratio")
    )
    random = Random(0)
    for alpha in (0.3, 0.9, 2.5):
        weight = exp(-alpha)
        for pixels in (1, 2, 3, 5):
            sign, found = torch.linalg.slogdet(_smoothing(alpha, pixels, range(pixels)))
            assert sign == 1
            expected = determinant(weight, pixels)
            assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        smoothing = _smoothing(alpha, 4, range(-2, 6))
        for _ in range(5):
            (t, later), (k, further) = (
                sorted(random.sample(range(size), 2)) for size in smoothing.shape
            )
            high = smoothing[t, further] * smoothing[later, k]
            low = smoothing[t, k] * smoothing[later, further]
            expected = ratio(weight, later - t, further - k)
            assert (high / low).item() == pytest.approx(expected, rel=1e-11)
    _check_one_query()
    _check_all_queries()


def _smoothing(alpha: float, pixels: int, targets: range) -> Tensor:
    axis = Axis(tokens=pixels, zeros_before=0, canvas=pixels)
    strength = torch.tensor(alpha, dtype=torch.float64)
    return smoothing_matrix(axis, targets, strength.new_zeros(()), strength).dense()


def _check_one_query() -> None:
    """Four heads at one query make up every one-hot row, off the canvas as well."""
    rows = _smoothing(0.8, 4, range(-3, 1))
    factors = torch.linalg.solve(rows.mT, torch.eye(4).double())
    assert (rows.mT @ factors - torch.eye(4)).abs().max() < 1e-9


def _check_all_queries() -> None:
    """Five shifts on three pixels are too few, but for one map at one strength."""
    right, itself = (1, 2, 2), (0, 1, 2)
    for alpha in (0.5, 1.0, 2.0):
        for read in (right, itself):
            assert _miss(alpha, 2, read) > 1e-3
            assert _miss(alpha, 3, read) < 1e-8
    assert _miss(-log(0.718049246325222), 2, itself) < 1e-12
    assert _miss(-log(0.718049246325222), 2, right) > 1e-3


def _miss(alpha: float, reach: int, read: Sequence[int]) -> float:
    """Return how far heads at all shifts within reach are from reading these pixels."""
    smoothing = _smoothing(alpha, 3, range(-reach, 3 + reach))
    heads = range(2 * reach + 1)
    maps = torch.stack([smoothing[head : head + 3].flatten() for head in heads], -1)
    wanted = torch.eye(3).double()[list(read)].flatten()
    factors = torch.linalg.lstsq(maps, wanted, driver="gelsd").solution
    return float((maps @ factors - wanted).abs().max())
