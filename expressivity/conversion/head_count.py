"""How many heads a convolution needs, if each may attend by any relative table.

A head whose attention does not depend on the input carries one matrix to a weighted
mean of pixels. Where its table of probabilities may be anything, taps can share heads:
with the taps' matrices W_Δ = Σ_r f_r(Δ) B_r in a basis of their span, of dimension ρ,

    W_Δ = Σ_r (f_r(Δ) + g(Δ)) B_r − g(Δ) Σ_r B_r,    g(Δ) = max_r max(−f_r(Δ), 0),

and f_r + g and g are tables of probabilities, up to their sums. No fewer than ρ heads
can do, even in the limit; whether ρ can is decided by a linear program.

The weights are taken as the numbers that are stored, whatever their dtype, and every
spatial kernel W[o, c] counts alike, however small its channels are: ρ is the dimension
of the span that reproduces each up to the rounding of float64. A product k(Δ) M[o, c]
that was rounded to float32 is no product any more: its ρ is larger than one.
"""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_integer
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution
from expressivity.listing import Listing
from expressivity.numbers.spans import (
    power_of_two,
    principal_directions,
    span_rounding,
    spanning_directions,
)
from expressivity.results import Result, as_text, plotted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TableHeads:
    """Heads that attend by relative tables, and what they carry.

    Attributes:
        tables: Probability of each tap, (heads, taps); rows sum to one.
        matrices: What each head carries, (heads, out_channels, channels of a group).
        error: The largest error of an output over ‖x‖_∞ ≤ 1, per output channel, from
            taps that were cut off; zeros up to rounding if none were.
    """

    tables: Float[Tensor, "heads taps"]
    matrices: Float[Tensor, "heads out_channels channels_of_group"]
    error: Float[Tensor, " out_channels"]

    def tap_matrices(self) -> Float[Tensor, "taps out_channels channels_of_group"]:
        """Return the kernel that the heads compute together.

        Returns:
            One matrix a tap.
        """
        return torch.einsum("ht,hoc->toc", self.tables, self.matrices)


