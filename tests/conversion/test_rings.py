"""Rings of further heads: the order of the error they leave, inside and at borders."""

from dataclasses import replace
from math import exp, log

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.conversion.rings import deconvolution
from expressivity.errors import ArgumentError
from tests import laws
from tests.cases import BASE, BASE_1D, BASE_3D, Case

LONG = replace(BASE_1D, size=(40,))
LARGE = replace(BASE, size=(24, 23), kernel_size=(3, 2))
each_order = pytest.mark.parametrize("rings", [0, 1, 2])


def errors(case: Case, alpha: float, rings: int) -> tuple[float, float]:
    """Return the largest error far from all borders, and the largest anywhere."""
    conv, x = case.conv(), case.input()
    attention = ex.attention_from_conv(conv, alpha=alpha, rings=rings)
    with torch.no_grad():
        error = (attention(x) - conv(x)).abs()
    inner = (slice(None), slice(None), *[slice(10, -10)] * len(case.size))
    return float(error[inner].max()), float(error.max())


@each_order
@pytest.mark.parametrize(
    "case",
    [
        LONG,
        replace(LONG, dilation=2),
        replace(LONG, padding_mode="circular", groups=2),
        LARGE,
        replace(LARGE, padding=0, dilation=(1, 2)),
    ],
    ids=str,
)
def test_the_error_inside_falls_one_order_with_each_ring(
    case: Case, rings: int
) -> None:
    low, high = 6.0, 8.0
    found = [errors(case, alpha, rings)[0] for alpha in (low, high)]
    slope = log(found[0] / found[1]) / (high - low)
    assert slope == pytest.approx(rings + 1, rel=0.02)


@each_order
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_what_is_left_of_one_pixel(axes: int, rings: int) -> None:
    """2d of the next pixels hold ε^(m+1); with no rings the middle lost as much."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    conv = kind(1, 1, 1, bias=False).double()
    nn.init.ones_(conv.weight)
    alpha = 7.0
    attention = ex.attention_from_conv(conv, alpha=alpha, rings=rings)
    x = torch.zeros(1, 1, *[15] * axes).double()
    x[(0, 0, *[7] * axes)] = 1
    with torch.no_grad():
        norm = float((attention(x) - x).abs().sum())
    constant = 2 * axes if rings else 4 * axes
    assert norm / exp(-alpha * (rings + 1)) == pytest.approx(constant, rel=0.02)


@pytest.mark.parametrize("rings", [1, 2])
@pytest.mark.parametrize(
    "case",
    [
        replace(LONG, padding=0),
        replace(LONG, padding_mode="reflect"),
        replace(LONG, padding_mode="replicate"),
        replace(LARGE, padding=0),
    ],
    ids=str,
)
def test_borders_stay_at_the_second_order(case: Case, rings: int) -> None:
    low, high = 6.0, 8.0
    inner, outer = zip(*(errors(case, a, rings) for a in (low, high)), strict=True)
    assert log(outer[0] / outer[1]) / (high - low) == pytest.approx(2, rel=0.03)
    if rings == 2:
        assert outer[1] > 100 * inner[1]


@pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)
def test_no_rings_are_the_layer_without(case: Case) -> None:
    conv, x = replace(case, dilation=2, padding=3).conv(), case.input()
    layers = (
        ex.attention_from_conv(conv, alpha=2.0),
        ex.attention_from_conv(conv, alpha=2.0, rings=0),
    )
    assert torch.equal(*(layer(x) for layer in layers))


@pytest.mark.parametrize(
    ("dilation", "heads"), [(1, (5, 4)), (2, (7, 5)), (3, (9, 6)), (4, (9, 6))]
)
def test_heads_stand_on_the_taps_and_around(
    dilation: int, heads: tuple[int, int]
) -> None:
    case = replace(BASE, dilation=dilation, padding=dilation)
    attention = ex.attention_from_conv(case.conv(), alpha=3.0, rings=1)
    centers = attention.centers.detach()
    assert tuple(len(axis.unique()) for axis in centers.mT) == heads
    assert attention.num_heads == heads[0] * heads[1]
    assert torch.equal(centers.amin(0), case_low(case) - 1)


def case_low(case: Case) -> Tensor:
    return ex.ConvGeometry.from_conv(case.conv()).centers().amin(0).double()


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("rings", [1, 2, 4])
def test_weights_undo_the_smoothing(alpha: float, rings: int) -> None:
    weights = deconvolution(alpha, rings)
    steps = torch.arange(-60, 61).double()
    smoothing = (-alpha * steps.square()).softmax(0)
    both = torch.conv1d(smoothing[None, None], weights[None, None], padding=rings)[0, 0]
    wanted = (steps == 0).double()
    inside = steps.abs() <= rings
    torch.testing.assert_close(both[inside], wanted[inside], rtol=0, atol=1e-9)
    torch.testing.assert_close(weights, weights.flip(0))


def test_strategies_agree_and_the_error_is_stated() -> None:
    conv, x = BASE.conv(), BASE.input()
    attention = ex.attention_from_conv(conv, alpha=3.0, rings=1)
    laws.assert_strategies_agree(attention, x)
    stated = ex.worst_case_error(attention, conv, size=BASE.size)
    plain = ex.worst_case_error(conv, alpha=3.0, size=BASE.size)
    assert stated.max() < plain.max() / 5
    error = laws.measured_error(attention, conv, x.clamp(-1, 1))
    assert error <= stated.max()
    back = ex.conv_from_attention(attention, tolerance=0.1)
    assert (back.conv.weight - conv.weight).abs().max() < 0.02


def test_what_makes_no_sense_is_refused() -> None:
    conv = BASE.conv()
    for options, message in (
        ({"rings": 1}, "rings undo the smoothing of a given alpha"),
        ({"rings": 1, "tolerance": 0.1}, r"pass alpha=, got rings=1 with alpha=None"),
        ({"rings": -1, "alpha": 1.0}, "rings needs an integer of at least 0, got -1"),
        ({"rings": 1.5, "alpha": 1.0}, "rings needs an integer of at least 0"),
        ({"rings": 1, "alpha": 1.0, "head_dim": 2}, "head_dim below 4 truncates taps"),
        ({"rings": 2, "alpha": 1e-7}, "cannot be solved for in float64"),
        ({"rings": 6, "alpha": 2e-6}, "raise alpha or take fewer rings"),
    ):
        with pytest.raises(ArgumentError, match=message):
            ex.attention_from_conv(conv, **options)
