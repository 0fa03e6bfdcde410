"""Sinusoids added to tokens: a head turns its own to that of its target."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.families.sinusoidal import rotations
from expressivity.atlas.layers.sinusoidal import frequencies, gap, sinusoids
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error
from tests.atlas.samples import with_padding

SINUSOIDAL = FAMILIES["sinusoidal"]
CASES = with_padding("circular")


@pytest.mark.parametrize("case", CASES)
def test_it_computes_convolutions(case: str) -> None:
    assert_computes(SINUSOIDAL, *CASES[case])


def test_the_error_falls_with_the_gap() -> None:
    for case in ("3×3", "1×3, stride 2"):
        assert_error_falls(SINUSOIDAL, *CASES[case], [7, 10, 13], rate=1, slack=0.1)


def test_float32_is_accurate() -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1)
    assert relative_error(SINUSOIDAL.construct(conv, (8, 8)), conv, (8, 8)) <= 1e-5


def test_the_encoding_is_the_papers() -> None:
    positions = torch.tensor([[0.0], [3.0]], dtype=torch.float64)
    encoding = sinusoids(positions, 6)
    for pos, row in zip((0, 3), encoding.tolist(), strict=True):
        for i in range(3):
            angle = pos / 10000 ** (2 * i / 6)
            assert row[2 * i] == pytest.approx(math.sin(angle), abs=1e-15)
            assert row[2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-15)


def test_a_shift_is_a_rotation() -> None:
    places = torch.cartesian_prod(torch.arange(5), torch.arange(4)).double()
    shift = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    (turn,) = rotations(shift, frequencies(6))
    torch.testing.assert_close(
        sinusoids(places, 12) @ turn.mT, sinusoids(places + shift, 12)
    )
    torch.testing.assert_close(turn @ turn.mT, torch.eye(12, dtype=torch.float64))


def test_content_is_orthogonal_to_all_positions() -> None:
    layer = SINUSOIDAL.construct(copy.deepcopy(CASES["3×3"][0]).double(), (3, 4)).layer
    content = layer.embedding.weight
    assert (layer.encoding @ content).abs().max() <= 1e-13
    assert layer.encoding.abs().amax(0).min() > 1e-4  # no channel is left to it
    assert "encoding" not in dict(layer.named_parameters())


@pytest.mark.parametrize(
    ("dims", "measured"), [(2, 0.0), (8, 0.208), (16, 0.515), (32, 0.686), (64, 1.083)]
)
def test_the_gap_grows_with_the_frequencies(dims: int, measured: float) -> None:
    theta = frequencies(dims)
    assert gap(theta, (64,)) == pytest.approx(measured, abs=1e-3)
    literal = [
        len(theta) - sum(math.cos(n * t) for t in theta.tolist()) for n in range(1, 64)
    ]
    assert gap(theta, (64, 5)) == pytest.approx(min(literal))


def test_full_circles_have_no_gap() -> None:
    turns = torch.tensor([2 * math.pi / 5, 4 * math.pi / 5], dtype=torch.float64)
    assert gap(turns, (5,)) > 0.1
    with pytest.raises(ArgumentError, match="full circles in 5 pixels"):
        gap(turns, (6,))
    another = torch.cat([turns, torch.ones(1, dtype=torch.float64)])
    assert gap(another, (6,)) > 0.1
    assert gap(turns, (1, 1)) == math.inf


def test_what_it_does_not_take() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="zero, reflect or circular padding"):
        SINUSOIDAL.construct(conv)
    with pytest.raises(ArgumentError, match="ask for the layer"):
        SINUSOIDAL.refute(conv)


def test_a_wrong_layer_is_found_out() -> None:
    conv = copy.deepcopy(CASES["3×3"][0]).double()
    layer = SINUSOIDAL.construct(conv, (3, 4))
    with torch.no_grad():
        layer.layer.encoding.copy_(layer.layer.encoding.roll(1, 0))
    assert relative_error(layer, conv, (3, 4)) > 1e-2
