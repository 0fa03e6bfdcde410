"""A stencil against the matrix of the same smoothing."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from expressivity.heads.banded import BandedMatrix
from expressivity.heads.leak import mass_beyond
from expressivity.heads.smoothing import Axis, smoothing_matrix
from expressivity.heads.stencil import Stencil, first_pixel, is_on_canvas
from expressivity.heads.stencils import Stencils
from tests.numbers.test_softmax import assert_normal

FLOAT64 = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Drawn:
    """Targets on the canvas of one axis."""

    axis: Axis
    targets: range
    center: float

    def stencil(self, alpha: float, radius: int) -> Stencil:
        first = first_pixel(self.targets, self.center)
        fraction = self.center - (first - self.targets.start)
        return Stencil.of(
            self.axis,
            self.targets,
            first,
            fraction,
            alpha,
            radius,
            dtype=torch.float64,
        )

    def matrix(self, alpha: float) -> BandedMatrix:
        numbers = torch.tensor([self.center, alpha], dtype=torch.float64)
        return smoothing_matrix(self.axis, self.targets, *numbers)


@st.composite
def drawn_axes(draw: st.DrawFn) -> Drawn:
    """Draw an axis, with or without tokens of zeros, and targets on it."""
    tokens, before, after = (draw(st.integers(least, 9)) for least in (1, 0, 0))
    axis = Axis(tokens, before, before + tokens + after)
    center = draw(st.sampled_from([0.0, 0.5, -0.5, 1.0, 0.3, -1.75]))
    nearest, step = draw(st.integers(0, axis.canvas - 1)), draw(st.integers(1, 3))
    most = (axis.canvas - 1 - nearest) // step
    start = nearest - first_pixel(range(1), center)
    count = 1 + draw(st.integers(0, most))
    targets = range(start, start + (count - 1) * step + 1, step)
    assert is_on_canvas(targets, center, axis.canvas)
    return Drawn(axis, targets, center)


def written_out(stencil: Stencil) -> Tensor:
    """Return the matrix of a stencil, by its effect on every token."""
    identity = torch.eye(stencil.columns, dtype=stencil.taps.dtype)
    return Stencils.of([stencil])(identity[:, None]).squeeze(1).mT


@given(drawn_axes(), st.floats(0.05, 60))
def test_is_the_matrix_of_the_softmax(drawn: Drawn, alpha: float) -> None:
    found = written_out(drawn.stencil(alpha, radius=drawn.axis.canvas))
    expected = drawn.matrix(alpha).dense()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@given(drawn_axes(), st.floats(0.2, 60), st.integers(1, 4))
def test_few_taps_neglect_what_lies_beyond_them(
    drawn: Drawn, alpha: float, radius: int
) -> None:
    exact = drawn.matrix(alpha).dense()
    off = (written_out(drawn.stencil(alpha, radius)) - exact).abs()
    on_grid = drawn.center.is_integer()
    beyond = mass_beyond(alpha, radius, on_grid=on_grid)
    assert off.sum(1).max() <= 2 * beyond + 50 * FLOAT64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 20.0, 1e4])
def test_taps_are_normal_numbers_and_scales_are_finite(
    alpha: float, fraction: float, dtype: torch.dtype
) -> None:
    along = Stencil.of(Axis(9, 1, 11), range(11), 0, fraction, alpha, 5, dtype=dtype)
    smoothing = Stencils.of([along]).to(torch.device("cpu"), dtype)
    assert_normal(smoothing.along[0].taps, dtype)
    assert smoothing.scales.isfinite().all()
    assert (smoothing.scales >= 1 - 1e-6).all()
