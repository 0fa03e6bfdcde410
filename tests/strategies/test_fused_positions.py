"""Positions in digits: what half precision is given, and that it finds every pixel."""

from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import expressivity as ex
from expressivity.attention import explain
from expressivity.geometry.grid import Grid
from expressivity.heads.factors import (
    absolute_factors,
    digits,
)
from expressivity.strategies.fused import _positional_factors
from tests import laws
from tests.cases import BASE

# Significant bits, the implicit one counted.
BITS = {torch.bfloat16: 8, torch.float16: 11, torch.float32: 24, torch.float64: 53}
TF32 = 11
NARROW = (torch.bfloat16, torch.float16, torch.float32)
per_dtype = pytest.mark.parametrize("dtype", NARROW, ids=str)
numbers = st.floats(1e-3, 1e6) | st.floats(-1e6, -1e-3) | st.integers(-9999, 9999)


def rounded_to(values: Tensor, bits: int) -> Tensor:
    """Return the nearest numbers of so many significant bits."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2.0**bits) * 2.0**-bits, exponent)


class TestDigits:
    @given(st.lists(numbers, min_size=1), st.integers(2, 24), st.integers(1, 4))
    def test_sum_to_the_value(self, drawn: list[float], bits: int, count: int) -> None:
        values = torch.tensor(drawn, dtype=torch.float64)
        found = digits(values, bits=bits, count=count)
        left = (torch.stack(found).sum(0) - values).abs()
        # The sum of digits has more bits than float64 only where nothing is left.
        unit = torch.finfo(torch.float64).eps
        assert len(found) == count
        assert (left <= (2.0 ** -(bits * count) + unit) * values.abs()).all()

    @given(st.lists(numbers, min_size=1), st.sampled_from([8, TF32]))
    def test_survive_rounding(self, drawn: list[float], bits: int) -> None:
        values = torch.tensor(drawn, dtype=torch.float64)
        dtype = {8: torch.bfloat16, TF32: torch.float32}[bits]
        for digit in digits(values, bits=bits, count=3):
            assert torch.equal(rounded_to(digit, bits), digit)
            assert torch.equal(digit.to(dtype).double(), digit)

    @given(st.integers(-(2**24), 2**24))
    def test_of_whole_numbers_are_whole_and_complete(self, number: int) -> None:
        found = digits(torch.tensor(float(number)), bits=8, count=3)
        assert [digit.item() % 1 for digit in found] == [0, 0, 0]
        assert sum(digit.item() for digit in found) == number

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_have_a_derivative_of_one(self, count: int) -> None:
        values = torch.randn(5, dtype=torch.float64, requires_grad=True)
        total = torch.stack(digits(values, bits=4, count=count)).sum(0)
        (slope,) = torch.autograd.grad(total, values, torch.arange(5.0).double())
        assert torch.equal(slope, torch.arange(5.0).double())


@st.composite
def key_ranges(draw: st.DrawFn) -> list[range]:
    """Return keys near the origin along one to three axes."""
    pairs = st.tuples(st.integers(-9, 3), st.integers(1, 7))
    drawn = draw(st.lists(pairs, min_size=1, max_size=3))
    return [range(first, first + count) for first, count in drawn]


class TestAbsoluteFactors:
    @staticmethod
    def random(batch: tuple[int, ...], axes: int, seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        random = partial(torch.randn, generator=generator, dtype=torch.float64)
        return [random(*batch, 4), random(*batch, 4, axes), random(*batch, 4)]

    @given(key_ranges(), st.sampled_from([(), (2,), (2, 3)]), st.integers(0, 999))
    def test_multiply_to_the_quadratic_form(
        self, keys: list[range], batch: tuple[int, ...], seed: int
    ) -> None:
        a, b, c = self.random(batch, len(keys), seed)
        for bits, levels in ((53, 1), (8, 3), (11, 3), (11, 2)):
            query, key = absolute_factors(a, b, c, keys, bits=bits, levels=levels)
            assert key.shape[0] == prod(map(len, keys))
            found = query @ key.mT
            # Per level there is one product of digits that is left out.
            left_out = (levels + 1) * 2.0 ** -(bits * levels) + 1e-14
            for index, position in enumerate(product(*keys)):
                k = torch.tensor(position, dtype=torch.float64)
                terms = [a * k.square().sum(), *(b * k).unbind(-1), c]
                size = torch.stack(terms).abs().sum(0)
                error = (found[..., index] - torch.stack(terms).sum(0)).abs()
                assert (error <= left_out * size).all()

    def test_derivatives_are_those_of_the_quadratic_form(self) -> None:
        inputs = [t.requires_grad_() for t in self.random((), 2, seed=1)]
        probe, keys = torch.randn(4, 12).double(), [range(-1, 2), range(-2, 2)]
        query, key = absolute_factors(*inputs, keys, bits=8, levels=3)
        found = torch.autograd.grad((probe * (query @ key.mT)).sum(), inputs)
        k = torch.cartesian_prod(*(torch.tensor(axis).double() for axis in keys))
        expected = (probe @ k.square().sum(1), probe @ k, probe.sum(1))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def one_head(alpha: float, center: list[float], dtype: torch.dtype) -> torch.nn.Module:
    """Return a head that copies the pixel at its target, the nearest off the canvas."""
    layer = ex.RelativeSelfAttention(
        1,
        1,
        ex.ConvGeometry.create((1,) * len(center)),
        num_heads=1,
        bias=False,
        strategy="fused",
        dtype=dtype,
    )
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.centers.copy_(torch.tensor([center]))
        layer.output_weight.fill_(1)
    return layer.requires_grad_(False)


def factors(
    side: int, alpha: float, center: list[float], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return what a kernel is given for a square image, as exact float32 numbers."""
    layer = one_head(alpha, center, dtype)
    grid = Grid.of(layer.geometry, (side, side))
    found = _positional_factors(layer.heads(), grid, 0, None, dtype)
    assert {factor.dtype for factor in found} == {dtype}
    query, key = (factor.float() for factor in found)
    return query, key


