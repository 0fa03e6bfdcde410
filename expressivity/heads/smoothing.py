"""The smoothing operator G_α, one matrix an axis.

On a rectangular canvas the softmax of quadratic scores factorises over the axes: the
row of a target t is R(t₁, ·) C(t₂, ·) with R(t, k) = softmax_k(−α (k − t)²). Attention
of a head is then a normalised Gaussian smoothing of the canvas, read off at the
targets: statements ``separability`` and ``smoothing_identity`` in ``proofs/``.

A factor is a small matrix or, on a long axis, a banded one. Attention off the band is
below the rounding of the dtype, see :func:`expressivity.heads.leak.mass_beyond`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from expressivity.geometry.positions import positions
from expressivity.heads.banded import BandedMatrix, Windows
from expressivity.heads.encoding import axis_scores
from expressivity.numbers.softmax import masked, softmax

# A band pays where the axis is longer than this many windows.
_CROSSOVER = 1.5


@dataclass(frozen=True)
class Axis:
    """One axis of the canvas.

    Attributes:
        tokens: Tokens, less those of zeros.
        zeros_before: Tokens of zeros before the first of those.
        canvas: All tokens.
    """

    tokens: int
    zeros_before: int
    canvas: int


@dataclass(frozen=True)
class Band:
    """The tokens that the targets of one axis attend to.

    Attributes:
        center: Added to the targets, in pixels.
        radius: Pixels around the pixel nearest to a target.
        span: Targets within so many pixels share a window.
    """

    center: float
    radius: int
    span: int

    def pays(self, canvas: int) -> bool:
        """Return whether a banded matrix costs less than a full one on an axis."""
        return canvas >= _CROSSOVER * self.width

    @property
    def width(self) -> int:
        """Tokens in the window of targets that share one."""
        return self.span + 2 * self.radius + 1


def smoothing_matrix(
    axis: Axis,
    targets: range,
    center: Float[Tensor, ""],
    alpha: Float[Tensor, ""],
    band: Band | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> BandedMatrix:
    """Return R along one axis, without the columns of tokens of zeros.

    Those tokens add nothing to the smoothing, but belong to its normaliser.

    Args:
        axis: The tokens.
        targets: Positions in pixels of the canvas, less the center.
        center: Added to the targets, in pixels.
        alpha: Locality strength, 1/pixel².
        band: The tokens that targets attend to; ``None`` for the whole axis.
        dtype: Dtype in which the matrix will be used: it decides what is negligible. By
            default that of ``alpha``.

    Returns:
        A (targets, tokens) matrix, banded where that pays. Rows sum to one if the
        canvas has no tokens of zeros.

    Example:
        >>> axis = Axis(tokens=1, zeros_before=1, canvas=2)
        >>> zero = torch.tensor(0.0)
        >>> smoothing_matrix(axis, range(2), zero, zero).dense().tolist()
        [[0.5], [0.5]]
    """
    tokens, canvas = _windows(axis, targets, band)
    places = positions(targets, alpha.device, alpha.dtype) + center
    count = len(tokens.starts)
    spare = count * tokens.rows - len(targets)
    rows = pad(places[None], (0, spare), mode="replicate") if spare else places
    rows = rows.reshape(count, tokens.rows)
    scores = _scores(rows, tokens, axis.zeros_before, alpha)
    if axis.canvas == axis.tokens:
        weights = softmax(scores, dtype=dtype)
    else:
        everything = _scores(rows, canvas, 0, alpha)
        total = everything.logsumexp(-1, keepdim=True)
        weights = (masked(scores, among=everything, dtype=dtype) - total).exp()
    *blocks, last = weights.unbind()
    last = last[: tokens.rows - spare]
    return BandedMatrix((*blocks, last), tokens.starts, axis.tokens)


def axis_limit(
    targets: Int[Tensor, " targets"], keys: int, dtype: torch.dtype
) -> Float[Tensor, "targets keys"]:
    """Return the limit of R along one axis of so many keys, as α grows.

    The row of a target, on the canvas or off it, has a one at the pixel nearest to the
    target and zeros elsewhere.

    Example:
        >>> axis_limit(torch.tensor([-1, 2]), 3, torch.float32).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return one_hot(targets.clamp(0, keys - 1), keys).to(dtype)


def _windows(axis: Axis, targets: range, band: Band | None) -> tuple[Windows, Windows]:
    """Return the windows of blocks of targets: in the tokens, and in the canvas."""
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
    """Return −α (k − t)² for the keys of each window, which starts at an offset."""
    keys = torch.stack([
        positions(range(start + offset, start + offset + windows.width), alpha.device)
        for start in windows.starts
    ])
    return axis_scores(targets, keys[:, None], alpha)
