"""Probabilities of the layer on canvases of two levels, and their bounds on others."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest
import torch

from expressivity.attention import RelativeSelfAttention
from expressivity.geometry import ConvGeometry
from expressivity.heads.encoding import axis_scores
from expressivity.heads.smoothing import Axis, axis_limit, smoothing_matrix
from proofs.engine import Formula

# Size, target, nearest pixels, and how far all the others are behind.
TWO_LEVELS = [
    ((2,), (0,), 1, 1),
    ((3,), (1,), 1, 1),
    ((4,), (1.5,), 2, 2),
    ((2,), (1.25,), 1, 1.5),
    ((2, 4), (0.5, 1.5), 4, 2),
    ((1, 3), (0, 1), 1, 1),
    ((2, 2, 2), (0.5, 0.5, 1), 4, 1),
]
ROUNDING = 1e-13


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare where the formulas are exact, and hold the layer to the bounds."""
    functions = {name: f.function("math") for name, f in formulas.items()}
    nearest, other, missed, half_gap = (
        functions[name] for name in ("nearest", "other", "missed", "half_gap")
    )
    random = Random(0)
    for size, target, ties, gap in TWO_LEVELS:
        alpha = random.uniform(0.1, 3)
        found = _probabilities(size, target, alpha)
        expected = nearest(alpha, gap, ties, len(found))
        rest = (1 - ties * expected) / max(1, len(found) - ties)
        assert found[:ties] == pytest.approx([expected] * ties, rel=ROUNDING)
        assert found[ties:] == pytest.approx([rest] * (len(found) - ties), rel=1e-12)
    for _ in range(40):
        size = [random.randint(1, 5) for _ in range(random.randint(1, 3))]
        target = [random.randint(-4, 4 * keys) / 4 for keys in size]
        behind = _gaps(size, target)
        ties = behind.count(0)
        if ties == len(behind):
            continue
        known = random.uniform(0.1, 9), behind[ties], ties
        found = _probabilities(size, target, known[0])
        assert min(found[:ties]) >= nearest(*known, len(found)) * (1 - ROUNDING)
        assert max(found[:ties]) <= 1 / ties * (1 + ROUNDING)
        assert max(found[ties:]) <= other(*known) * (1 + ROUNDING)
        assert sum(found[ties:]) <= missed(*known, len(found)) * (1 + ROUNDING)
    _check_limits(missed, half_gap)


def _check_limits(missed, half_gap) -> None:
    keys, alpha = 7, torch.tensor(20.0, dtype=torch.float64)
    targets, none = range(-3, 10), torch.zeros((), dtype=torch.float64)
    soft = smoothing_matrix(Axis(keys, 0, keys), targets, none, alpha).dense()
    hard = axis_limit(torch.tensor(targets), keys, torch.float64)
    assert (soft - hard).abs().max() <= missed(20, 1, 1, keys)
    between = torch.tensor([2.5], dtype=torch.float64)
    scores = axis_scores(between, torch.arange(keys), alpha)[0].tolist()
    behind = [half_gap(j) for j in (2, 1, 0, 0, 1, 2, 3)]
    assert [(max(scores) - score) / 20 for score in scores] == pytest.approx(behind)


def _probabilities(
    size: Sequence[int], target: Sequence[float], alpha: float
) -> list[float]:
    """Return what the query at the origin attends to, the most likely key first."""
    geometry = ConvGeometry.create((1,) * len(size))
    layer = RelativeSelfAttention(1, 1, geometry).double()
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.centers.copy_(torch.tensor(target))
        found = layer.attention_probabilities(size=size)[0, 0]
    return sorted(found.tolist(), reverse=True)


def _gaps(size: Sequence[int], target: Sequence[float]) -> list[float]:
    """Return how far each key is behind the nearest, exactly, in ascending order."""
    keys = torch.cartesian_prod(*map(torch.arange, size)).reshape(-1, len(size))
    squares = (keys - torch.tensor(target)).square().sum(-1)
    return sorted((squares - squares.min()).tolist())
