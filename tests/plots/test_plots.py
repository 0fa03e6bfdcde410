"""The pictures: that they show the numbers they are given, and all of them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.transforms import Bbox
from torch import Tensor, nn

from expressivity import ConvGeometry, RelativeSelfAttention, attention_from_conv
from expressivity.errors import ArgumentError, InputError, MissingDependencyError
from expressivity.plots import plot_attention_maps, plot_error_vs_alpha, plot_overview
from expressivity.sweep import ErrorSweep, error_sweep
from tests.cases import BASE, BASE_1D, BASE_3D

SWEEP = ErrorSweep(
    alphas=(1.0, 5.0, 10.0),
    measured=(0.2, 0.004, 2e-7),
    predicted=(0.3, 0.0045, 1e-9),
    worst_case=(0.9, 0.02, 1e-8),
    rounding_floor=1e-7,
    dtype="float32",
)


def line(axes: Axes, label: str) -> Any:
    (found,) = [one for one in axes.lines if str(one.get_label()).startswith(label)]
    return found


def panels(figure: Any) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def overlap(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts and images that lie on each other."""
    figure.draw_without_rendering()
    boxes = {}
    for axes in figure.axes:
        for part in [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.images]:
            box: Bbox | None = part.get_window_extent()
            if part in axes.images:
                box = Bbox.intersection(box, axes.bbox)
            if box is not None and box.width and box.height:
                boxes[f"{part} in {axes}"] = box.padded(-2)
    names = list(boxes)
    return [
        (a, b)
        for index, a in enumerate(names)
        for b in names[index + 1 :]
        if boxes[a].overlaps(boxes[b])
    ]


def test_error_plot_shows_the_sweep() -> None:
    (axes,) = plot_error_vs_alpha(SWEEP).axes
    for label, values in {
        "measured": SWEEP.measured,
        "first order": SWEEP.predicted,
        "exact worst case": SWEEP.worst_case,
    }.items():
        assert tuple(line(axes, label).get_xdata()) == SWEEP.alphas
        assert tuple(line(axes, label).get_ydata()) == values
    assert set(line(axes, "float32 rounding").get_ydata()) == {1e-7}
    assert axes.get_yscale() == "log"
    assert "1/pixel²" in axes.get_xlabel()
    assert "absolute error" in axes.get_ylabel()
    low, high = axes.get_ylim()
    assert low < 1e-7
    assert high > 0.9


def test_curves_differ_in_more_than_colour() -> None:
    (axes,) = plot_error_vs_alpha(SWEEP).axes
    styles = [(one.get_linestyle(), one.get_marker()) for one in axes.lines]
    assert len(set(styles)) == len(styles) == 4
    greys = [np.dot(to_rgb(one.get_color()), (0.3, 0.59, 0.11)) for one in axes.lines]
    assert max(greys) < 0.6


def test_legend_covers_no_data() -> None:
    figure = plot_error_vs_alpha(error_sweep(BASE.conv(), BASE.input()))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    for curve in axes.lines:
        points = axes.transData.transform(curve.get_xydata())
        if not str(curve.get_label()).endswith("rounding"):
            assert not any(box.contains(*point) for point in points)


def test_errors_of_exactly_zero_are_on_the_lower_edge() -> None:
    sweep = ErrorSweep((1.0, 2.0), (0.5, 0.0), (0.5, 0.1), (1.0, 0.5), 1e-16, "float64")
    figure = plot_error_vs_alpha(sweep)
    zeros = line(figure.axes[0], "measured, exactly 0")
    assert (zeros.get_xdata(), zeros.get_ydata()) == ([2.0], [0])
    figure.draw_without_rendering()