def targets_of(side: int, center: list[float]) -> Tensor:
    """Return the pixel nearest to the target of each query, in row-major order."""
    rows, columns = ((torch.arange(side) + round(c)).clamp(0, side - 1) for c in center)
    return (rows[:, None] * side + columns).flatten()


@per_dtype
class TestEveryTargetIsFound:
    """By its score alone: products of features, added up in float32."""

    @pytest.mark.parametrize(
        ("side", "alpha", "center"),
        [
            *((56, alpha, [0.0, 0.0]) for alpha in (0.37, 7.3, 19.7, 113.0)),
            *((56, alpha, [-3.0, 2.0]) for alpha in (0.37, 7.3, 19.7, 113.0)),
            *((128, alpha, [0.0, 0.0]) for alpha in (9.1, 38.3)),
        ],
        ids=str,
    )
    def test_among_all_keys(
        self, side: int, alpha: float, center: list[float], dtype: torch.dtype
    ) -> None:
        query, key = factors(side, alpha, center, dtype)
        chunks = query.split(2048)
        best = torch.cat([(chunk @ key.mT).argmax(1) for chunk in chunks])
        assert torch.equal(best, targets_of(side, center))

    @pytest.mark.parametrize("alpha", [0.37, 38.3])
    def test_scores_lose_nothing_but_the_last_digits(
        self, alpha: float, dtype: torch.dtype
    ) -> None:
        """Products of features are exact; what is left out of them is stated."""
        side, center = 40, [-3.25, 2.5]
        query, key = (f.double() for f in factors(side, alpha, center, dtype))
        middle = torch.arange(side).double() - side // 2
        keys = torch.cartesian_prod(middle, middle)
        targets = keys + torch.tensor(center, dtype=torch.float64)
        alpha = torch.tensor(alpha, dtype=dtype).item()
        exact = -alpha * torch.cdist(targets, keys).square()
        norms = [points.norm(dim=1) for points in (targets, keys)]
        terms = alpha * (norms[0][:, None] + norms[1]).square()
        left_out = 4 * 2.0 ** -(3 * min(TF32, BITS[dtype]))
        # In float16 the last digits fall below the smallest number that there is.
        about = torch.finfo(dtype)
        underflow = 4 * 2**12 * about.smallest_normal * about.eps
        allowed = left_out * terms + underflow + 1e-9
        assert ((query @ key.mT - exact).abs() <= allowed).all()

    def test_features_survive_tf32(self, dtype: torch.dtype) -> None:
        bits = min(TF32, BITS[dtype])
        for feature in factors(128, 19.7, [-3.0, 2.0], dtype):
            assert torch.equal(rounded_to(feature, bits), feature)


