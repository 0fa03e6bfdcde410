"""Stencils against the matrices of the same smoothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.leak import mass_beyond
from expressivity.heads.smoothing import Axis, smoothing_matrix
from expressivity.heads.stencil import Stencil, Stencils, first_pixel, is_on_canvas

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

FLOAT64 = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Drawn:
    """Targets on the canvas of one axis."""

    axis: Axis
    targets: range
    center: float

    def stencil(self, alpha: Tensor, radius: int) -> Stencil:
        first = first_pixel(self.targets, self.center)
        fraction = alpha.new_tensor(self.center - (first - self.targets.start))
        return Stencil.of(self.axis, self.targets, first, fraction, alpha, radius)

    def matrix(self, alpha: Tensor) -> Tensor:
        center = alpha.new_tensor(self.center)
        return smoothing_matrix(self.axis, self.targets, center, alpha).dense()


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


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@given(drawn_axes(), st.floats(0.05, 60))
def test_is_the_matrix_of_the_softmax(drawn: Drawn, alpha: float) -> None:
    strength = torch.tensor(alpha, dtype=torch.float64)
    found = drawn.stencil(strength, radius=drawn.axis.canvas).dense()
    torch.testing.assert_close(found, drawn.matrix(strength), rtol=0, atol=1e-14)


@given(drawn_axes(), st.floats(0.2, 60), st.integers(1, 4))
def test_few_taps_neglect_what_lies_beyond_them(
    drawn: Drawn, alpha: float, radius: int
) -> None:
    strength = torch.tensor(alpha, dtype=torch.float64)
    off = (drawn.stencil(strength, radius).dense() - drawn.matrix(strength)).abs()
    on_grid = drawn.center.is_integer()
    beyond = mass_beyond(alpha, radius, on_grid=on_grid)
    assert off.sum(1).max() <= 2 * beyond + 50 * FLOAT64


@given(st.lists(drawn_axes(), min_size=1, max_size=3), st.floats(0.3, 9))
def test_axis_after_axis_is_the_product_of_matrices(
    drawn: list[Drawn], alpha: float
) -> None:
    strength = torch.tensor(alpha, dtype=torch.float64)
    smoothing = Stencils.of([each.stencil(strength, 27) for each in drawn])
    canvas = random(2, 3, *(each.axis.tokens for each in drawn))
    expected = by_matrices(drawn, strength)(canvas)
    torch.testing.assert_close(smoothing(canvas), expected, rtol=0, atol=1e-13)


def by_matrices(drawn: Sequence[Drawn], alpha: Tensor) -> AxisProduct:
    return AxisProduct.of([
        smoothing_matrix(each.axis, each.targets, alpha.new_tensor(each.center), alpha)
        for each in drawn
    ])


TWO_AXES = (
    Drawn(Axis(5, 1, 7), range(7), 0.0),
    Drawn(Axis(4, 0, 4), range(1, 4, 2), 0.25),
)


def test_derivatives_are_those_of_the_matrices() -> None:
    def function(canvas: Tensor, alpha: Tensor) -> Tensor:
        return Stencils.of([each.stencil(alpha, 2) for each in TWO_AXES])(canvas)

    values = random(1, 2, 5, 4), torch.tensor(1.2, dtype=torch.float64)
    values = tuple(value.requires_grad_() for value in values)
    assert gradcheck(function, values, check_forward_ad=True)
    assert gradgradcheck(function, values)


@pytest.mark.parametrize("format_", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_result_is_channels_last(format_: torch.memory_format, batch: int) -> None:
    strength = torch.tensor(1.2, dtype=torch.float64)
    smoothing = Stencils.of([each.stencil(strength, 2) for each in TWO_AXES])
    found = smoothing(random(batch, 3, 5, 4).to(memory_format=format_))
    assert found.shape == (batch, 3, 7, 2)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_only_at_the_end(
    dtype: torch.dtype, autocast: bool
) -> None:
    canvas = torch.rand(2, 3, 5, 4).to(dtype)  # positive: nothing cancels
    strength = torch.tensor(0.7, dtype=torch.float64)
    exact = Stencils.of([each.stencil(strength, 3) for each in TWO_AXES])
    smoothing = exact.to(torch.device("cpu"), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = smoothing(canvas)
    expected = exact(canvas.double())
    assert found.dtype == dtype
    # Half an ulp of the result, and some ulps of float32.
    rounding = torch.finfo(dtype).eps / 2 + 40 * torch.finfo(torch.float32).eps
    assert ((found.double() - expected).abs() <= rounding * expected).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 20.0, 1e4])
def test_taps_and_scales_are_normal_numbers(
    alpha: float, fraction: float, dtype: torch.dtype
) -> None:
    axis = Axis(9, 1, 11)
    stencil = Stencil.of(
        axis,
        range(11),
        0,
        torch.tensor(fraction, dtype=dtype),
        torch.tensor(alpha, dtype=dtype),
        5,
    )
    smallest = torch.finfo(dtype).tiny
    taps = stencil.taps
    assert ((taps == 0) | (taps >= smallest)).all()
    assert stencil.scales.isfinite().all()
    assert (stencil.scales >= 1 - 1e-6).all()