def test_sweep_of_zeros_can_be_drawn() -> None:
    figure = plot_error_vs_alpha(
        ErrorSweep((1.0,), (0.0,), (0.0,), (0.0,), 0.0, "float32")
    )
    figure.draw_without_rendering()
    assert figure.axes[0].get_legend_handles_labels()[0]


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate"])
def test_maps_show_the_probabilities_of_each_head(padding_mode: str) -> None:
    conv = nn.Conv2d(2, 3, (3, 2), stride=2, padding=1, padding_mode=padding_mode)
    attention = attention_from_conv(conv, alpha=0.8)
    figure = plot_attention_maps(attention, (7, 6), (1, 2))
    found = panels(figure)
    columns = attention.geometry.output_size((7, 6))[1]
    wanted = attention.attention_probabilities(size=(7, 6))[:, columns + 2].detach()
    assert len(found) == len(wanted) == 6
    for axes, probabilities in zip(found, wanted, strict=True):
        (image,) = axes.images
        shown = np.asarray(image.get_array())
        np.testing.assert_allclose(shown.ravel(), probabilities, atol=1e-6)
        assert image.get_clim() == (0, 1)


def test_maps_are_laid_out_like_the_kernel() -> None:
    attention = attention_from_conv(nn.Conv2d(1, 1, (2, 3), dilation=(1, 2)))
    figure = plot_attention_maps(attention, (5, 8), (0, 0))
    figure.draw_without_rendering()
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles[:3] == ["Δ = (0, −2)", "Δ = (0, 0)", "Δ = (0, +2)"]
    assert titles[3:] == ["Δ = (+1, −2)", "Δ = (+1, 0)", "Δ = (+1, +2)"]
    corners = [axes.get_position().p0.round(3).tolist() for axes in panels(figure)]
    lefts, bottoms = zip(*corners, strict=True)
    assert lefts[:3] == lefts[3:] == tuple(sorted(set(lefts)))
    assert len(set(bottoms[:3])) == len(set(bottoms[3:])) == 1
    assert bottoms[0] > bottoms[3]


def test_query_target_and_input_are_marked() -> None:
    attention = attention_from_conv(nn.Conv2d(1, 1, 3, padding=1))
    first, *_ = panels(plot_attention_maps(attention, (4, 5), (3, 0)))
    ring, frame = first.patches
    assert isinstance(ring, Circle)
    assert isinstance(frame, Rectangle)
    # On the canvas the query is at (4, 1), and the first tap is up and left of it.
    assert tuple(ring.center) == (0, 3)
    assert (np.asarray(first.images[0].get_array()).argmax()) == 3 * 7 + 0
    plus = first.lines[0].get_xydata()
    assert plus.mean(0).round(6).tolist() == [1, 4]
    assert frame.get_bbox().bounds == (0.5, 0.5, 5, 4)


def test_target_off_the_canvas_is_marked_at_the_nearest_pixel() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    attention = attention_from_conv(conv)
    first, *_ = panels(plot_attention_maps(attention, (4, 5), (0, 0)))
    (ring,) = first.patches
    assert isinstance(ring, Circle)
    assert tuple(ring.center) == (0, 0)
    assert np.asarray(first.images[0].get_array()).argmax() == 0


def test_image_is_the_first_panel_on_the_canvas() -> None:
    attention = attention_from_conv(nn.Conv2d(2, 1, 3, padding=1))
    image = torch.rand(2, 4, 5)
    figure = plot_attention_maps(attention, (4, 5), (1, 1), image=image)
    first, *rest = panels(figure)
    assert len(rest) == 9
    shown = np.asarray(first.images[0].get_array())
    wanted = nn.functional.pad(image.mean(0), (1, 1, 1, 1))
    np.testing.assert_allclose(shown, wanted, atol=1e-6)
    assert not overlap(figure)


@pytest.mark.parametrize(
    ("kernel", "image"),
    [
        *(((height, width), None) for height, width in ((1, 1), (1, 7), (5, 1))),
        *(((height, width), torch.rand(20, 9)) for height, width in ((1, 1), (7, 7))),
    ],
    ids=["1×1", "1×7", "5×1", "1×1 and image", "7×7 and image"],
)
def test_nothing_overlaps(kernel: tuple[int, int], image: Tensor | None) -> None:
    attention = attention_from_conv(nn.Conv2d(1, 1, kernel, padding="same"))
    figure = plot_attention_maps(attention, (20, 9), (3, 4), image=image)
    assert not overlap(figure)


