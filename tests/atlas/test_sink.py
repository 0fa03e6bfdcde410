"""A sink: zero padding without padding tokens."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error

HALFWAY, ZERO = FAMILIES["sink"], FAMILIES["sink-zero"]
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    CASES = {
        "3×3": (nn.Conv2d(2, 3, 3, padding=1), (4, 5)),
        "1×3, stride 2": (nn.Conv2d(3, 1, (1, 3), padding=(0, 1), stride=2), (5, 4)),
        "dilated groups": (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (4, 3)),
        "5×5, no bias": (nn.Conv2d(1, 2, 5, padding=2, bias=False), (3, 4)),
        "no padding": (nn.Conv2d(1, 2, (2, 3)), (3, 4)),
        "one axis": (nn.Conv1d(2, 3, 3, padding=1), (6,)),
        "three axes": (nn.Conv3d(1, 2, (1, 3, 2), padding=(0, 1, 0)), (2, 2, 3)),
        "one pixel": (nn.Conv2d(2, 2, 3, padding=1), (1, 1)),
    }
both = pytest.mark.parametrize("family", [HALFWAY, ZERO], ids=lambda f: f.name)


@both
@pytest.mark.parametrize("case", CASES)
def test_it_computes_convolutions(family, case: str) -> None:
    assert_computes(family, *CASES[case])


@pytest.mark.parametrize(
    ("family", "rate"), [(HALFWAY, 0.5), (ZERO, 1)], ids=["sink", "sink-zero"]
)
def test_the_error_falls_at_the_stated_rate(family, rate: float) -> None:
    for case in ("3×3", "5×5, no bias", "one pixel"):
        alphas = [7 / rate, 10 / rate, 13 / rate]
        if case == "one pixel" and family is HALFWAY:
            alphas = alphas[:2]
        assert_error_falls(family, *CASES[case], alphas, rate=rate, slack=0.1)


@both
def test_float32_is_accurate(family) -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1)
    assert relative_error(family.construct(conv, (8, 8)), conv, (8, 8)) <= 1e-5


def test_shares_are_the_stated_ones() -> None:
    """One axis of two pixels, a target on the image and one next to it."""
    conv, alpha = nn.Conv1d(1, 1, 3, padding=1).double(), 3.0
    e = math.exp(-alpha)
    for family, sink in ((HALFWAY, math.exp(-alpha / 2)), (ZERO, 1.0)):
        layer = family.construct(conv, (2,), alpha=alpha)
        with torch.no_grad():
            left, middle, _ = layer.probabilities()[:, 0]
        on, off = 1 + e + sink, e + e**4 + sink
        expected = torch.tensor([e / off, e**4 / off, sink / off])
        torch.testing.assert_close(left, expected.double())
        expected = torch.tensor([1 / on, e / on, sink / on])
        torch.testing.assert_close(middle, expected.double())


def test_without_a_sink_the_border_is_repeated() -> None:
    conv = copy.deepcopy(CASES["3×3"][0]).double()
    layer = HALFWAY.construct(conv, (4, 5))
    nn.init.constant_(layer.sink, -math.inf)
    assert relative_error(layer, conv, (4, 5)) > 1e-2
    repeated = nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate").double()
    repeated.load_state_dict(conv.state_dict())
    assert relative_error(layer, repeated, (4, 5)) <= 1e-9


def test_the_layer_learns() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1).double()
    layer = ZERO.construct(conv, (3, 3), alpha=2.0)
    layer(torch.randn(1, 1, 3, 3).double()).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in layer.parameters())


@both
def test_what_it_does_not_take(family) -> None:
    reflect = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ArgumentError, match="zero padding"):
        family.construct(reflect)
    with pytest.raises(ArgumentError, match="outputs that stand on pixels"):
        family.construct(nn.Conv2d(1, 1, 3, padding=2))
    with pytest.raises(ArgumentError, match="ask for the layer"):
        family.refute(nn.Conv2d(1, 1, 3, padding=1))


def test_a_wrong_layer_is_found_out() -> None:
    conv = copy.deepcopy(CASES["3×3"][0]).double()
    layer = ZERO.construct(conv, (4, 5))
    nn.init.constant_(layer.sink, -1.0)
    assert relative_error(layer, conv, (4, 5)) > 1e-2
