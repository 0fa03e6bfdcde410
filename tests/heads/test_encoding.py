"""Positional scores against Lemma 2, written out."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expressivity.geometry.positions import positions
from expressivity.heads.encoding import (
    axis_scores,
    head_vectors,
    positional_scores,
    relative_encoding,
)

integers = st.integers(-50, 50)


@given(st.lists(st.tuples(integers, integers), min_size=1, max_size=3), integers)
def test_lemma_2(axes: list[tuple[int, int]], alpha: int) -> None:
    # Whole numbers of this size are exact in float64, and so is the identity.
    delta, center = torch.tensor(axes, dtype=torch.float64).T
    strength = torch.tensor([float(alpha)], dtype=torch.float64)
    score = head_vectors(strength, center[None]) @ relative_encoding(delta)
    expected = -alpha * ((delta - center).square().sum() - center.square().sum())
    assert score.item() == expected.item()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_scores_are_minus_alpha_times_the_squared_distance(axes: int) -> None:
    queries = (range(-1, 4), range(1, 6, 2), range(2, 3))[:axes]
    canvas = (4, 3, 5)[:axes]
    alpha = torch.tensor([0.5, 3.0], dtype=torch.float64)
    centers = torch.randn(2, axes, dtype=torch.float64)
    scores = positional_scores(alpha, centers, queries, canvas)
    pairs = itertools.product(
        range(2),
        enumerate(itertools.product(*queries)),
        enumerate(itertools.product(*map(range, canvas))),
    )
    for head, (row, query), (column, key) in pairs:
        gap = torch.tensor(key) - torch.tensor(query) - centers[head]
        expected = -alpha[head] * gap.square().sum()
        torch.testing.assert_close(scores[head, row, column], expected)


def test_scores_differ_from_equation_9_by_a_constant_of_the_head() -> None:
    queries, canvas = (range(1, 4), range(0, 5, 2)), (5, 5)
    alpha = torch.tensor([0.7, 4.0], dtype=torch.float64)
    centers = torch.tensor([[1.0, -1.0], [0.25, 2.0]], dtype=torch.float64)
    keys = torch.cartesian_prod(*map(torch.arange, canvas))
    asked = torch.cartesian_prod(*(positions(q, keys.device) for q in queries))
    encoding = relative_encoding((keys - asked[:, None]).double())
    literal = torch.einsum("hp,qkp->hqk", head_vectors(alpha, centers), encoding)
    constant = alpha * centers.square().sum(1)
    torch.testing.assert_close(
        positional_scores(alpha, centers, queries, canvas),
        literal - constant[:, None, None],
    )


def test_score_is_exactly_zero_at_the_target_and_only_there() -> None:
    alpha = torch.tensor(1e4)
    scores = axis_scores(torch.arange(300), torch.arange(300), alpha)
    assert torch.equal(scores == 0, torch.eye(300, dtype=torch.bool))
    assert (scores <= 0).all()


def test_positions_are_the_range() -> None:
    points = range(-3, 9, 4)
    assert positions(points, torch.device("cpu")).tolist() == list(points)
