"""Attention − convolution as an operator, and how large it can be: rigorously.

For inputs with ‖x‖_∞ ≤ 1 the largest possible error of one output is the ℓ₁ norm of
its row of the difference operator, attained by the sign pattern of that row. A row is
a sum over heads of Kronecker products of short vectors, one an axis:

    Σ_h W_h ⊗ (P_h − S_h) + Σ_c V_c ⊗ S_c,

P_h the attention of head h, S_h its one-hot limit at the integer center c_h, and V_c
what is left of the weights there (zero for an untouched conversion).

The vectors come from ball arithmetic, rounded once. What is added up from them is added
up in float64; rounding there is bounded as in any textbook, by the number of terms and
the sum of their sizes, whatever their order, and that bound is part of every result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expressivity.accuracy.rows.axis import (
    AxisHeads,
    AxisRows,
    axis_rows,
    stacked,
    together,
    view_of,
)
from expressivity.accuracy.rows.norms import RowNorms
from expressivity.accuracy.rows.search import RowSearch
from expressivity.checks import Progress
from expressivity.errors import InputError
from expressivity.geometry import ConvGeometry
from expressivity.heads.leak import band_radius, head_leaks

_ROWS = 2**18
MOST_PIXELS = 2**20  # of an axis: some seconds
_MOST_NUMBERS = 2**27  # of what heads see along the axes: a GiB
_WIDEST_BAND = 9  # pixels; beyond, an input that shows everything is large
_UNIT = 2.0**-53  # half an ulp of one in float64


@dataclass(frozen=True)
class WorstRows:
    """The ℓ₁ norms of the worst rows, per output channel.

    Attributes:
        above: Not below the true norms.
        below: Not above them.
        places: Index of the query of the worst row along each axis.
    """

    above: Float[Tensor, " out_channels"]
    below: Float[Tensor, " out_channels"]
    places: Int[Tensor, "out_channels axes"]


@dataclass(frozen=True)
class Row:
    """One row of the operator, where it is not negligible.

    Attributes:
        values: Its entries, (channels of a group, pixels of each axis).
        pixels: The pixels of the input that they belong to, per axis.
    """

    values: Float[Tensor, "channels_of_group ..."]
    pixels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Deviation:
    """A layer and a convolution, to be subtracted; on the CPU.

    Attributes:
        alpha: Locality strengths of the heads, 1/pixel².
        centers: Attention centers, in pixels.
        matrices: W_h, what each head's value and output projections compose to.
        tap_matrices: The convolution to compare with, one matrix a tap.
        geometry: Geometry of both.
        composition_error: What composing W_h may have added to Σ|W_h| of a row;
            ``None`` for nothing.
    """

    alpha: Float[Tensor, " heads"]
    centers: Float[Tensor, "heads axes"]
    matrices: Float[Tensor, "heads out_channels channels_of_group"]
    tap_matrices: Float[Tensor, "taps out_channels channels_of_group"]
    geometry: ConvGeometry
    composition_error: Float[Tensor, "heads out_channels"] | None = None

    def any_size(self) -> Float[Tensor, " out_channels"]:
        """Return an upper bound of the row norms, for every input size.

        Returns:
            2 Σ_h leak_h Σ|W_h| + Σ|V|, in float64, rounded upward.
        """
        leaks, limits = head_leaks(self.alpha, self.centers), self._limits
        rows = max(1, _ROWS // (self.matrices.shape[0] * self.matrices.shape[2]))
        norms = []
        # Some outputs at a time: in float64 a large layer would take ten times its
        # weights.
        for some, wanted in zip(
            self.matrices.split(rows, 1), self.tap_matrices.split(rows, 1), strict=True
        ):
            _, spare, lost = _weights_left(
                limits, some.double(), self._taps, wanted.double()
            )
            leaked = 2 * leaks @ some.double().abs().sum(-1)
            norms.append(leaked + spare.abs().sum(dim=(0, 2)) + lost)
        norm = torch.cat(norms)
        if self.composition_error is not None:
            norm = norm + (2 * leaks + 1) @ self.composition_error
        terms = self.matrices.shape[0] * self.matrices.shape[2]
        return norm * (1 + 8 * (terms + len(self.alpha)) * _UNIT)

    def largest(self, size: Sequence[int], progress: Progress = iter) -> WorstRows:
        """Return the norms of the worst rows on one input size.

        Args:
            size: Pixels per axis of the input.
            progress: Wraps the iterable of rows of outputs, as ``tqdm`` does.

        Returns:
            The norms, enclosed; what is between the bounds is rounding and the
            attention outside of all bands.

        Raises:
            InputError: If the size does not suit the geometry, or is so large that its
                rows take too much time or memory.
        """
        self._require_feasible(size)
        spots, heads, spare, lost = self._weights()
        axes = self._axis_heads(spots, max(self.geometry.canvas_size(size)))
        along = [
            list(axis_rows(where, self.geometry, size, axis))
            for axis, where in enumerate(axes)
        ]
        widest = [stacked([view.rows for view in axis]) for axis in along]
        placement = torch.cat([self.alpha[:, None], self.centers], 1)
        groups = _groups(placement[:, :-1]), _groups(spots[:, :-1])
        search = RowSearch(RowNorms(heads, spare, *groups), along)

        def slack() -> Tensor:
            return self._slack(heads, spare, widest, search.largest)

        _, limits, shared = self._limits.unique(
            dim=0, return_inverse=True, return_counts=True
        )
        search.run([axis.limits for axis in axes], shared[limits] == 1, slack, progress)
        norms = search.largest
        # Twice, as the slack is of first order in the rounding. A row that was not
        # formed is below a bound that is rounded likewise, and may exceed by a slack.
        error = (2 if search.complete else 6) * slack() + lost
        places = [
            torch.tensor([view.query for view in axis], device="cpu")[place]
            for axis, place in zip(along, search.places.mT, strict=True)
        ]
        return WorstRows(
            norms + error, (norms - error).clamp(min=0), torch.stack(places, 1)
        )

    def row(self, size: Sequence[int], place: Sequence[int], channel: int) -> Row:
        """Return one row, but for attention below the rounding of float64."""
        spots, heads, spare, _ = self._weights()
        axes = self._axis_heads(spots, max(self.geometry.canvas_size(size)))
        views = [
            view_of(heads, self.geometry, size, axis, index)
            for axis, (heads, index) in enumerate(zip(axes, place, strict=True))
        ]
        rows = together([one.rows for one in views], like=views[0].rows)
        flat = heads[channel] @ rows.deviation + spare[channel] @ rows.exact
        pixels = tuple(one.pixels for one in views)
        return Row(flat.reshape(len(flat), *map(len, pixels)), pixels)

    def characteristic_size(self) -> tuple[int, ...] | None:
        """Return an input size on which borders and interior are all to be seen.

        Returns:
            Pixels per axis: the reach of the kernel plus a band on either side;
            ``None`` if a head is too soft for a band of 9 pixels (α below 0.41).
        """
        band = _band_within(self.alpha, _WIDEST_BAND + 1)
        return None if band > _WIDEST_BAND else self.sample_size(band)

    def sample_size(self, band: int = _WIDEST_BAND) -> tuple[int, ...]:
        """Return an input size with bands of so many pixels around the kernel."""
        return tuple(
            extent + stride + 2 * (band + max(pair))
            for extent, stride, pair in zip(
                self.geometry.extent,
                self.geometry.stride,
                self.geometry.padding,
                strict=True,
            )
        )

    def _require_feasible(self, size: Sequence[int]) -> None:
        """Refuse a size that the geometry does not take, or that is too large."""
        self.geometry.check_input(size)
        canvas = self.geometry.canvas_size(size)
        band = _band_within(self.alpha, max(canvas))
        seen = len(self.alpha) * sum(min(n, 2 * band + 1) ** 2 for n in canvas)
        if max(canvas) > MOST_PIXELS or seen > _MOST_NUMBERS:
            raise InputError(
                f"the worst case on inputs of {tuple(size)} pixels takes more than "
                f"{MOST_PIXELS} pixels an axis or {_MOST_NUMBERS} numbers of what "
                f"{len(self.alpha)} heads see, with a softest α of "
                f"{float(self.alpha.min()):.3g}: take a smaller size, or none for a "
                "bound that holds for every size"
            )

    @property
    def _limits(self) -> Tensor:
        return self.centers.round().long()

    @property
    def _taps(self) -> Tensor:
        return self.geometry.centers()

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return spots, W and V with the heads and the spots last, and a bound."""
        matrices = self.matrices.double()
        spots, spare, lost = _weights_left(
            self._limits, matrices, self._taps, self.tap_matrices.double()
        )
        return spots, matrices.movedim(0, -1), spare.movedim(0, -1), lost

    def _axis_heads(self, spots: Tensor, canvas: int) -> list[AxisHeads]:
        return [
            AxisHeads(
                tuple(self.alpha.tolist()),
                tuple(self.centers[:, axis].tolist()),
                tuple(self._limits[:, axis].tolist()),
                tuple(spots[:, axis].tolist()),
                _band_within(self.alpha, canvas),
            )
            for axis in range(self.geometry.axes)
        ]

    def _slack(
        self, heads: Tensor, spare: Tensor, along: Sequence[AxisRows], norms: Tensor
    ) -> Tensor:
        """Return how far a computed norm can be from the true one, per output."""
        axes = len(along)
        sizes = heads.abs().sum(1)  # Σ_c |W_h|, (outputs, heads)
        off, beyond = (
            torch.cat([getattr(rows, name).amax(0) for rows in along], 1).sum(1)
            for name in ("off_target", "beyond")
        )
        window = max(rows.attention.shape[-1] for rows in along)
        pixels = torch.Size([rows.attention.shape[-1] for rows in along]).numel()
        # Of one entry: vectors rounded and folded, products of them, and sums over
        # heads, once along the last axis and once along the others.
        terms = heads.shape[2] + spare.shape[2]
        entries = (window + 8 * axes + 2 * terms) * _UNIT
        each = entries * off + 2 * beyond
        slack = sizes @ each + entries * spare.abs().sum(dim=(1, 2))
        slack = slack + heads.shape[1] * pixels * _UNIT * norms
        if self.composition_error is not None:
            slack = slack + (1 + off) @ self.composition_error
        return slack


