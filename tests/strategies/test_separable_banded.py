"""A banded smoothing neglects what it says, and that is below rounding."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention import explain
from expressivity.geometry.grid import Grid
from expressivity.heads.leak import mass_beyond, radius_for
from expressivity.heads.smoothing import Axis, Band, smoothing_matrix
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.strategy import _parts
from tests import laws
from tests.cases import MODES

WIDE = (torch.float32, torch.float64)
FLOAT64 = torch.finfo(torch.float64).eps
alphas = st.floats(-3, 3.4).map(lambda exponent: 10**exponent)
fractions = st.sampled_from([0.0, 0.5, -0.5, 0.25]) | st.floats(-0.5, 0.5)


def gaussian_rows(targets: Tensor, keys: int, alpha: float) -> Tensor:
    """Return softmax_k(−α (k − t)²), the nearest key as the reference."""
    squares = (torch.arange(keys) - targets.double()[:, None]).square()
    weights = (-alpha * (squares - squares.amin(1, keepdim=True))).exp()
    return weights / weights.sum(1, keepdim=True)


def off_the_band(targets: Tensor, keys: int, radius: int) -> Tensor:
    """Return which keys lie beyond a radius around the key nearest to each target."""
    nearest = targets.double().round().clamp(0, keys - 1)
    return (torch.arange(keys) - nearest[:, None]).abs() > radius


class TestMassBeyond:
    @given(
        alpha=alphas,
        center=fractions,
        radius=st.integers(0, 12),
        keys=st.integers(1, 40),
        first=st.integers(-60, 50),
    )
    def test_bounds_every_row(
        self, alpha: float, center: float, radius: int, keys: int, first: int
    ) -> None:
        targets = torch.arange(first, first + 12).double() + center
        off = off_the_band(targets, keys, radius)
        mass = (gaussian_rows(targets, keys, alpha) * off).sum(1).max()
        stated = mass_beyond(alpha, radius, on_grid=center == 0)
        # The exponential of a number in the hundreds is off by as many ulps.
        assert mass <= stated * (1 + 1e-10) + 1e-300

    @pytest.mark.parametrize("center", [0.0, 0.5])
    def test_is_of_the_size_of_the_truth(self, center: float) -> None:
        # What is left out is the normaliser, 2 at most, and one of two sides.
        targets = torch.tensor([200 + center])
        for alpha, radius in [(2.0, 2), (2.0, 4), (5.0, 1), (5.0, 2)]:
            off = off_the_band(targets, 401, radius)
            mass = (gaussian_rows(targets, 401, alpha) * off).sum()
            stated = mass_beyond(alpha, radius, on_grid=center == 0)
            assert mass <= stated <= 4.1 * mass

    @given(alphas, st.sampled_from([2**-24, 2**-53, 1e-3]), st.booleans())
    def test_radius_is_the_smallest_that_is_enough(
        self, alpha: float, largest: float, on_grid: bool
    ) -> None:
        enough = [
            radius
            for radius in range(151)
            if mass_beyond(alpha, radius, on_grid=on_grid) <= largest
        ]
        found = radius_for(alpha, largest, most=150, on_grid=on_grid)
        assert found == min(enough, default=None)


@given(data=st.data(), alpha=alphas, fraction=fractions, dtype=st.sampled_from(WIDE))
def test_smoothing_of_a_band_is_the_full_one(
    data: st.DataObject, alpha: float, fraction: float, dtype: torch.dtype
) -> None:
    """For the band of a dtype, on any targets; computed in float64."""
    tokens = data.draw(st.integers(1, 300), "tokens")
    before, after = data.draw(st.sampled_from([(0, 0), (0, 3), (40, 1)]), "zeros")
    canvas = tokens + before + after
    first = data.draw(st.integers(-50, canvas + 50), "first target")
    reach = data.draw(st.integers(1, 300), "reach")
    targets = range(first, first + reach, data.draw(st.integers(1, 5), "stride"))
    center = data.draw(st.integers(-30, 30), "whole pixels") + fraction
    largest, on_grid = torch.finfo(dtype).eps / 2, center.is_integer()
    radius = radius_for(alpha, largest, most=canvas // 2, on_grid=on_grid)
    assume(radius is not None)
    band = Band(
        center, center, radius, span=data.draw(st.sampled_from([4, 32]), "span")
    )
    numbers = torch.tensor([center, alpha], dtype=torch.float64)
    found = smoothing_matrix(Axis(tokens, before, canvas), targets, *numbers, band)
    assert (len(found.blocks) > 1) <= band.pays(canvas)

    places = torch.tensor(targets).double() + center
    expected = gaussian_rows(places, canvas, alpha)[:, before : before + tokens]
    difference = (found.dense() - expected).abs().sum(1).max()
    # A target is off by an ulp, which the slope of its score magnifies.
    rounding = 10 * FLOAT64 * (1 + alpha) * (canvas + float(places.abs().max()))
    neglected = mass_beyond(alpha, radius, on_grid=on_grid)
    assert difference <= 2 * neglected + rounding
    if canvas == tokens:
        assert (found.dense().sum(1) - 1).abs().max() <= canvas * FLOAT64


@st.composite
def lone_heads(draw: Any) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a layer of one head anywhere, and a size it is banded on, often."""
    short, long = st.integers(1, 40), st.integers(1, 110)
    size = draw(
        st.tuples(st.integers(1, 300)) | st.tuples(short, long) | st.tuples(long, short)
    )
    mode = draw(st.sampled_from(MODES))
    padding = draw(st.sampled_from([0, 1, 15 if mode == "replicate" else 3]))
    if mode in ("reflect", "circular"):
        padding = min(padding, min(size) - 1)
    geometry = ex.ConvGeometry.create(
        (1,) * len(size),
        stride=draw(st.integers(1, 4) if len(size) == 1 else st.integers(1, 6)),
        padding=padding,
        padding_mode=mode,
    )
    layer = ex.RelativeSelfAttention(
        2, 3, geometry, num_heads=1, dtype=draw(st.sampled_from(WIDE))
    )
    center = [draw(st.integers(-20, 20)) + draw(fractions) for _ in size]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    with torch.no_grad():
        layer.centers.copy_(torch.tensor([center]))
        layer.alpha.fill_(draw(alphas))
        layer.output_weight.normal_(generator=generator)
        layer.bias.normal_(generator=generator)
    return layer, size


