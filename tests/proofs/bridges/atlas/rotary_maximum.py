"""Frequencies, gaps and scores of rotary and sinusoidal heads."""

from collections.abc import Callable, Mapping
from math import sqrt

import pytest
import torch
from torch import nn

from expressivity.atlas.families.rope import construct
from expressivity.atlas.families.sinusoidal import rotations
from expressivity.atlas.layers.rope import rotated
from expressivity.atlas.layers.sinusoidal import frequencies, gap, sinusoids
from proofs.engine import Formula

ALPHA = 7.0


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare numbers of an axis, and the scores of a layer."""
    score, frequency, fall = (
        formulas[name].function("math") for name in ("score", "frequency", "fall")
    )
    for dimension in (2, 8, 20, 64):
        theta = frequencies(dimension)
        pairs = range(dimension // 2)
        expected = [frequency(pair, dimension) for pair in pairs]
        assert theta.tolist() == pytest.approx(expected, rel=1e-14)
        for tokens in (2, 7, 64):
            falls = [fall(len(theta), n, _reader(theta)) for n in range(1, tokens)]
            assert gap(theta, (tokens,)) == pytest.approx(min(falls), rel=1e-9)
    assert 0.208 < gap(frequencies(8), (64,)) < 0.209
    assert 1.083 < gap(frequencies(64), (64,)) < 1.084
    _check_sinusoids(score)
    _check_layer(score)


def _reader(theta: torch.Tensor) -> Callable[[int], float]:
    numbers = theta.tolist()
    return lambda f: numbers[int(f) % len(numbers)]


def _check_sinusoids(score: Callable[..., float]) -> None:
    places = torch.arange(9, dtype=torch.float64)[:, None]
    theta, encoding = frequencies(10), sinusoids(places, 10)
    for center in (-3.0, 0.0, 2.0):
        turned = rotations(torch.tensor([[center]], dtype=torch.float64), theta)[0]
        found = encoding @ turned.mT @ encoding.mT
        for query, row in enumerate(found.tolist()):
            expected = [score(5, k - query, center, _reader(theta)) for k in range(9)]
            assert row == pytest.approx(expected, abs=1e-12)


def _check_layer(score: Callable[..., float]) -> None:
    """Compare the scores of heads on one axis, in units of their strength."""
    with torch.no_grad():
        conv = nn.Conv1d(1, 1, 3, padding=1).double()
        layer = construct(conv, (6,), ALPHA).layer
        theta = frequencies(layer.query.out_features // 3)
        shape = (3, 1, -1)  # heads, then tokens
        query, key = (
            rotated(part.bias.reshape(shape).expand(-1, 8, -1), layer.angles)
            for part in (layer.query, layer.key)
        )
        dimension = query.shape[2]
        scores = query @ key.mT / sqrt(dimension)
        unit = ALPHA / gap(theta, (8,))
        for head, center in enumerate((-1, 0, 1)):
            for asking in range(8):
                expected = [
                    unit * score(len(theta), k - asking, center, _reader(theta))
                    for k in range(8)
                ]
                row = scores[head, asking].tolist()
                assert row == pytest.approx(expected, abs=1e-10)
                if 0 <= asking + center < 8:
                    target = row.pop(asking + center)
                    assert target - max(row) >= ALPHA * (1 - 1e-12)
