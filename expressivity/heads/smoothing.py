"""The smoothing operator G_α, one matrix an axis.

On a rectangular canvas the softmax of quadratic scores factorises over the axes: the
row of a target t is R(t₁, ·) C(t₂, ·) with R(t, k) = softmax_k(−α (k − t)²). Attention
of a head is then a normalised Gaussian smoothing of the canvas, read off at the
targets: statements ``separability`` and ``smoothing_identity`` in ``proofs/``.

A factor is a small matrix or, on a long axis, a banded one. Attention off the band is
below the rounding of the dtype, see :func:`expressivity.heads.leak.mass_beyond`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from expressivity.geometry.positions import positions
from expressivity.heads.banded import BandedMatrix, Windows
from expressivity.heads.encoding import axis_scores
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.machine.recording import is_ordinary, is_traced
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
        lowest: The smallest center that is added to the targets, in pixels.
        highest: The largest one.
        radius: Pixels around the pixel nearest to a target.
        span: Targets within so many pixels share a window.
    """

    lowest: float
    highest: float
    radius: int
    span: int

    def pays(self, canvas: int) -> bool:
        """Return whether a banded matrix costs less than a full one on an axis."""
        return canvas >= _CROSSOVER * self.width

    @property
    def width(self) -> int:
        """Tokens in the window of targets that share one."""
        between = round(self.highest) - round(self.lowest)
        return self.span + between + 2 * self.radius + 1