def _band_within(alpha: Tensor, most: int) -> int:
    """Pixels around a target that get any attention, on a canvas of so many."""
    softest = float(alpha.min())
    return most if softest <= 0 else min(most, band_radius(softest))


def _weights_left(
    limits: Tensor, matrices: Tensor, taps: Tensor, tap_matrices: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return integer centers c, V_c = Σ_{h: c_h = c} W_h − W_c where not 0, a bound.

    The bound is of what rounding adds to Σ|V|, per output.
    """
    places, index = torch.cat([limits, taps]).unique(dim=0, return_inverse=True)
    spare = matrices.new_zeros(len(places), *matrices.shape[1:])
    spare.index_add_(0, index, torch.cat([matrices, -tap_matrices]))
    nonzero = spare.flatten(1).any(dim=1)
    lost = matrices.new_zeros(matrices.shape[1])
    # A difference that is computed as zero is zero; a longer sum may not be.
    if bool(nonzero.any()) or int(index.bincount().max()) > 2:
        sizes = matrices.abs().sum(dim=(0, 2)) + tap_matrices.abs().sum(dim=(0, 2))
        lost = 2 * len(index) * _UNIT * sizes
    return places[nonzero], spare[nonzero], lost


def _groups(rows: Tensor) -> Tensor:
    """Return which rows are equal, numbered from 0; all are if they are empty."""
    if not rows.shape[1] or not len(rows):
        return torch.zeros(len(rows), dtype=torch.long, device="cpu")
    groups: Tensor = rows.unique(dim=0, return_inverse=True)[1]
    return groups
