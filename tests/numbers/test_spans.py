"""Directions that hold vectors of any size."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expressivity.numbers.spans import (
    power_of_two,
    principal_directions,
    span_rounding,
    spanning_directions,
)


@given(
    length=st.integers(1, 9),
    count=st.integers(1, 40),
    rank=st.integers(0, 9),
    exponents=st.tuples(st.integers(-140, 0), st.integers(1, 140)),
    seed=st.integers(0, 10**6),
)
def test_every_vector_is_reproduced(
    length: int, count: int, rank: int, exponents: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Small integers: products of them have the rank that they seem to have.
    left, right = (
        torch.randint(-3, 4, shape, generator=generator).double()
        for shape in ((length, rank), (rank, count))
    )
    scales = 10.0 ** torch.randint(*exponents, (count,), generator=generator).double()
    vectors = left @ right * scales
    directions = spanning_directions(vectors)
    assert directions.shape[1] <= rank
    assert directions.shape[1] == torch.linalg.matrix_rank(left @ right)
    eye = torch.eye(directions.shape[1], dtype=torch.float64)
    torch.testing.assert_close(directions.mT @ directions, eye, rtol=0, atol=1e-14)
    off = vectors - directions @ (directions.mT @ vectors)
    norms = (vectors / scales).norm(dim=0)
    assert ((off / scales).norm(dim=0) <= 2 * span_rounding(length) * norms).all()


@pytest.mark.parametrize("rounding", [0.0, 1e-3])
def test_what_counts_as_rounding_can_be_chosen(rounding: float) -> None:
    vectors = torch.tensor([[1.0, 1e3], [0.0, 1e-1]])
    assert spanning_directions(vectors, rounding).shape[1] == (1 if rounding else 2)


def test_principal_directions_are_those_of_the_whole_matrix() -> None:
    torch.manual_seed(0)
    for shape in ((3, 50), (5, 2), (4, 4)):
        matrix = torch.randn(shape).double()
        wanted = torch.linalg.svd(matrix, full_matrices=False).U
        overlap = (principal_directions(matrix).mT @ wanted).abs()
        eye = torch.eye(min(shape), dtype=torch.float64)
        torch.testing.assert_close(overlap, eye, rtol=0, atol=1e-12)


@given(st.floats(0, math.nextafter(math.inf, 0)))
def test_powers_of_two_are_exact(size: float) -> None:
    power = Fraction(power_of_two(torch.tensor(size, dtype=torch.float64)).item())
    if size:
        assert power <= Fraction(size) < 2 * power
    assert power.numerator & (power.numerator - 1) == 0
    assert power.denominator & (power.denominator - 1) == 0