def smoothing_matrix(
    axis: Axis,
    targets: range,
    center: Float[Tensor, ""],
    alpha: Float[Tensor, ""],
    band: Band | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> BandedMatrix:
    """Return R along one axis for one center, as :func:`smoothing_matrices` does.

    Args:
        axis: The tokens.
        targets: Positions in pixels of the canvas, less the center.
        center: Added to the targets, in pixels.
        alpha: Locality strength, 1/pixel².
        band: The tokens that targets attend to; ``None`` for the whole axis.
        dtype: Dtype in which the matrix will be used.

    Returns:
        A (targets, tokens) matrix.

    Example:
        >>> axis = Axis(tokens=1, zeros_before=1, canvas=2)
        >>> zero = torch.tensor(0.0)
        >>> smoothing_matrix(axis, range(2), zero, zero).dense().tolist()
        [[0.5], [0.5]]
    """
    all_heads = smoothing_matrices(
        axis, targets, center[None], alpha[None], band, dtype=dtype
    )
    return all_heads.of_head(0)


def smoothing_matrices(
    axis: Axis,
    targets: range,
    centers: Float[Tensor, " heads"],
    alphas: Float[Tensor, " heads"],
    band: Band | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> HeadMatrices:
    """Return R along one axis for every head, without the columns of tokens of zeros.

    Those tokens add nothing to the smoothing, but belong to its normaliser.

    Args:
        axis: The tokens.
        targets: Positions in pixels of the canvas, less the centers.
        centers: Added to the targets, in pixels.
        alphas: Locality strengths, 1/pixel².
        band: The tokens that targets attend to; ``None`` for the whole axis.
        dtype: Dtype in which the matrices will be used: it decides what is negligible.
            By default that of ``alphas``.

    Returns:
        (targets, tokens) matrices, banded where that pays. Rows sum to one if the
        canvas has no tokens of zeros.
    """
    places = _places_of(axis, targets, band, alphas.device, alphas.dtype)
    tokens, rows = places.tokens, places.targets + centers[:, None, None]
    along = alphas[:, None, None]
    everything = axis_scores(rows, places.keys, along)
    if axis.tokens == axis.canvas:
        weights = softmax(everything, dtype=dtype)
    elif places.keys_of_tokens is None:  # one window, which is everything
        weights = softmax(everything, dtype=dtype)
        weights = weights.narrow(-1, axis.zeros_before, axis.tokens)
    else:
        everything = masked(everything, dtype=dtype)
        scores = axis_scores(rows, places.keys_of_tokens, along)
        scores = masked(scores, among=everything, dtype=dtype)
        weights = (scores - everything.logsumexp(-1, keepdim=True)).exp()
    *blocks, last = weights.unbind(1)
    if places.spare:
        last = last[:, : tokens.rows - places.spare]
    return HeadMatrices((*blocks, last), tokens.starts, axis.tokens)


def smoothing_along_axes(
    axes: Sequence[Axis],
    targets: Sequence[range],
    bands: Sequence[Band | None],
    alphas: Float[Tensor, " heads"],
    centers: Float[Tensor, "heads axes"],
    *,
    dtype: torch.dtype | None = None,
) -> tuple[HeadMatrices, ...]:
    """Return R along each axis for every head, along equal axes formed at once.

    Args:
        axes: The tokens along each axis.
        targets: Positions in pixels of the canvas along each, less the centers.
        bands: The tokens that targets attend to; ``None`` for the whole axis.
        alphas: Locality strengths, 1/pixel².
        centers: Added to the targets, in pixels.
        dtype: As for :func:`smoothing_matrices`.
    """
    kinds = list(zip(axes, targets, bands, strict=True))
    heads, count = centers.shape
    # Tracers do not compare sizes that are symbols.
    if is_traced() or kinds.count(kinds[0]) < count:
        return tuple(
            smoothing_matrices(axis, target, along, alphas, band, dtype=dtype)
            for (axis, target, band), along in zip(
                kinds, centers.unbind(-1), strict=True
            )
        )
    (axis, target, band), every = kinds[0], alphas.expand(count, -1).flatten()
    joint = smoothing_matrices(
        axis, target, centers.mT.flatten(), every, band, dtype=dtype
    )
    split = zip(*(block.split(heads) for block in joint.blocks), strict=True)
    return tuple(replace(joint, blocks=blocks) for blocks in split)


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
    radius, rows = band.radius, max(1, band.span // targets.step)
    if not is_traced():  # tracers do not divide sizes that are symbols
        rows = ceil(len(targets) / ceil(len(targets) / rows))  # blocks of equal size

    def around(columns: int, before: int) -> Windows:
        first = [round(target + band.lowest) - before for target in targets]
        last = [round(target + band.highest) - before for target in targets]
        return Windows.around(first, last, columns, radius=radius, rows=rows)

    return around(axis.tokens, axis.zeros_before), around(axis.canvas, 0)


@dataclass(frozen=True)
class _Places:
    """Where targets and keys are along one axis.

    Attributes:
        tokens: The windows of blocks of targets, in the tokens.
        targets: Those of each block; the last one repeats where a block is short.
        spare: How often it does.
        keys: The keys of each block: all those that its normaliser needs.
        keys_of_tokens: Those of tokens; ``None`` if one window has everything.
    """

    tokens: Windows
    targets: Float[Tensor, "blocks rows"]
    spare: int
    keys: Float[Tensor, "blocks 1 _"]
    keys_of_tokens: Float[Tensor, "blocks 1 _"] | None

    @classmethod
    def of(
        cls,
        axis: Axis,
        targets: range,
        band: Band | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Return them, as :func:`smoothing_matrices` needs them."""
        tokens, canvas = _windows(axis, targets, band)
        rows = positions(targets, device, dtype)
        count = len(tokens.starts)
        spare = count * tokens.rows - len(targets)
        if spare:
            rows = pad(rows[None], (0, spare), mode="replicate")[0]
        keys = _keys_of(canvas, 0, device, dtype)
        own = None
        if canvas.width != axis.canvas:
            own = _keys_of(tokens, axis.zeros_before, device, dtype)
        return cls(tokens, rows.unflatten(0, (count, tokens.rows)), spare, keys, own)


_places = lru_cache(maxsize=256)(_Places.of)


def _places_of(
    axis: Axis,
    targets: range,
    band: Band | None,
    device: torch.device,
    dtype: torch.dtype,
) -> _Places:
    """Return the places: on a CPU, those of an earlier call if torch is ordinary."""
    # A captured CUDA graph would overwrite tensors that it has made.
    if device.type != "cpu" or not is_ordinary():
        return _Places.of(axis, targets, band, device, dtype)
    with torch.inference_mode(mode=False):  # other modes read them later
        return _places(axis, targets, band, device, dtype)


def _keys_of(
    windows: Windows, offset: int, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "blocks 1 width"]:
    """Return the keys of each window, which starts at an offset."""
    keys = [
        positions(range(start + offset, start + offset + windows.width), device, dtype)
        for start in windows.starts
    ]
    return torch.stack(keys)[:, None]
