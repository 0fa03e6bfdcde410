"""Rings of further heads around the taps, that undo what soft heads smooth.

A soft head aimed at Δ takes the mean of its pixel and the neighbours, p(n) ∝ e^−αn²
along each axis. Heads at Δ + n, |n| ≤ m, with weights a(n) such that

    (a ∗ p)(n) = [n = 0]    for |n| ≤ m

together look at Δ alone, up to what is left further out: (a ∗ p)(m + 1), of order
e^−α(m+1). Over several axes the weights are products. Near borders the means have
other weights; there an error of order e^−2α is left, however many rings there are.
"""

from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.heads.leak import WIDEST_ALPHA

_NEGLIGIBLE = 50.0
_SOLVED = 1e-9
_TOO_SOFT = (
    "{rings} rings of heads with alpha={alpha:.3g} cannot be solved for in float64: "
    "raise alpha or take fewer rings"
)


class RingedHeads(NamedTuple):
    """Heads on the taps and around them.

    Attributes:
        centers: Where they are aimed, in pixels.
        matrices: What they carry.
    """

    centers: Int[Tensor, "heads axes"]
    matrices: Float[Tensor, "heads out_channels channels_of_group"]


def deconvolution(alpha: float, rings: int) -> Float[Tensor, " offsets"]:
    """Return weights a(−m), …, a(m) that undo a smoothing along one axis.

    Args:
        alpha: Locality strength, 1/pixel², positive.
        rings: m, how many pixels the weights reach.

    Returns:
        The solution of (a ∗ p)(n) = [n = 0] for |n| ≤ m, float64.

    Raises:
        ArgumentError: If float64 cannot undo so much smoothing.

    Example:
        >>> deconvolution(50.0, rings=1).round().abs().tolist()
        [0.0, 1.0, 0.0]
    """
    if alpha < WIDEST_ALPHA:
        raise ArgumentError(_TOO_SOFT.format(rings=rings, alpha=alpha))
    reach = 2 * rings + 1 + int((_NEGLIGIBLE / alpha) ** 0.5)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64, device="cpu")
    total = (-alpha * steps.square()).exp().sum()
    offsets = torch.arange(-rings, rings + 1, dtype=torch.float64, device="cpu")
    gaps = offsets - offsets[:, None]
    smoothing = (-alpha * gaps.square()).exp() / total
    identity = (offsets == 0).double()
    weights, _ = torch.linalg.solve_ex(smoothing, identity)
    if not bool(((smoothing @ weights - identity).abs() < _SOLVED).all()):
        raise ArgumentError(_TOO_SOFT.format(rings=rings, alpha=alpha))
    solved: Tensor = weights
    return solved


def ringed_heads(
    matrices: Float[Tensor, "taps out_channels channels_of_group"],
    geometry: ConvGeometry,
    alpha: float,
    rings: int,
) -> RingedHeads:
    """Surround the taps of a kernel by rings of heads.

    Args:
        matrices: One a tap.
        geometry: Where the taps are.
        alpha: Locality strength of all heads, 1/pixel².
        rings: Pixels that heads reach beyond a tap, on each axis.

    Returns:
        A head for every displacement within reach of a tap on each axis, (K + 2m) an
        axis without dilation, float64.
    """
    weights = deconvolution(alpha, rings)
    taps = geometry.centers()
    mixing, places = [], []
    for axis in range(geometry.axes):
        around = taps[:, axis, None] + torch.arange(-rings, rings + 1, device="cpu")
        spots = around.unique()
        # a(spot − tap) for each spot and tap.
        mixing.append((spots[:, None, None] == around).double() @ weights)
        places.append(spots)
    mixed = reduce(lambda done, axis: (done[:, None] * axis).flatten(0, 1), mixing)
    carried = torch.einsum("ht,toc->hoc", mixed, matrices.double().cpu())
    centers = torch.cartesian_prod(*places).reshape(-1, geometry.axes)
    return RingedHeads(centers, carried)
