"""The leak against direct sums, and the α values derived from it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expressivity.accuracy import leak, saturation_alpha
from expressivity.errors import ArgumentError
from expressivity.heads.encoding import positional_scores
from expressivity.heads.leak import (
    SMALLEST_ALPHA,
    alpha_for_leak,
    head_leaks,
    round_up,
)
from tests.cases import DTYPES

# The values stated for two axes: λ is below half an ulp from there on.
STATED_SATURATION = {
    torch.float64: 38.2,
    torch.float32: 18.1,
    torch.float16: 9.1,
    torch.bfloat16: 7.0,
}
NO_NUMBERS = [0, -1, float("nan"), float("inf"), -float("inf"), "soft", None, 1j]


def direct_leak(alpha: float, axes: int) -> float:
    """Return 1 − θ₃^−d by the definition of θ₃: Σ e^(−α n²) over all integers."""
    terms = [math.exp(-alpha * n * n) for n in range(1, 2000)]
    return -math.expm1(-axes * math.log1p(2 * math.fsum(terms)))


@given(st.floats(1e-4, 700), st.integers(1, 3))
def test_leak_is_the_sum_over_all_pixels(alpha: float, axes: int) -> None:
    assert leak(alpha, axes) == pytest.approx(direct_leak(alpha, axes), rel=1e-12)


@given(st.floats(1e-3, 300), st.floats(1.0001, 2), st.integers(1, 3))
def test_leak_falls_with_alpha_and_grows_with_axes(
    alpha: float, factor: float, axes: int
) -> None:
    assert leak(alpha * factor, axes) <= leak(alpha, axes)
    assert leak(alpha, 1) <= leak(alpha, 2) <= leak(alpha, 3)
    if leak(alpha, axes) < 0.5:
        assert leak(alpha * factor, axes) < leak(alpha, axes)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_leak_is_of_first_order_2d_exp_minus_alpha(axes: int) -> None:
    for alpha in (10.0, 40.0, 300.0, 700.0):
        first = 2 * axes * math.exp(-alpha)
        # The next term: 2d(d + 1) e^−2α.
        assert leak(alpha, axes) <= first * (1 + 1e-15)  # rounded upward
        assert leak(alpha, axes) == pytest.approx(first, rel=2 * (axes + 1) * first)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_leak_of_heads_on_the_grid(axes: int) -> None:
    alpha = torch.tensor([0.01, 0.5, 3.0, 50.0], dtype=torch.float64)
    centers = torch.randint(-5, 5, (4, axes)).double()
    expected = alpha.clone().apply_(lambda strength: leak(strength, axes))
    found = head_leaks(alpha, centers)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_leak_of_heads_off_the_grid() -> None:
    center, alpha = 0.3, 1.7
    weights = [math.exp(-alpha * (n - center) ** 2) for n in range(-30, 31)]
    expected = 1 - weights[30] / math.fsum(weights)
    found = head_leaks(torch.tensor([alpha]), torch.tensor([[center - 4]]))
    assert found.item() == pytest.approx(expected, rel=1e-6)  # 0.3 − 4 in float32


@pytest.mark.parametrize("alpha", [0.0, -3.0, 1e-9])
def test_a_head_without_locality_leaks_everything(alpha: float) -> None:
    centers = torch.zeros(2, 1)
    assert head_leaks(torch.tensor([alpha, 5.0]), centers)[0] == 1


@given(
    alpha=st.floats(0.01, 30),
    center=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    canvas=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    query=st.tuples(st.integers(-3, 8), st.integers(-3, 8)),
)
def test_no_canvas_makes_a_head_leak_more(
    alpha: float,
    center: tuple[float, float],
    canvas: tuple[int, int],
    query: tuple[int, int],
) -> None:
    strength = torch.tensor([alpha], dtype=torch.float64)
    centers = torch.tensor([center], dtype=torch.float64)
    points = [range(q, q + 1) for q in query]
    scores = positional_scores(strength, centers, points, canvas)
    off_target = 1 - scores.softmax(-1).max()
    assert off_target <= head_leaks(strength, centers) * (1 + 1e-12) + 1e-15


@given(st.floats(1e-300, 2), st.integers(1, 3))
def test_alpha_for_leak_is_the_smallest(largest: float, axes: int) -> None:
    alpha = alpha_for_leak(largest, axes)
    assert leak(alpha, axes) <= largest
    if alpha > SMALLEST_ALPHA:
        assert leak(alpha * (1 - 1e-10), axes) > largest


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_saturation_is_where_the_leak_is_half_an_ulp(dtype: torch.dtype) -> None:
    alpha = saturation_alpha(dtype, axes=2)
    assert leak(alpha, axes=2) == pytest.approx(torch.finfo(dtype).eps / 2, rel=1e-9)
    assert STATED_SATURATION[dtype] - 0.2 < alpha <= STATED_SATURATION[dtype]
    weaker, stronger = (saturation_alpha(dtype, axes) for axes in (1, 3))
    assert weaker < alpha < stronger


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(alpha=st.floats(1e-4, 6e4))
def test_round_up_never_rounds_down(dtype: torch.dtype, alpha: float) -> None:
    stored = round_up(alpha, dtype)
    assert torch.tensor(stored, dtype=dtype).item() == stored
    smallest = torch.finfo(dtype).smallest_normal
    assert alpha <= stored <= alpha * (1 + 2 * torch.finfo(dtype).eps) + smallest


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
def test_round_up_refuses_what_the_dtype_cannot_hold(dtype: torch.dtype) -> None:
    for alpha in (1e39, 1e-60):
        with pytest.raises(ArgumentError, match="outside the range of torch"):
            round_up(alpha, dtype)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_refuses_what_is_no_positive_number(value: object) -> None:
    with pytest.raises(ArgumentError, match="alpha needs a"):
        leak(value, axes=2)
    with pytest.raises(ArgumentError, match="largest needs a"):
        alpha_for_leak(value, axes=2)