def only_step(layer: nn.Module, size: tuple[int, ...]) -> Step:
    with torch.no_grad():
        (only,) = _parts(layer.heads(), Grid.of(layer.geometry, size))
    return only.step


@given(lone_heads())
def test_attention_off_the_band_is_no_more_than_stated(
    drawn: tuple[nn.Module, tuple[int, ...]],
) -> None:
    layer, size = drawn
    step, dtype = only_step(layer, size), layer.dtype
    assert step.neglected <= torch.finfo(dtype).eps / 2
    x = torch.zeros(1, 2, *size, dtype=dtype)
    if step.neglected > 0:
        with torch.no_grad():
            assert f"{step.neglected:.2g}" in str(explain(layer, x))
    grid = Grid.of(layer.geometry, size)
    off = torch.zeros(1, 1, dtype=torch.bool)
    for axis, (queries, keys) in enumerate(
        zip(grid.queries, grid.canvas_size, strict=True)
    ):
        radius = 0 if step.group.saturated else keys
        if step.bands and step.bands[axis] is not None:
            radius = step.bands[axis].radius
        targets = torch.tensor(queries) + layer.centers[0, axis].double()
        beyond = off_the_band(targets.detach(), keys, radius)
        rows, columns = off.shape
        off = off[:, None, :, None] | beyond[None, :, None]
        off = off.reshape(rows * len(queries), columns * keys)
    with torch.no_grad():
        attention = layer.double().attention_probabilities(size=size)[0]
    assert (attention * off).sum(1).max() <= step.neglected * (1 + 1e-10) + 1e-300


@given(lone_heads(), st.integers(0, 2**20))
def test_output_differs_from_dense_by_what_is_neglected(
    drawn: tuple[nn.Module, tuple[int, ...]], seed: int
) -> None:
    layer, size = drawn
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 2, *size, generator=generator).to(layer.dtype)
    eps, neglected = torch.finfo(x.dtype).eps, only_step(layer, size).neglected
    with torch.no_grad():
        found = layer(x).double()
        wide = laws.with_strategy(layer, "dense").double()
        expected = wide(x.double())
    wide.requires_grad_(False)
    norms = wide.output_weight.abs().sum((0, 2, 3))
    # Sums over the tokens of an axis, two channels and a bias; −α (k − t)² as above.
    tokens = sum(wide.geometry.canvas_size(size))
    shift = 1 + float(wide.alpha) * float(wide.centers.abs().max() + 2 * tokens)
    rounding = (tokens + 16) * eps + 20 * FLOAT64 * shift
    allowed = (2 * neglected + rounding) * norms * float(x.abs().max())
    allowed = allowed + 2 * eps * wide.bias.abs()
    error = (found - expected).abs().flatten(2).amax(2)
    assert (error <= allowed).all(), (error / allowed).max()


@given(lone_heads())
def test_a_constant_stays_one_where_no_token_is_zero(
    drawn: tuple[nn.Module, tuple[int, ...]],
) -> None:
    layer, size = drawn
    grid = Grid.of(layer.geometry, size)
    step, dtype = only_step(layer, size), layer.dtype
    assume(not grid.has_zero_tokens and not step.group.saturated)
    ones = torch.ones(1, 2, *grid.canvas_size, dtype=dtype)
    rounding = 2 * sum(grid.canvas_size) * torch.finfo(dtype).eps
    for smoothing in (
        step.prepared,
        step.smoothed_by(grid, layer.alpha[0].detach(), layer.centers[0].detach()),
    ):
        assert (smoothing(ones) - 1).abs().max() <= rounding


@pytest.mark.parametrize("size", [(200,), (110, 100)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_of_banded_layers_are_those_of_dense(
    size: tuple[int, ...], mode: str
) -> None:
    geometry = ex.ConvGeometry.create(
        (2,) * len(size), stride=7, padding=1, padding_mode=mode
    )
    layer = ex.RelativeSelfAttention(2, 3, geometry, num_heads=2, dtype=torch.float64)
    with torch.no_grad():
        layer.alpha.copy_(torch.tensor([1.3, 4.0]))
        layer.centers[1].add_(0.3)
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    assert "smoothed within" in str(explain(layer, x))
    laws.assert_strategies_agree(layer, x)
