"""Positions and displacements, in pixels, as tensors.

Positions along an axis come as a ``range``; whatever lies on a grid comes in row-major
order. Numbers are integers on the CPU unless a dtype or a device is given.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor


def positions(
    points: range,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Shaped[Tensor, " points"]:
    """Return the positions along one axis.

    Example:
        >>> positions(range(1, 6, 2)).tolist()
        [1, 3, 5]
    """
    return torch.arange(
        points.start, points.stop, points.step, device=device, dtype=dtype
    )


def grid_positions(
    axes: Sequence[range],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Shaped[Tensor, "points axes"]:
    """Return every point of a grid, given the positions along each axis.

    Example:
        >>> grid_positions([range(2), range(0, 6, 3)]).tolist()
        [[0, 0], [0, 3], [1, 0], [1, 3]]
    """
    along = [positions(points, device, dtype) for points in axes]
    return torch.cartesian_prod(*along).reshape(-1, len(axes))


def displacements(
    queries: Sequence[range],
    keys: Sequence[range],
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Shaped[Tensor, "queries keys axes"]:
    """Return δ = k − q for every query and key, given those along each axis.

    Example:
        >>> displacements([range(2)], [range(3)])[..., 0].tolist()
        [[0, 1, 2], [-1, 0, 1]]
    """
    origins = grid_positions(queries, device, dtype)
    return grid_positions(keys, device, dtype) - origins[:, None]
