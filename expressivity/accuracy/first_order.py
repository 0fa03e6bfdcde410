"""The first-order error: e^−α · Conv_W(∇²X), ∇² the graph Laplacian of the canvas."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_positive
from expressivity.convolutions import Kernel, convolve
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.positions import positions
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from expressivity.heads.smoothing import axis_limit


def first_order_error(
    conv: Convolution,
    x: Float[Tensor, "*batch channels_and_size"],
    *,
    alpha: float,
) -> Float[Tensor, "batch out_channels *out_size"]:
    """Predict attention(x) − conv(x) up to a remainder of order e^−2α.

    The graph Laplacian of a pixel is the sum of its neighbours on the canvas minus
    their number times the pixel. Along an axis on which a target lies outside the
    canvas there is no first-order term: the nearest pixel wins by e^−3α at least.

    Args:
        conv: The convolution.
        x: Input, (batch, in_channels, *size) or without the batch axis.
        alpha: Locality strength of all heads, 1/pixel².

    Returns:
        The predicted error of every output, absolute; always with a batch axis and
        without gradients.

    Raises:
        ArgumentError: If ``alpha`` is not positive and finite.
        InputError: If the input does not suit the convolution.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Reference:
        Statement ``first_order`` in ``proofs/``.

    Example:
        A constant image, padded with itself, is left alone by every α.

        >>> conv = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
        >>> first_order_error(conv, torch.ones(1, 1, 4, 4), alpha=1.0).abs().max()
        tensor(0.)
    """
    return first_order(Kernel.of(conv), x, check_positive("alpha", alpha))


def first_order(kernel: Kernel, x: Tensor, alpha: float) -> Tensor:
    """Predict as :func:`first_order_error` does, for a kernel behind the gate."""
    conv, geometry = kernel.conv, kernel.geometry
    x = kernel.batched(x).detach()
    size = tuple(x.shape[2:])
    targets = [positions(points, x.device) for points in geometry.targets(size)]
    canvas = geometry.canvas(x)
    limits = [
        axis_limit(t, k, x.dtype)
        for t, k in zip(targets, canvas.shape[2:], strict=True)
    ]
    laplacian = sum(
        (
            _along(axis, limits, _laplacian_rows(t, limit))(canvas)
            for axis, (t, limit) in enumerate(zip(targets, limits, strict=True))
        ),
        start=x.new_zeros(()),
    )
    change = convolve(
        laplacian,
        conv.weight.detach(),
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=conv.groups,
    )
    return math.exp(-alpha) * change


def _laplacian_rows(targets: Tensor, limit: Tensor) -> Tensor:
    """Return a row per target: +1 at its neighbours, −their number at itself."""
    gaps = torch.arange(limit.shape[1], device=targets.device) - targets[:, None]
    neighbours = (gaps.abs() == 1).to(limit.dtype)
    # Off the canvas the only neighbour is the limit itself, and both cancel.
    return neighbours - neighbours.sum(1, keepdim=True) * limit


def _along(axis: int, matrices: Sequence[Tensor], matrix: Tensor) -> AxisProduct:
    """Return a product of matrices, that of one axis replaced."""
    replaced = [*matrices[:axis], matrix, *matrices[axis + 1 :]]
    return AxisProduct.of(list(map(BandedMatrix.full, replaced)))
