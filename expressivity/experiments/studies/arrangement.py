"""How the heads of a layer are arranged, and whether chance arranges them so.

Four scores of attention centers c_h. Two of them have a null distribution: clouds of as
many centers, drawn from the Gaussian that has the mean and covariance of the layer's
own. Spread and position of a cloud alone earn nothing. For the other two
:func:`trend` says whether they change with depth more than shuffled layers do.

============  ======================================================================
gridness      share of the variance that the nearest K×K grid explains, where grid
              points and heads are matched in the best of all ways
integrality   mean distance of a center to the nearest whole pixel
sharpness     median of α
reach         root of the mean squared length of a center
============  ======================================================================

The best grid has a closed form. With mean-free centers, points g of a K×K grid, a
matching π and a spacing s, the mean of ‖c_h − s g_π(h)‖² is least where the sum of
c_h · g_π(h) is largest, whatever s is: one assignment problem.
"""

import math
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from expressivity.errors import ArgumentError

Centers = NDArray[np.float64]
DRAWS = 400
_FEWEST = 3  # centers that have a covariance


@dataclass(frozen=True)
class Arrangement:
    """The scores of one layer.

    Attributes:
        gridness: From 0 to 1; ``None`` if the number of heads is no square.
        gridness_p: Share of clouds that are as close to a grid, or closer.
        integrality: In pixels.
        integrality_p: Share of clouds that are as close to whole pixels, or closer.
        sharpness: In 1/pixel².
        reach: In pixels.
    """

    gridness: float | None
    gridness_p: float | None
    integrality: float
    integrality_p: float
    sharpness: float
    reach: float


def arrangement(
    centers: list[list[float]], alphas: list[float], *, draws: int = DRAWS
) -> Arrangement:
    """Score the heads of a layer.

    Args:
        centers: In pixels, (heads, 2).
        alphas: Locality strengths, 1/pixel², one a head.
        draws: Number of clouds. The smallest p is 1 / (1 + draws).

    Returns:
        The scores. The clouds are the same for the same centers.

    Raises:
        ArgumentError: If there are fewer than three heads, or not over two axes.

    Example:
        >>> taps = [[float(i), float(j)] for i in range(3) for j in range(3)]
        >>> scores = arrangement(taps, [1.0] * 9)
        >>> scores.gridness, scores.integrality, scores.gridness_p < 0.01
        (1.0, 0.0, True)
    """
    cloud = np.asarray(centers, dtype=np.float64)
    if cloud.ndim != 2 or cloud.shape[1] != 2 or len(cloud) < _FEWEST:
        raise ArgumentError(
            f"an arrangement needs at least {_FEWEST} centers over two axes, got an "
            f"array of shape {cloud.shape}"
        )
    generator = np.random.default_rng(0)
    clouds = generator.multivariate_normal(
        cloud.mean(0), np.cov(cloud.T), (draws, len(cloud))
    )
    whole = _distance_to_pixels(cloud)
    side = math.isqrt(len(cloud))
    grid, grid_p = None, None
    if side * side == len(cloud):
        grid = _gridness(cloud, side)
        others = [_gridness(other, side) for other in clouds]
        grid_p = _share(sum(other >= grid for other in others), draws)
    return Arrangement(
        grid,
        grid_p,
        whole,
        _share(sum(_distance_to_pixels(other) <= whole for other in clouds), draws),
        median(alphas),
        float(np.sqrt((cloud**2).sum(1).mean())),
    )


def trend(runs: list[list[float]], *, draws: int = DRAWS) -> tuple[float, float]:
    """Return how a score changes with depth, and how often chance does as much.

    Args:
        runs: For every seed one number a layer.
        draws: Shuffles of the layers of every seed.

    Returns:
        Spearman's rank correlation of score and layer, mean over seeds; and the share
        of shuffles in which it is as far from 0, or further.

    Example:
        >>> trend([[1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.2, 0.3, 0.5, 0.4]])[0]
        0.95
    """
    ranks = np.argsort(np.argsort(np.asarray(runs), axis=1), axis=1).astype(float)
    depth = np.arange(ranks.shape[1]) - (ranks.shape[1] - 1) / 2
    scale = float((depth**2).sum()) or 1.0
    found = float((ranks @ depth).mean() / scale)
    generator = np.random.default_rng(0)
    others = [
        (generator.permuted(ranks, axis=1) @ depth).mean() / scale for _ in range(draws)
    ]
    near = 1e-9  # sums in another order differ by rounding
    hits = sum(abs(other) >= abs(found) - near for other in others)
    return found, _share(hits, draws)


def _gridness(cloud: Centers, side: int) -> float:
    """Return the share of the variance that the best grid explains."""
    axis = np.arange(side) - (side - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    free = cloud - cloud.mean(0)
    products = free @ grid.T
    heads, points = linear_sum_assignment(products, maximize=True)
    explained = products[heads, points].sum() ** 2 / (grid**2).sum()
    total = (free**2).sum()
    return float(explained / total) if total else 0.0


def _distance_to_pixels(cloud: Centers) -> float:
    return float(np.sqrt(((cloud - np.round(cloud)) ** 2).sum(1)).mean())


def _share(hits: int, draws: int) -> float:
    """Return the p-value of a permutation test: the score itself counts as a draw."""
    return (1 + int(hits)) / (1 + draws)
