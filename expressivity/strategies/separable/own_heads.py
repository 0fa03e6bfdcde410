"""Soft heads that share nothing: each has a smoothing of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

import torch
from torch import Tensor

from expressivity.geometry.grid import Grid
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.parameters import Heads
from expressivity.heads.projections import heads_first
from expressivity.heads.recomputed import attend
from expressivity.heads.smoothing import Axis, smoothing_along_axes
from expressivity.machine.memory_format import in_format_of
from expressivity.numbers.precision import (
    autocast_is_on,
    compute_dtype,
    without_autocast,
)
from expressivity.strategies.separable.bands import (
    Bands,
    axes_of,
    bands_of,
    cost_of,
    neglected_by,
    radii_of_bands,
)

# A multiplication of a smoothing takes as long as two of a projection.
_SMOOTHING_COST = 2


@dataclass(frozen=True)
class OwnHeads:
    """What heads with α and Δ of their own attend to on one grid.

    Attributes:
        heads: Their indices.
        alphas: Their locality strengths, ``None`` if they are unknown.
        axes: The tokens along each axis.
        queries: The queries along each axis.
        bands: The tokens that they attend to along each axis; ``None`` for all.
        neglected: Probability that is taken for none, at most, over all axes.
        cost: Multiplications that smoothing one channel takes, about.
        matrices: For fixed α and Δ: their smoothing along each axis.
    """

    heads: tuple[int, ...]
    alphas: tuple[float, ...] | None
    axes: tuple[Axis, ...]
    queries: tuple[range, ...]
    bands: Bands
    neglected: float
    cost: int
    matrices: tuple[HeadMatrices, ...] | None = None

    @classmethod
    def of(
        cls,
        heads: Sequence[int],
        alphas: Sequence[float] | None,
        centers: Sequence[tuple[float, ...]],
        grid: Grid,
        like: Tensor,
        *,
        keep: bool,
    ) -> Self:
        """Return what some heads do on a grid.

        Args:
            heads: Their indices.
            alphas: Their locality strengths, ``None`` if they are unknown.
            centers: Their centers in pixels.
            grid: Canvas and queries.
            like: A tensor of the dtype and device of the parameters.
            keep: Whether α and Δ are fixed, so that the smoothing is prepared.
        """
        dtype = compute_dtype(like.dtype)
        softest = None if alphas is None else min(alphas)
        bands = bands_of(softest, centers, grid, dtype, like.device)
        reach = radii_of_bands(bands)
        axes, queries, matrices = tuple(axes_of(grid)), grid.queries, None
        if keep and alphas is not None:
            exact, device = torch.float64, torch.device("cpu")
            if torch.compiler.is_compiling():  # a graph does this again in every call
                exact, device = dtype, like.device
            strengths, places = (
                torch.tensor(numbers, dtype=exact, device=device)
                for numbers in (tuple(alphas), tuple(centers))
            )
            exactly = smoothing_along_axes(
                axes, queries, bands, strengths, places, dtype=dtype
            )
            matrices = tuple(along.to(like.device, dtype) for along in exactly)
        return cls(
            tuple(heads),
            None if alphas is None else tuple(alphas),
            axes,
            queries,
            bands,
            neglected_by(reach, softest, queries, centers, grid, dtype),
            cost_of(queries, grid, bands),
            matrices,
        )

    @property
    def is_saturated(self) -> bool:
        """Whether attention is one pixel: it is not."""
        return False

    def is_joint(self, grid: Grid) -> bool:
        """Return whether the smoothing is one matrix over all axes: it never is."""
        return False

    def describe(self) -> str:
        """Say in a line what the heads do, as :meth:`Step.describe` does."""
        count = len(self.heads)
        text = f"{count} head{'s' * (count > 1)}"
        if self.alphas is None:
            return f"{text} smoothed over the whole canvas, alpha not known, alone"
        radii = [r for r in radii_of_bands(self.bands) if r is not None]
        within = f"within {max(radii)} pixels" if radii else "over the whole canvas"
        low, high = min(self.alphas), max(self.alphas)
        strength = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        return (
            f"{text} with alpha={strength} smoothed {within}, each alone, neglecting "
            f"{self.neglected:.2g}"
        )

    def smoothing(self, heads: Heads) -> tuple[HeadMatrices, ...]:
        """Return the prepared smoothing, or else a differentiable one."""
        if self.matrices is not None:
            return self.matrices
        dtype, alpha, centers = compute_dtype(heads.dtype), heads.alpha, heads.centers
        if self.heads != tuple(range(len(alpha))):
            alpha, centers = (
                torch.stack([tensor[head] for head in self.heads])
                for tensor in (alpha, centers)
            )
        return smoothing_along_axes(
            self.axes,
            self.queries,
            self.bands,
            alpha.to(dtype),
            centers.to(dtype),
            dtype=dtype,
        )


@dataclass(frozen=True)
class OwnPart:
    """Heads with a smoothing of their own, and what they carry from there.

    Attributes:
        step: What they attend to.
        before: Projections before smoothing, (heads, groups, channels, width), or none.
        after: Projections after it, (heads, groups, width, outputs), or none.
    """

    step: OwnHeads
    before: Tensor | None
    after: Tensor | None

    @classmethod
    def of(cls, step: OwnHeads, heads: Heads) -> Self:
        """Return the heads with their projections, composed as far as that is worth it.

        The smoothing goes where the fewest multiplications result.
        """
        with without_autocast(heads.alpha.device):
            weights = _composed(heads, step.heads)
        if len(weights) == 2:
            return cls(step, *weights)
        (weight,) = weights
        _, groups, inputs, outputs = weight.shape
        mixing = groups * inputs * outputs
        tokens = prod([axis.tokens for axis in step.axes])
        queries = prod([len(along) for along in step.queries])
        smoothing = groups * step.cost * _SMOOTHING_COST
        early = inputs * smoothing + mixing * queries
        late = outputs * smoothing + mixing * tokens
        return cls(step, weight, None) if late < early else cls(step, None, weight)

    def describe(self, heads: Heads, tokens: Tensor) -> str:
        """Say in a line what the heads do, as :meth:`Part.describe` does."""
        return self.step.describe()

    def attend(
        self,
        heads: Heads,
        grid: Grid,
        tokens: Tensor,
        base: Tensor | None,
    ) -> Tensor:
        """Return the output of the heads, added to what is there already.

        Args:
            heads: Parameters of all heads.
            grid: Canvas and queries.
            tokens: What :meth:`Grid.tokens` returns.
            base: What the output is added to: a bias, (out_channels,), or the output of
                other groups, (batch, out_channels, *queries).

        Returns:
            (batch, out_channels, *queries).
        """
        dtype = compute_dtype(heads.dtype)
        bias = base if base is not None and base.dim() == 1 else None
        with without_autocast(tokens.device):
            output = attend(
                tokens.movedim(1, -1).to(dtype),
                self.step.smoothing(heads),
                self.before,
                self.after,
                None if bias is None else bias.to(dtype),
            )
        output = in_format_of(tokens, output.movedim(-1, 1))
        kind = tokens.dtype
        if autocast_is_on(tokens.device):
            kind = torch.get_autocast_dtype(tokens.device.type)
        output = output.to(kind)
        return output if base is None or bias is not None else base + output


def _composed(heads: Heads, some: tuple[int, ...]) -> list[Tensor]:
    """Return the matrices that multiply a token of some heads, the first one first."""
    dtype = compute_dtype(heads.dtype)
    weights = [_of_some(weight, some).to(dtype) for weight in heads.projections]
    if len(weights) == 1:
        return weights
    outer, inner = weights
    (channels, rank), outputs = inner.shape[2:], outer.shape[3]
    if rank * (channels + outputs) < channels * outputs:
        return [inner, outer]
    return [inner @ outer]


def _of_some(weight: Tensor, heads: tuple[int, ...]) -> Tensor:
    """Return (heads, groups, inputs, outputs) of some heads; they come last."""
    if heads == tuple(range(weight.shape[-1])):
        return heads_first(weight)
    each = weight.unbind(-1)
    return torch.stack([each[head] for head in heads]).mT
