"""Scores of head arrangements: what earns them, and what chance does."""

import itertools

import numpy as np
import pytest

from expressivity.errors import ArgumentError
from expressivity.experiments.studies.arrangement import arrangement, trend

GRID = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))
ONES = [1.0] * 9


def scores(centers: np.ndarray, draws: int = 200):
    return arrangement(centers.tolist(), [1.0] * len(centers), draws=draws)


def brute_force(centers: np.ndarray) -> float:
    """Return the gridness of four centers over all matchings and many spacings."""
    free = centers - centers.mean(0)
    grid = np.array(list(itertools.product((-0.5, 0.5), repeat=2)))
    spacings = np.linspace(0, 6, 2001)[:, None, None]
    least = min(
        ((free - spacings * grid[list(order)]) ** 2).sum((1, 2)).min()
        for order in itertools.permutations(range(4))
    )
    return float(1 - least / (free**2).sum())


@pytest.mark.parametrize("seed", range(5))
def test_gridness_is_that_of_the_best_grid(seed: int) -> None:
    centers = np.random.default_rng(seed).normal(0, 1.5, (4, 2))
    assert scores(centers, 1).gridness == pytest.approx(brute_force(centers), abs=1e-5)


@pytest.mark.parametrize("spacing", [0.3, 1.0, 2.5])
def test_a_grid_is_one_wherever_it_is_and_however_wide(spacing: float) -> None:
    generator = np.random.default_rng(0)
    centers = spacing * generator.permutation(GRID) + [0.3, -4.0]
    found = scores(centers)
    assert found.gridness == pytest.approx(1)
    assert found.gridness_p == 1 / 201


def test_whole_pixels_are_noticed_without_a_grid() -> None:
    centers = np.random.default_rng(1).integers(-3, 4, (9, 2)).astype(float)
    found = scores(centers)
    assert found.integrality == 0
    assert found.integrality_p == 1 / 201
    assert found.gridness_p > 0.05
    assert scores(centers + 0.5).integrality == pytest.approx(0.5**0.5)
    assert scores(centers + 0.5).integrality_p > 0.9


def test_chance_is_below_p_as_often_as_p_says() -> None:
    """Clouds without any arrangement: p is spread evenly."""
    generator = np.random.default_rng(0)
    found = [scores(generator.normal(1, (1, 2), (9, 2)), 40) for _ in range(120)]
    for name in ("gridness_p", "integrality_p"):
        values = np.array([getattr(each, name) for each in found])
        for level in (0.1, 0.5):
            # Five standard deviations of the binomial; the covariance is estimated.
            slack = 5 * (level * (1 - level) / len(values)) ** 0.5
            assert abs((values <= level).mean() - level) < slack + 1 / 41


def test_reach_and_sharpness() -> None:
    found = arrangement([[3.0, 4.0], [0.0, 0.0], [0.0, 5.0]], [1.0, 9.0, 2.0])
    assert found.reach == pytest.approx((50 / 3) ** 0.5)
    assert found.sharpness == 2
    assert found.gridness is None


@pytest.mark.parametrize("centers", [[[0.0, 1.0]] * 2, [[0.0]] * 4, []])
def test_too_few_centers_are_refused(centers: list[list[float]]) -> None:
    with pytest.raises(ArgumentError, match="needs at least 3 centers over two axes"):
        arrangement(centers, [1.0] * len(centers))


@pytest.mark.parametrize("seed", range(3))
def test_a_trend_is_spearmans(seed: int) -> None:
    runs = np.random.default_rng(seed).normal(size=(4, 7))
    spearman = pytest.importorskip("scipy.stats").spearmanr
    expected = np.mean([spearman(run, np.arange(7)).statistic for run in runs])
    assert trend(runs.tolist())[0] == pytest.approx(expected)


def test_a_trend_is_told_from_chance() -> None:
    rising = [[1.0, 2.0, 4.0, 3.0, 5.0, 6.0]] * 5
    assert trend(rising) == (pytest.approx(33 / 35), 1 / 401)
    generator = np.random.default_rng(0)
    clouds = generator.normal(size=(150, 5, 6)).tolist()
    shares = [trend(runs, draws=50)[1] for runs in clouds]
    for level in (0.1, 0.5):
        slack = 5 * (level * (1 - level) / len(shares)) ** 0.5
        assert abs(np.mean(np.array(shares) <= level) - level) < slack + 1 / 51
