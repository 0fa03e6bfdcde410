"""Ranks of random heads, and what a small head dimension cuts off."""

from collections.abc import Callable, Mapping
from math import sqrt

import pytest
import torch
from torch import Tensor

import expressivity as ex
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare ranks and errors of layers with the formulas."""
    rank, tail = (formulas[name].function("math") for name in ("rank", "tail"))
    torch.manual_seed(0)
    geometry = ex.ConvGeometry.create((2,))
    for size in ((2, 4, 5), (4, 3, 6), (3, 5, 2), (3, 3, 3)):
        dim, channels, outputs = size
        layer = ex.RelativeSelfAttention(channels, outputs, geometry, head_dim=dim)
        ranks = torch.linalg.matrix_rank(layer.double().heads().matrices())
        assert (ranks == rank(*size)).all()
    conv = torch.nn.Conv1d(5, 4, 3, padding=1).double()
    for dim in (1, 2, 3):
        kept = ex.attention_from_conv(conv, head_dim=dim).heads().matrices()[:, 0]
        errors = ex.accuracy.truncation_error(conv, dim)
        for tap, (matrix, error) in enumerate(zip(kept, errors, strict=True)):
            weight = conv.weight[..., tap]
            expected = sqrt(tail(_values(weight), dim, 4))
            assert error.item() == pytest.approx(expected, rel=1e-12)
            missing = (matrix - weight).norm().item()
            assert missing == pytest.approx(expected, rel=1e-12)
    _check_low_rank(conv)


def _values(weight: Tensor) -> Callable[[int], float]:
    """Return the singular values, counted from one; the others are zero."""
    values = dict(enumerate(torch.linalg.svdvals(weight.detach()).tolist(), start=1))
    return lambda place: values.get(place, 0.0)


def _check_low_rank(conv: torch.nn.Conv1d) -> None:
    """Heads of dimension two compute taps of rank two, of a kernel of rank four."""
    with torch.no_grad():
        factors = torch.randn(2, 3, 4, 2).double(), torch.randn(2, 3, 2, 5).double()
        conv.weight.copy_((factors[0][0] @ factors[1][0]).movedim(0, -1))
        assert torch.linalg.matrix_rank(conv.weight.flatten(1)) == 4
        assert ex.accuracy.truncation_error(conv, 2).max() < 1e-13
        x = torch.randn(2, 5, 7).double()
        attention = ex.attention_from_conv(conv, head_dim=2)
        torch.testing.assert_close(attention(x), conv(x), rtol=0, atol=1e-12)