@dataclass(frozen=True, repr=False)
class HeadCurve(Result):
    """How well a number of heads can do, with free relative tables.

    Attributes:
        heads: Numbers of heads, from 2 on.
        errors: What :meth:`HeadCount.minimal` with so many comes to: ‖kernel − what the
            heads compute‖ over ‖kernel‖, in the Frobenius norm.
        bounds: What no layer with so many heads can beat, relative too (Eckart–Young).
    """

    heads: tuple[int, ...]
    errors: tuple[float, ...]
    bounds: tuple[float, ...]

    def __repr__(self) -> str:
        return f"HeadCurve({self.heads[0]} to {self.heads[-1]} heads)"

    def __str__(self) -> str:
        table = Listing("heads", "error", "no layer is below")
        for heads, error, bound in zip(
            self.heads, self.errors, self.bounds, strict=True
        ):
            table.add_row(str(heads), f"{error:.3e}", f"{bound:.3e}")
        return as_text(table)

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the curve: :func:`expressivity.plots.plot_head_curve`."""
        return plotted("plot_head_curve", self, figure=figure)

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as JSON takes it."""
        return {name: list(values) for name, values in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The taps' matrices as W_Δ = Σ_r f_r(Δ) B_r, the largest parts first.

    The columns of f are orthonormal and B is what the taps have along them, so that
    every spatial kernel W[o, c] keeps its own digits: |f| ≤ 1 and Σ_r B_r[o, c]² is its
    own squared norm, however large other channels are.

    Attributes:
        taps: W_Δ as they are stored, in float64 on the CPU.
        factors: f.
        basis: B.
    """

    taps: Float[Tensor, "taps outputs channels"]
    factors: Float[Tensor, "taps rank"]
    basis: Float[Tensor, "rank outputs channels"]

    @classmethod
    def of(cls, kernel: Kernel) -> Self:
        """Factorise the taps' matrices."""
        taps = kernel.wide_taps
        unfolding = taps.flatten(1)
        span = spanning_directions(unfolding)
        # Among all directions of the span, those of Eckart and Young.
        factors = span @ principal_directions(span.mT @ unfolding)
        # What stands for a tap that is zero is zero, not rounding.
        factors[~unfolding.any(1)] = 0
        basis = (factors.mT @ unfolding).unflatten(1, taps.shape[1:])
        return cls(taps, factors, basis)

    def needed(self) -> int:
        """Return how many of ρ and ρ + 1 heads suffice in the limit, at least one."""
        taps, rank = self.factors.shape
        # A tap below the rounding of all spatial kernels has no direction.
        directed = self.factors[self.factors.norm(dim=1) > span_rounding(taps)]
        return max(1, rank + (rank > 0 and _is_balanced(directed)))

    def heads(self, max_heads: int | None = None) -> TableHeads:
        """Return what :meth:`HeadCount.minimal` does."""
        fewer = None if max_heads is None else max_heads - 1
        factors, basis = self.factors[:, :fewer], self.basis[:fewer]
        # A column that is mostly negative would need more of the last head.
        signs = torch.where(factors.sum(0) < 0, -1.0, 1.0).to(factors)
        factors, basis = factors * signs, basis * signs[:, None, None]
        below = (-factors).amax(1) if factors.shape[1] else factors.sum(1)
        # What is negative by rounding needs no head.
        below = torch.where(below > span_rounding(len(factors)), below, 0.0)
        shifted = (factors + below[:, None]).clamp(min=0)
        tables = torch.cat([shifted, below[:, None]], 1).mT
        matrices = torch.cat([basis, -basis.sum(0, keepdim=True)])
        sums = tables.sum(1)
        useful = sums > 0
        if not bool(useful.any()):  # one head that carries nothing
            tables = torch.ones_like(tables) / tables.shape[1]
            sums, useful = sums + 1, torch.ones_like(useful)
        tables = tables[useful] / tables[useful].sum(1, keepdim=True)
        heads = matrices[useful] * sums[useful][:, None, None]
        remainder = self.taps - torch.einsum("ht,hoc->toc", tables, heads)
        return TableHeads(tables, heads, remainder.abs().sum(dim=(0, 2)))

    def curve(self) -> HeadCurve:
        """Return what :meth:`HeadCount.curve` does."""
        if not bool(self.taps.any()):
            raise ArgumentError(
                "the kernel needs a weight that is not zero: without one there is "
                f"nothing to approximate, got zeros of shape {tuple(self.taps.shape)}"
            )
        unit = power_of_two(
            self.taps.abs().amax()
        )  # squares of small weights underflow
        sizes = torch.linalg.svdvals(self.taps.flatten(1) / unit).square()
        total = float(sizes.sum())
        counts = range(2, self.factors.shape[1] + 2)
        gaps = (self.heads(n).tap_matrices() - self.taps for n in counts)
        errors = tuple(float((gap / unit).norm()) / total**0.5 for gap in gaps)
        bounds = tuple(float((sizes[n:].sum() / total).sqrt()) for n in counts)
        return HeadCurve(tuple(counts), errors, bounds)


@dataclass(frozen=True)
class HeadCount(Result):
    """How many position-only heads compute a convolution.

    Attributes:
        rank: ρ, the dimension of the span of the taps' matrices: no fewer heads can do.
        needed: Heads that come as close as one likes, ρ or ρ + 1; at least one.
        taps: Taps that are not zero: heads of the quadratic encoding.
    """

    rank: int
    needed: int
    taps: int
    _spectrum: Spectrum = field(repr=False, compare=False)

    def __str__(self) -> str:
        return (
            f"the taps' matrices span {self.rank} dimensions: {self.needed} heads with "
            f"free tables come as close as one likes, {self.taps} heads with the "
            "quadratic encoding"
        )

    def to_dict(self) -> dict[str, int]:
        """Return the numbers as JSON takes them."""
        return {"rank": self.rank, "needed": self.needed, "taps": self.taps}

    def minimal(self, max_heads: int | None = None) -> TableHeads:
        """Return at most ρ + 1 heads that compute the convolution.

        Args:
            max_heads: With fewer heads than that, the best approximation whose taps
                span ``max_heads − 1`` dimensions: its error is that of Eckart and
                Young.

        Returns:
            Tables over the taps, in the order of the weight, and matrices; float64.
            Without ``max_heads`` every spatial kernel W[o, c] is reproduced up to the
            rounding of float64, relative to its own norm. Shared heads cancel where
            they do not agree: Σ_h p_h(Δ) |W_h[o, c]| ≤ 3 √ρ ‖W[o, c]‖₂, so that
            rounding the matrices to another precision changes W_Δ[o, c] by its unit
            times that.

        Raises:
            ArgumentError: If ``max_heads`` is below 2.

        Example:
            >>> conv = torch.nn.Conv2d(1, 2, 3, bias=False)
            >>> heads = head_count(conv).minimal()
            >>> heads.tables.shape
            torch.Size([3, 9])
            >>> wanted = conv.weight.detach().double().flatten(2).movedim(2, 0)
            >>> torch.allclose(heads.tap_matrices(), wanted)
            True
        """
        if max_heads is not None:  # one head can carry one sign only
            max_heads = check_integer("max_heads", max_heads, least=2)
        return self._spectrum.heads(max_heads)

    def curve(self) -> HeadCurve:
        """Return the error against the number of heads.

        Returns:
            Up to the number of heads that is exact.

        Raises:
            ArgumentError: If the kernel is all zeros: there is nothing to approximate.

        Example:
            >>> curve = head_count(torch.nn.Conv2d(3, 8, 3)).curve()
            >>> curve.heads[-1], curve.errors[-1] < 1e-6
            (10, True)
        """
        return self._spectrum.curve()


def head_count(conv: Convolution) -> HeadCount:
    """Count the heads that a convolution needs, with free relative tables.

    Args:
        conv: The convolution.

    Returns:
        ρ, how many of ρ and ρ + 1 are needed in the limit, and the number of taps;
        it also gives the heads and the curve of errors.

    Raises:
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Reference:
        Operator Schmidt rank; Stiemke's theorem of the alternative: ρ heads do, in the
        limit, if and only if no weights μ > 0 of the taps that are not zero have
        Σ μ_Δ W_Δ = 0.

    Example:
        A Laplacian's taps add up to zero, those of a box filter do not.

        >>> conv = torch.nn.Conv2d(1, 1, 3)
        >>> laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
        >>> with torch.no_grad():
        ...     _ = conv.weight.copy_(laplacian)
        >>> head_count(conv)
        HeadCount(rank=1, needed=2, taps=5)
        >>> _ = torch.nn.init.ones_(conv.weight)
        >>> head_count(conv)
        HeadCount(rank=1, needed=1, taps=9)
    """
    spectrum = Spectrum.of(Kernel.of(conv))
    taps = int(spectrum.taps.flatten(1).any(1).sum())
    return HeadCount(spectrum.factors.shape[1], spectrum.needed(), taps, spectrum)


def minimal_heads(conv: Convolution, *, max_heads: int | None = None) -> TableHeads:
    """Return ``head_count(conv).minimal(max_heads)``: the name in version 0.1."""
    return head_count(conv).minimal(max_heads)


def head_curve(conv: Convolution) -> HeadCurve:
    """Return ``head_count(conv).curve()``: the name in version 0.1."""
    return head_count(conv).curve()


def _is_balanced(factors: Float[Tensor, "taps rank"]) -> bool:
    """Whether weights above zero let the taps add up to zero."""
    # Nothing else needs it, and it takes a third of a second to import.
    from scipy.optimize import linprog

    # Weights make up for the size of a tap, so that all count alike.
    equations = (factors / factors.abs().amax(1, keepdim=True)).mT
    solution = linprog(
        np.ones(len(factors)),
        A_eq=equations.numpy(),
        b_eq=np.zeros(len(equations)),
        bounds=(1, None),
        method="highs",
    )
    if solution.status != 0:
        return False
    # The solver leaves 1e−7: weights that leave rounding need to be above zero, too.
    weights = torch.from_numpy(solution.x)
    off = torch.linalg.pinv(equations) @ (equations @ weights)
    return bool((weights > off).all())
