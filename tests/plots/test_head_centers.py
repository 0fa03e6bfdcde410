"""Centers of heads with circles of their mass."""

import math

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError
from expressivity.plots import plot_heads
from expressivity.plots.head_centers import radius


def network() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, (1, 2)))
    return ex.convert(model, alpha=2.0).model


def test_centers_and_circles_are_those_of_the_heads() -> None:
    model = network()
    with torch.no_grad():
        model[0].alpha[0] = 0.5
        model[0].centers[0] = torch.tensor([-1.5, 0.25])
    figure = plot_heads(model)
    panels = figure.axes
    assert [p.get_title() for p in panels] == ["0: 9 heads", "2: 2 heads"]
    points = [line.get_xydata()[0].tolist() for line in panels[0].lines[1:]]
    assert points[0] == [0.25, -1.5]  # columns to the right, rows downward
    assert sorted(points[1:]) == sorted([
        [float(column), float(row)]
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
        if (row, column) != (-1, -1)
    ])
    circles = [p for p in panels[0].patches if isinstance(p, Circle)]
    assert len(circles) == 18
    assert circles[0].center == (0.25, -1.5)
    assert circles[0].radius == pytest.approx(math.sqrt(math.log(2) / 0.5))
    assert circles[1].radius == pytest.approx(math.sqrt(math.log(10) / 0.5))
    taps = [p.get_xy() for p in panels[1].patches if isinstance(p, Rectangle)]
    assert taps == [(-0.5, -0.5), (0.5, -0.5)]
    for panel in panels:
        low, high = panel.get_xlim()
        assert panel.get_ylim() == (high, low)


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_circles_hold_their_share_of_a_wide_head(mass: float) -> None:
    layer = ex.attention_from_conv(nn.Conv2d(1, 1, 1), alpha=0.01)
    row = layer.attention_probabilities(size=(101, 101))[0, 50 * 101 + 50]
    positions = torch.cartesian_prod(torch.arange(101), torch.arange(101)) - 50
    inside = positions.square().sum(1) <= radius(0.01, mass) ** 2
    assert float(row.detach()[inside].sum()) == pytest.approx(mass, abs=0.02)


def test_a_report_and_a_given_figure() -> None:
    figure = Figure()
    report = ex.head_report(network())
    assert plot_heads(report, figure=figure) is figure
    assert len(report.plot().axes) == 2


def test_heads_without_a_width_have_no_circles() -> None:
    layer = ex.attention_from_conv(nn.Conv2d(1, 1, 3), heads="minimal")
    (panel,) = plot_heads(layer).axes
    assert not [p for p in panel.patches if isinstance(p, Circle)]
    assert len(panel.lines) == 1 + layer.num_heads


def test_many_layers_take_several_rows() -> None:
    layers = [ex.attention_from_conv(nn.Conv2d(1, 1, 1), alpha=2.0) for _ in range(6)]
    axes = plot_heads(nn.Sequential(*layers)).axes
    assert sum(panel.axison for panel in axes) == 6
    assert len(axes) == 8


def test_layers_over_one_axis_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"over \[1\]: print head_report"):
        plot_heads(ex.attention_from_conv(nn.Conv1d(1, 1, 3)))


def test_layers_over_other_axes_are_left_out() -> None:
    pair = [nn.Conv1d(1, 1, 3), nn.Conv2d(1, 1, 3)]
    layers = nn.ModuleList([ex.attention_from_conv(conv) for conv in pair])
    (panel,) = plot_heads(layers).axes
    assert panel.get_title() == "1: 9 heads"
