"""Stencils against the matrices of the same smoothing."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from expressivity.heads import stencil
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from expressivity.heads.leak import mass_beyond
from expressivity.heads.smoothing import Axis, smoothing_matrix
from expressivity.heads.stencil import Stencil, Stencils, first_pixel, is_on_canvas
from tests.numbers.test_softmax import assert_normal

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

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


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@given(drawn_axes(), st.floats(0.05, 60))
def test_is_the_matrix_of_the_softmax(drawn: Drawn, alpha: float) -> None:
    found = drawn.stencil(alpha, radius=drawn.axis.canvas).dense()
    expected = drawn.matrix(alpha).dense()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@given(drawn_axes(), st.floats(0.2, 60), st.integers(1, 4))
def test_few_taps_neglect_what_lies_beyond_them(
    drawn: Drawn, alpha: float, radius: int
) -> None:
    exact = drawn.matrix(alpha).dense()
    off = (drawn.stencil(alpha, radius).dense() - exact).abs()
    on_grid = drawn.center.is_integer()
    beyond = mass_beyond(alpha, radius, on_grid=on_grid)
    assert off.sum(1).max() <= 2 * beyond + 50 * FLOAT64


@given(st.lists(drawn_axes(), min_size=1, max_size=3), st.floats(0.3, 9))
def test_axis_after_axis_is_the_product_of_matrices(
    drawn: list[Drawn], alpha: float
) -> None:
    smoothing = Stencils.of([each.stencil(alpha, 27) for each in drawn])
    canvas = random(2, 3, *(each.axis.tokens for each in drawn))
    expected = AxisProduct.of([each.matrix(alpha) for each in drawn])(canvas)
    torch.testing.assert_close(smoothing(canvas), expected, rtol=0, atol=1e-13)


TWO_AXES = (
    Drawn(Axis(5, 1, 7), range(7), 0.0),
    Drawn(Axis(4, 0, 4), range(1, 4, 2), 0.25),
)


def two_axes(alpha: float) -> Stencils:
    return Stencils.of([each.stencil(alpha, 3) for each in TWO_AXES])


def test_derivatives_go_to_the_canvas() -> None:
    smoothing = two_axes(1.2)
    canvas = random(1, 2, 5, 4).requires_grad_()
    assert gradcheck(smoothing, canvas, check_forward_ad=True)
    assert gradgradcheck(smoothing, canvas)


@pytest.mark.parametrize("rows", [slice(0, 3), slice(2, 3), slice(4, 7)], ids=str)
def test_a_part_is_some_rows_of_the_whole(rows: slice) -> None:
    smoothing, canvas = two_axes(1.2), random(1, 2, 5, 4)
    part, tokens = smoothing.part(rows)
    expected = smoothing(canvas)[:, :, rows]
    found = part(canvas[:, :, tokens])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_kernels_formed_in_inference_mode_serve_autograd() -> None:
    smoothing, canvas = two_axes(1.2), random(1, 2, 5, 4)
    with torch.inference_mode():
        expected = smoothing(canvas)
    found = smoothing(canvas.requires_grad_())
    assert torch.equal(found, expected)
    found.sum().backward()
    assert canvas.grad is not None


@pytest.mark.parametrize("size", [(5, 4), (500, 400)], ids=str)
def test_borders_alone_are_scaled_in_large_images(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    along = [
        Drawn(Axis(tokens, 1, tokens + 2), range(tokens + 2), 0.0) for tokens in size
    ]
    smoothing = Stencils.of([each.stencil(1.2, 4) for each in along])
    canvas = random(1, 2, *size)
    monkeypatch.setattr(stencil, "_SCALED_WHOLE", 0)
    at_borders = smoothing(canvas)
    monkeypatch.setattr(stencil, "_SCALED_WHOLE", canvas.numel() * 2)
    torch.testing.assert_close(at_borders, smoothing(canvas), rtol=1e-15, atol=0)


@pytest.mark.parametrize("format_", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_result_is_channels_last(format_: torch.memory_format, batch: int) -> None:
    found = two_axes(1.2)(random(batch, 3, 5, 4).to(memory_format=format_))
    assert found.shape == (batch, 3, 7, 2)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_only_at_the_end(
    dtype: torch.dtype, autocast: bool
) -> None:
    canvas = torch.rand(2, 3, 5, 4).to(dtype)  # positive: nothing cancels
    exact = two_axes(0.7)
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
def test_taps_are_normal_numbers_and_scales_are_finite(
    alpha: float, fraction: float, dtype: torch.dtype
) -> None:
    along = Stencil.of(Axis(9, 1, 11), range(11), 0, fraction, alpha, 5, dtype=dtype)
    smoothing = Stencils.of([along]).to(torch.device("cpu"), dtype)
    assert_normal(smoothing.along[0].taps, dtype)
    assert smoothing.scales.isfinite().all()
    assert (smoothing.scales >= 1 - 1e-6).all()
