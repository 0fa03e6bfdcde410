"""The smoothing operator G_α, one matrix an axis.

On a rectangular canvas the softmax of quadratic scores factorises over the axes,
so the row of a target t is R(t₁, ·) C(t₂, ·) with R(t, k) = softmax_k(−α (k − t)²).
Attention of a head is then a normalised Gaussian smoothing of the canvas, read off
at the targets (DESIGN 2.2 and 2.3).

A factor is a small matrix, or, on a long axis, a banded one: what lies off the band
is below the rounding of the dtype, see :func:`expressivity.accuracy.mass_beyond`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from expressivity.geometry.positions import positions
from expressivity.heads.banded import (
    BandedMatrix,
    Windows,
)
from expressivity.heads.encoding import axis_scores

# A band pays where the axis is longer than this many windows.
_CROSSOVER = 1.5


@dataclass(frozen=True)
class Axis:
    """One axis of the canvas.

    Attributes:
        tokens: Tokens that hold something.
        zeros_before: Zero-valued tokens of the canvas before the first of those.
        canvas: All tokens.
    """

    tokens: int
    zeros_before: int
    canvas: int


@dataclass(frozen=True)
class Band:
    """Where the targets of one axis look, when that is known.

    Attributes:
        center: The value that is added to the targets, in pixels.
        radius: Pixels around the pixel nearest to a target.
        span: Targets within so many pixels share a window.
    """

    center: float
    radius: int
    span: int

    def pays(self, canvas: int) -> bool:
        """Return whether a banded matrix costs less than a full one.

        Args:
            canvas: Tokens of the axis.

        Returns:
            Whether the axis is long enough.
        """
        return canvas >= _CROSSOVER * self.width

    @property
    def width(self) -> int:
        """Tokens that targets which share a window look at."""
        return self.span + 2 * self.radius + 1


def smoothing_matrix(
    axis: Axis,
    targets: range,
    center: Float[Tensor, ""],
    alpha: Float[Tensor, ""],
    band: Band | None = None,
) -> BandedMatrix:
    """Return R along one axis, without the columns of zero-valued tokens.

    Those tokens add nothing to the smoothing, but belong to its normaliser.

    Args:
        axis: The tokens.
        targets: Positions in pixels of the canvas, less the center.
        center: What is added to them, in pixels.
        alpha: Locality strength, 1/pixel².
        band: Where the targets look; ``None`` for the whole axis.

    Returns:
        A (targets, tokens) matrix, banded where that pays. Rows sum to one if the
        canvas has no zero-valued tokens.

    Example:
        >>> axis = Axis(tokens=1, zeros_before=1, canvas=2)
        >>> zero = torch.tensor(0.0)
        >>> smoothing_matrix(axis, range(2), zero, zero).dense().tolist()
        [[0.5], [0.5]]
    """
    looked, canvas = _windows(axis, targets, band)
    places = positions(targets, alpha.device).to(alpha.dtype) + center
    count = len(looked.starts)
    spare = count * looked.rows - len(targets)
    rows = pad(places[None], (0, spare), mode="replicate") if spare else places
    rows = rows.reshape(count, looked.rows)
    scores = _scores(rows, looked, axis.zeros_before, alpha)
    if axis.canvas == axis.tokens:
        weights = scores.softmax(-1)
    else:
        everything = _scores(rows, canvas, 0, alpha)
        weights = (scores - everything.logsumexp(-1, keepdim=True)).exp()
    *blocks, last = weights.unbind()
    last = last[: looked.rows - spare]
    return BandedMatrix((*blocks, last), looked.starts, axis.tokens)


def axis_limit(
    targets: Int[Tensor, " targets"], keys: int, dtype: torch.dtype
) -> Float[Tensor, "targets keys"]:
    """Return the limit of R along one axis of the canvas as α grows.

    Args:
        targets: Whole positions in pixels of the canvas, on or off it.
        keys: Number of tokens of the axis.
        dtype: Dtype of the result.

    Returns:
        Rows with a one at the pixel nearest to the target, zeros elsewhere.

    Example:
        >>> axis_limit(torch.tensor([-1, 2]), 3, torch.float32).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return one_hot(targets.clamp(0, keys - 1), keys).to(dtype)


def _windows(axis: Axis, targets: range, band: Band | None) -> tuple[Windows, Windows]:
    """Return the windows of blocks of targets: on the tokens, and on the canvas."""
    whole = (
        Windows.whole(len(targets), axis.tokens),
        Windows.whole(len(targets), axis.canvas),
    )
    if band is None or not band.pays(axis.canvas):
        return whole
    spots = [round(target + band.center) for target in targets]
    rows = max(1, band.span // targets.step)
    on_tokens = [spot - axis.zeros_before for spot in spots]
    return (
        Windows.around(on_tokens, axis.tokens, radius=band.radius, rows=rows),
        Windows.around(spots, axis.canvas, radius=band.radius, rows=rows),
    )


def _scores(
    targets: Float[Tensor, "blocks rows"],
    windows: Windows,
    offset: int,
    alpha: Float[Tensor, ""],
) -> Float[Tensor, "blocks rows width"]:
    """Return −α (k − t)² for the keys of each window, counted from an offset."""
    keys = torch.stack([
        positions(range(start + offset, start + offset + windows.width), alpha.device)
        for start in windows.starts
    ])
    return axis_scores(targets, keys[:, None], alpha)
