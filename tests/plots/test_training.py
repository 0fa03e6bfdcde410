"""Pictures of training: curves with their range, and the paths of centers."""

import math

import pytest

from expressivity.errors import ArgumentError
from expressivity.plots.training import plot_centers, plot_courses

pytest.importorskip("matplotlib")
COURSES = {
    "first": ([0, 1, 2], [[0.1, 0.5, 0.7], [0.3, 0.5, 0.9]]),
    "second": ([0, 1, 2], [[0.2, 0.4, 0.6]]),
}


def test_curves_are_means_within_their_range() -> None:
    (axes,) = plot_courses(COURSES, x="epochs", y="accuracy").axes
    first, second = axes.lines
    assert list(first.get_ydata()) == pytest.approx([0.2, 0.5, 0.8])
    assert list(second.get_ydata()) == [0.2, 0.4, 0.6]
    (band,) = axes.collections[0].get_paths()
    assert {(0.0, 0.1), (0.0, 0.3), (2.0, 0.7), (2.0, 0.9)} <= set(
        map(tuple, band.vertices)
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs", "accuracy")


def test_the_legend_names_every_curve_and_stays_away_for_one() -> None:
    figure = plot_courses(COURSES, x="x", y="y")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [*COURSES]
    assert not plot_courses({"one": COURSES["first"]}, x="x", y="y").legends


def test_a_logarithmic_axis_has_ticks_where_numbers_were_taken() -> None:
    courses = {"a": ([50, 400], [[0.1, 0.2]]), "b": ([50, 1006], [[0.1, 0.2]])}
    (axes,) = plot_courses(courses, x="x", y="y", logarithmic=True).axes
    assert axes.get_xscale() == "log"
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["50", "400", "1006"]


def test_centers_are_where_they_are_with_half_of_their_weight_around() -> None:
    paths = [
        [[[0.0, 1.0], [2.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]]],
        [[[0.5, 1.5], [2.0, -2.0]], [[3.0, 1.0], [0.0, 0.0]]],
    ]
    figure = plot_centers(paths, [[1.0, 4.0], [0.0, 2.0]])
    first, second = (axes for axes in figure.axes if axes.get_visible())
    circle = first.patches[0]
    assert tuple(circle.center) == (1.5, 0.5)  # columns to the right, rows down
    assert 1 - math.exp(-(circle.radius**2)) == pytest.approx(0.5)
    assert first.patches[1].radius == circle.radius / 2
    assert len(second.patches) == 1  # a head with α = 0 attends everywhere
    assert first.yaxis_inverted()


def test_an_argument_that_is_no_figure_is_refused() -> None:
    with pytest.raises(ArgumentError, match="figure needs a matplotlib Figure"):
        plot_courses(COURSES, x="x", y="y", figure=3)
    with pytest.raises(ArgumentError, match="figure needs a matplotlib Figure"):
        plot_centers([[[[0.0, 0.0]]]], [[1.0]], figure="no")
