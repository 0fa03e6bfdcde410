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

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import check_integer
from expressivity.convolutions import plain_convolution, tap_matrices
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution
from expressivity.numbers.spans import (
    power_of_two,
    principal_directions,
    span_rounding,
    spanning_directions,
)


@dataclass(frozen=True)
class HeadCount:
    """How many position-only heads compute a convolution.

    Attributes:
        rank: ρ, the dimension of the span of the taps' matrices: no fewer heads can do.
        needed: Heads that come as close as one likes, ρ or ρ + 1; at least one.
        taps: Taps that are not zero: heads of the quadratic encoding.
    """

    rank: int
    needed: int
    taps: int


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


@dataclass(frozen=True)
class HeadCurve:
    """How well a number of heads can do, with free relative tables.

    Attributes:
        heads: Numbers of heads, from 2 on.
        errors: What :func:`minimal_heads` with so many comes to: ‖kernel − what the
            heads compute‖ over ‖kernel‖, in the Frobenius norm.
        bounds: What no layer with so many heads can beat, relative too (Eckart–Young).
    """

    heads: tuple[int, ...]
    errors: tuple[float, ...]
    bounds: tuple[float, ...]


def head_count(conv: Convolution) -> HeadCount:
    """Count the heads that a convolution needs, with free relative tables.

    Args:
        conv: The convolution.

    Returns:
        ρ, how many of ρ and ρ + 1 are needed in the limit, and the number of taps.

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
    factors, _ = _factorised(conv)
    taps, rank = factors.shape
    # A tap below the rounding of all spatial kernels has no direction.
    directed = factors[factors.norm(dim=1) > span_rounding(taps)]
    balanced = rank > 0 and _is_balanced(directed)
    return HeadCount(
        rank, max(1, rank + balanced), int(_taps(conv).flatten(1).any(1).sum())
    )


def minimal_heads(conv: Convolution, *, max_heads: int | None = None) -> TableHeads:
    """Return at most ρ + 1 heads that compute a convolution.

    Args:
        conv: The convolution.
        max_heads: With fewer heads than that, the best approximation whose taps span
            ``max_heads − 1`` dimensions: its error is that of Eckart and Young.

    Returns:
        Tables over the taps, in the order of the weight, and matrices; float64. Without
        ``max_heads`` every spatial kernel W[o, c] is reproduced up to the rounding of
        float64, relative to its own norm. Shared heads cancel where they do not agree:
        Σ_h p_h(Δ) |W_h[o, c]| ≤ 3 √ρ ‖W[o, c]‖₂, so that rounding the matrices to
        another precision changes W_Δ[o, c] by its unit times that.

    Raises:
        ArgumentError: If ``max_heads`` is below 2.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> conv = torch.nn.Conv2d(1, 2, 3, bias=False)
        >>> heads = minimal_heads(conv)
        >>> heads.tables.shape
        torch.Size([3, 9])
        >>> wanted = conv.weight.detach().double().flatten(2).movedim(2, 0)
        >>> torch.allclose(heads.tap_matrices(), wanted)
        True
    """
    if max_heads is not None:  # one head can carry one sign only
        max_heads = check_integer("max_heads", max_heads, least=2)
    factors, basis = _factorised(conv)
    if max_heads is not None:
        factors, basis = factors[:, : max_heads - 1], basis[: max_heads - 1]
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
    kept = sums > 0
    if not bool(kept.any()):  # nothing to carry: one head that carries nothing
        tables, sums, kept = torch.ones_like(tables), sums + 1, kept.new_ones(len(kept))
        tables = tables / tables.shape[1]
    tables = tables[kept] / tables[kept].sum(1, keepdim=True)
    heads = matrices[kept] * sums[kept][:, None, None]
    left = _taps(conv) - torch.einsum("ht,hoc->toc", tables, heads)
    return TableHeads(tables, heads, left.abs().sum(dim=(0, 2)))


def head_curve(conv: Convolution) -> HeadCurve:
    """Return the error against the number of heads.

    Args:
        conv: The convolution.

    Returns:
        Up to the number of heads that is exact.

    Raises:
        ArgumentError: If the kernel is all zeros: there is nothing to approximate.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> curve = head_curve(torch.nn.Conv2d(3, 8, 3))
        >>> curve.heads[-1], curve.errors[-1] < 1e-6
        (10, True)
    """
    wanted = _taps(conv)
    if not bool(wanted.any()):
        raise ArgumentError(f"the kernel needs a weight that is not zero, got {conv}")
    unit = power_of_two(wanted.abs().amax())  # squares of small weights underflow
    sizes = torch.linalg.svdvals(wanted.flatten(1) / unit).square()
    total = float(sizes.sum())
    counts = range(2, head_count(conv).rank + 2)
    gaps = (minimal_heads(conv, max_heads=n).tap_matrices() - wanted for n in counts)
    errors = tuple(float((gap / unit).norm()) / total**0.5 for gap in gaps)
    bounds = tuple(float((sizes[n:].sum() / total).sqrt()) for n in counts)
    return HeadCurve(tuple(counts), errors, bounds)


def _factorised(
    conv: Convolution,
) -> tuple[Float[Tensor, "taps rank"], Float[Tensor, "rank outputs channels"]]:
    """Return f and B with W_Δ = Σ_r f_r(Δ) B_r, the largest parts first.

    The columns of f are orthonormal and B is what the taps have along them, so that
    every spatial kernel W[o, c] keeps its own digits: |f| ≤ 1 and Σ_r B_r[o, c]² is its
    own squared norm, however large other channels are.
    """
    unfolding = _taps(conv).flatten(1)
    span = spanning_directions(unfolding)
    # Among all directions of the span, those of Eckart and Young.
    factors = span @ principal_directions(span.mT @ unfolding)
    # What stands for a tap that is zero is zero, not rounding.
    factors[~unfolding.any(1)] = 0
    basis = factors.mT @ unfolding
    return factors, basis.unflatten(1, plain_convolution(conv).weight.shape[:2])


def _taps(conv: Convolution) -> Float[Tensor, "taps outputs channels"]:
    """Return the taps' matrices as they are stored, in float64 on the CPU."""
    return tap_matrices(plain_convolution(conv).weight.detach()).double().cpu()


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