def test_heads_off_the_grid_with_content() -> None:
    geometry = ConvGeometry.create((3, 3), padding=1)
    attention = RelativeSelfAttention(3, 4, geometry, num_heads=5, key_dim=2)
    with torch.no_grad():
        attention.centers.copy_(torch.linspace(-1, 1, 10).reshape(5, 2))
        for weight in (attention.query_weight, attention.content_bias):
            assert weight is not None
            weight.normal_()
    image = torch.rand(3, 5, 6)
    figure = plot_attention_maps(attention, (5, 6), (2, 3), image=image)
    found = panels(figure)[1:]
    assert found[0].get_title() == "Δ = (−1, −0.8)"
    wanted = attention.attention_probabilities(x=image)[0, :, 2 * 6 + 3].detach()
    for axes, probabilities in zip(found, wanted, strict=True):
        shown = np.asarray(axes.images[0].get_array())
        np.testing.assert_allclose(shown.ravel(), probabilities, atol=1e-6)
    assert not overlap(figure)
    with pytest.raises(ArgumentError, match="as image=, a tensor of 3 channels"):
        plot_attention_maps(attention, (5, 6), (2, 3))


@pytest.mark.parametrize("case", [BASE_1D, BASE_3D], ids=["1 axis", "3 axes"])
def test_maps_need_two_axes(case: Any) -> None:
    attention = attention_from_conv(case.conv())
    with pytest.raises(ArgumentError, match="drawn over 2 axes"):
        plot_attention_maps(attention, case.size, (0,) * len(case.size))


@pytest.mark.parametrize("query", [(6, 0), (0, 6), (-1, 0), (1,), (1, 1, 1)])
def test_query_outside_the_output(query: tuple[int, ...]) -> None:
    attention = attention_from_conv(BASE.conv())
    with pytest.raises(ArgumentError, match="one of the 6 × 6 outputs"):
        plot_attention_maps(attention, BASE.size, query)


def test_image_of_another_size() -> None:
    attention = attention_from_conv(BASE.conv())
    with pytest.raises(InputError, match="image needs as many pixels"):
        plot_attention_maps(attention, (6, 5), (0, 0), image=torch.ones(4, 5, 6))


def test_overview_shows_maps_and_curve() -> None:
    conv, x = nn.Conv2d(1, 2, 3, padding=1), torch.rand(4, 1, 8, 8)
    figure = plot_overview(conv, x)
    assert figure.get_size_inches() == pytest.approx([8, 3], abs=0.1)
    maps = panels(figure)[:18]
    soft, hard = maps[:9], maps[9:]
    for axes in soft:
        assert 0.2 < np.asarray(axes.images[0].get_array()).max() < 0.5
    for axes in hard:
        assert np.asarray(axes.images[0].get_array()).max() == pytest.approx(1)
    titles = [place.get_suptitle() for place in figure.subfigs[0].subfigs]
    assert "soft attention" in titles[0]
    assert "one-hot, the convolution" in titles[1]
    (curve,) = [axes for axes in figure.axes if axes.get_legend()]
    marks = [str(text.get_text()) for text in curve.texts]
    assert marks == ["(a)", "(b)"]
    assert not overlap(figure)


def test_overview_of_other_strengths_and_query(tmp_path: Path) -> None:
    conv, x = nn.Conv2d(3, 2, (2, 3), stride=2), torch.rand(3, 9, 12)
    figure = plot_overview(conv, x, query=(0, 1), alphas=(0.5, 4.0, None, 40.0))
    curve = next(axes for axes in figure.axes if axes.get_legend())
    assert [text.get_text() for text in curve.texts] == ["(a)", "(b)", "(c)", "(d)"]
    path = tmp_path / "overview.png"
    figure.savefig(path)
    assert path.stat().st_size > 10_000


def test_overview_needs_two_axes_and_strengths() -> None:
    with pytest.raises(ArgumentError, match="over 2 axes, got 1"):
        plot_overview(BASE_1D.conv(), BASE.input())
    with pytest.raises(ArgumentError, match="at least one number"):
        plot_overview(BASE.conv(), BASE.input(), alphas=())


def test_pictures_can_share_a_figure() -> None:
    figure = Figure()
    assert plot_error_vs_alpha(SWEEP, figure=figure) is figure
    attention = attention_from_conv(BASE.conv())
    figure = Figure(layout="constrained")
    assert plot_attention_maps(attention, (6, 5), (0, 0), figure=figure) is figure


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install matplotlib"):
        plot_error_vs_alpha(SWEEP)
