"""Canvases smoothed by stencils: axis after axis, in parts, at borders, by dtype."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from expressivity.heads import stencils
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.smoothing import Axis
from expressivity.heads.stencils import Stencils
from tests.heads.test_stencil import Drawn, drawn_axes

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


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
    monkeypatch.setattr(stencils, "_SCALED_WHOLE", 0)
    at_borders = smoothing(canvas)
    monkeypatch.setattr(stencils, "_SCALED_WHOLE", canvas.numel() * 2)
    torch.testing.assert_close(at_borders, smoothing(canvas), rtol=1e-15, atol=0)


FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("given", FORMATS, ids=str)
@pytest.mark.parametrize("wanted", FORMATS, ids=str)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_result_has_the_memory_format_that_is_wanted(
    given: torch.memory_format, wanted: torch.memory_format, batch: int
) -> None:
    canvas, smoothing = random(batch, 3, 5, 4), two_axes(1.2)
    found = replace(smoothing, wanted=wanted)(canvas.to(memory_format=given))
    assert found.shape == (batch, 3, 7, 2)
    assert found.is_contiguous(memory_format=wanted)
    torch.testing.assert_close(found, smoothing(canvas), rtol=0, atol=1e-14)


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


PROCESSORS = {
    (wide, fast): stencils.crossovers(wide_vectors=wide, fast_products=fast)
    for wide, fast in [(False, False), (True, False), (True, True)]
}


@pytest.mark.parametrize("here", PROCESSORS.values(), ids=str)
def test_few_taps_at_once_are_those_of_the_axes(
    here: stencils.Crossovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoothing = Stencils.of([each.stencil(4.0, 2) for each in TWO_AXES])
    canvas = random(2, 3, 5, 4)
    assert len(smoothing._sweeps(3, 10)) == 1
    monkeypatch.setattr(stencils, "_HERE", replace(here, numbers_at_once=0))
    assert len(smoothing._sweeps(3, canvas.numel())) == 2
    by_axes = smoothing(canvas)
    monkeypatch.setattr(stencils, "_HERE", replace(here, numbers_at_once=1000))
    assert len(smoothing._sweeps(3, canvas.numel())) == 1
    torch.testing.assert_close(smoothing(canvas), by_axes, rtol=0, atol=1e-14)


def test_fast_products_are_preferred_on_small_images() -> None:
    fast, other = PROCESSORS[True, True], PROCESSORS[True, False]
    assert fast.pixels > other.pixels
    assert fast.pixels_of_many_taps > other.pixels_of_many_taps


def test_wide_vectors_add_up_many_numbers_at_once() -> None:
    few = PROCESSORS[False, False].numbers_at_once
    assert few < PROCESSORS[True, False].numbers_at_once
    assert few < PROCESSORS[True, True].numbers_at_once


@pytest.fixture
def on_wide_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose as on a processor with wide vectors that are not Intel's."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    monkeypatch.setattr(stencils, "_HERE", PROCESSORS[True, False])


@pytest.mark.usefixtures("on_wide_vectors")
def test_copies_are_worth_it_for_few_taps_if_few_numbers_come_back() -> None:
    tokens, last = torch.randn(1, 32, 48, 48), torch.channels_last
    with torch.no_grad():
        for radius, outputs, expected in (
            (2, None, last),
            (2, 32, last),
            (2, 33, None),
            (4, None, last),
            (4, 32, None),
        ):
            found = stencils.format_for((radius,) * 2, tokens, of_one_tap=outputs)
            assert found == expected
    assert stencils.format_for((2, 2), tokens, of_one_tap=None) is None


@pytest.mark.usefixtures("on_wide_vectors")
def test_large_images_are_smoothed_as_they_are_if_copies_are_not_worth_it() -> None:
    large, as_it_is = torch.randn(2, 64, 28, 28), torch.contiguous_format
    with torch.no_grad():
        assert stencils.format_for((2, 2), large, of_one_tap=None) == as_it_is
        assert stencils.format_for((3, 3), large, of_one_tap=None) is None
        assert stencils.format_for((2, 2), large[:1], of_one_tap=None) is None
        flat, few = large.flatten(2), torch.randn(1, 15, 224, 224)
        assert stencils.format_for((2,), flat, of_one_tap=None) is None
        assert stencils.format_for((2, 2), few, of_one_tap=None) is None