@pytest.mark.parametrize("alpha", [7.3, 38.3])
def test_every_target_of_a_large_image_is_found(alpha: float) -> None:
    """Against the pixels around it and a thousand others, in bfloat16."""
    side = 512
    query, key = factors(side, alpha, [0.0, 0.0], torch.bfloat16)
    others = key[torch.randint(len(key), (1000,))]
    rows, columns = torch.arange(side * side) // side, torch.arange(side * side) % side
    steps = [step for step in product(range(-2, 3), repeat=2) if any(step)]
    for part in torch.arange(side * side).split(2**15):
        own = (query[part] * key[part]).sum(1)
        for down, right in steps:
            near = (rows[part] + down).clamp(0, side - 1) * side
            near = near + (columns[part] + right).clamp(0, side - 1)
            lower = own > (query[part] * key[near]).sum(1)
            assert (lower | (near == part)).all()
        scores = query[part] @ others.mT
        assert (scores.amax(1) <= own).all()


def test_coordinates_in_one_number_pick_wrong_pixels() -> None:
    """What the digits are for: ‖k‖² has more bits than bfloat16."""
    side, alpha = 56, 8.0
    middle = torch.arange(side).double() - side // 2
    places = torch.cartesian_prod(middle, middle)
    squares = places.square().sum(1, keepdim=True)
    query = torch.cat([2 * alpha * places, torch.full_like(squares, -alpha)], 1)
    key = torch.cat([places, squares], 1)
    exact = (query @ key.mT).argmax(1)
    assert torch.equal(exact, torch.arange(side * side))
    query, key = query.bfloat16().float(), key.bfloat16().float()
    wrong = (query @ key.mT).argmax(1) != exact
    assert wrong.double().mean() > 0.1


@pytest.mark.parametrize("center", [[0.0, 0.0], [5.0, -3.0]], ids=str)
@per_dtype
def test_a_hard_head_copies_every_pixel_bit_by_bit(
    center: list[float], dtype: torch.dtype
) -> None:
    side = 128 if dtype == torch.bfloat16 else 64
    x = torch.randn(1, 1, side, side).to(dtype)
    copied = one_head(77.0, center, dtype)(x)
    assert torch.equal(copied.flatten(), x.flatten()[targets_of(side, center)])


@pytest.mark.parametrize("size", [8, 56])
@pytest.mark.parametrize("alpha", [1e3, 1e4, 1e5, 1e8, 1e30])
def test_factors_beyond_float16_are_refused(alpha: float, size: int) -> None:
    """Refused where they would overflow, and right where they are not refused."""
    case = replace(BASE, size=(size, size))
    conv, x = case.conv(torch.float16), case.input(batch=1, dtype=torch.float16)
    layer = ex.attention_from_conv(conv, alpha=alpha, strategy="fused")
    with torch.no_grad():
        if explain(layer, x).chosen is not None:
            laws.assert_equals_convolution(layer, conv, x, alpha=alpha)
            assert alpha < 1e6
        else:
            assert alpha > 2e4
            with pytest.raises(ex.errors.StrategyError, match="factors up to"):
                layer(x)
