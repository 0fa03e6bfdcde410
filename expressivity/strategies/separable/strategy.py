"""The smoothing identity: attention is a smoothing and a convolution.

Attention of a head depends on query and head only through the target t = q + Δ_h.
Heads that share α, and centers that differ by whole pixels, therefore read the same
smoothed canvas G_α X, and together they are one convolution of it without padding:

    Attn_α(X) = Conv_W(G_α X),    exact at every α and every border

(statement ``smoothing_identity`` in ``proofs/``). Heads that share nothing form groups
of one. Each has a smoothing of its own, on the side of its projections that costs less.

Heads that leak less than half an ulp of their dtype are *saturated*: for them G_α is
the identity at working precision. Whatever their α, they run as the plain convolution.
Derivatives of saturated heads with respect to α and Δ are zero.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.grid import Grid
from expressivity.heads.memo import Memo
from expressivity.heads.parameters import Heads
from expressivity.heads.placement import Values, values_of
from expressivity.machine.recording import are_recorded, is_traced
from expressivity.numbers.precision import compute_dtype
from expressivity.strategies.base import Attend
from expressivity.strategies.separable.grouping import groups_alone, groups_of
from expressivity.strategies.separable.own_heads import OwnHeads, OwnPart
from expressivity.strategies.separable.part import Part
from expressivity.strategies.separable.plan import Step, steps_of
from expressivity.strategies.separable.tracing import traced_steps


@dataclass(frozen=True)
class Separable:
    """Smooth the canvas along each axis, then convolve it."""

    name: str = "separable"
    summary: str = "one smoothing per group of heads, then a convolution"

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Refuse content terms and tables."""
        if heads.content is not None:
            return "content scores do not factorise over the axes"
        if heads.table is not None:
            return "a table need not factorise over the axes"
        return None

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Say how the heads are grouped and what is neglected, a line a group."""
        tokens = grid.tokens(x)
        return [part.describe(heads, tokens) for part in _parts(heads, grid)]

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return Σ over groups of Conv(G_α X), at every query."""
        if is_traced():
            grid, steps = traced_steps(heads, grid)
            parts = [part_of(step, heads) for step in steps]
        else:
            parts = _parts(heads, grid)
        return _attended(parts, heads, grid, x)

    def prepared(self, heads: Heads, grid: Grid) -> Attend | None:
        """Return :meth:`attend` without its plan, where the kernel is a view."""
        if are_recorded((heads.alpha, heads.centers, *heads.projections)):
            return None
        steps, context = _kept_steps(heads, grid)
        if context is None or not _is_a_view(steps[0], heads):
            return None
        # A circle of references would keep the memory of a deleted layer.
        apart = replace(heads, memo=Memo(), placement=None)
        (part,) = _parts(heads, grid)
        return part.prepared(apart, grid) if isinstance(part, Part) else None


def _attended(
    parts: Sequence[Part | OwnPart], heads: Heads, grid: Grid, x: Tensor
) -> Tensor:
    """Return the sum of what all groups of heads attend to, and the bias."""
    first, *others = parts
    tokens, bias = grid.tokens(x), heads.bias
    if any(part.step.is_saturated for part in parts):
        bias = _with_zero_derivatives(heads)
    output = first.attend(heads, grid, tokens, bias)
    if not others:
        return output
    wide = compute_dtype(output.dtype)
    if wide == output.dtype:
        for part in others:
            output = part.attend(heads, grid, tokens, output)
        return output
    # Half precision would lose digits with every head.
    total = output.to(wide)
    for part in others:
        total = total + part.attend(heads, grid, tokens, None).to(wide)
    return total.to(output.dtype)


def _with_zero_derivatives(heads: Heads) -> Tensor | None:
    """Return a bias that depends on α and Δ, with derivatives that are zeros.

    Saturated heads do not use α and Δ, and autograd would refuse their derivatives.
    """
    if not are_recorded([heads.alpha, heads.centers]):
        return heads.bias
    zero = ((0 * heads.alpha).sum() + (0 * heads.centers).sum()).to(heads.dtype)
    return zero.expand(heads.out_channels) if heads.bias is None else heads.bias + zero


def plans(heads: Heads, grid: Grid) -> list[list[Step | OwnHeads]]:
    """Return every plan that a layer may follow on a grid when it runs eagerly.

    Heads are apart where autograd records derivatives with respect to α or Δ of each,
    and where α and Δ are unknown; else they are grouped. No smoothing is formed.
    """
    values = values_of(heads.alpha, heads.centers, Memo())
    if values is None:
        return [_unknown(heads, grid)]
    return [
        _planned(values, heads, grid, apart=apart, keep=False)
        for apart in (False, True)
    ]


def _unknown(heads: Heads, grid: Grid) -> list[Step | OwnHeads]:
    """Plan for heads whose α and Δ are unknown."""
    return steps_of(groups_alone(heads), grid, heads.alpha, apart=True, keep=False)


def _planned(
    values: Values, heads: Heads, grid: Grid, *, apart: bool, keep: bool
) -> list[Step | OwnHeads]:
    """Plan for heads whose α and Δ are known."""
    groups = groups_of(values, values.leaks(), grid, heads.dtype, apart=apart)
    return steps_of(groups, grid, heads.alpha, apart=apart, keep=keep)


def part_of(step: Step | OwnHeads, heads: Heads) -> Part | OwnPart:
    """Return what a step attends to, with the projections."""
    if isinstance(step, OwnHeads):
        return OwnPart.of(step, heads)
    return Part.of(step, heads)


def _parts(heads: Heads, grid: Grid) -> list[Part | OwnPart]:
    """Return what every group of heads does on a grid, and with which projections."""
    steps, context = _kept_steps(heads, grid)

    def compose() -> list[Part | OwnPart]:
        return [part_of(step, heads) for step in steps]

    if context is None:
        return compose()
    if _is_a_view(steps[0], heads):
        return _views(heads, compose, context)
    key = ("parts", *context[0])
    return heads.memo.get(
        key, heads.projections, compose, context=context, differentiable=True
    )


def _kept_steps(
    heads: Heads, grid: Grid
) -> tuple[list[Step | OwnHeads], tuple[tuple[object, ...], ...] | None]:
    """Return the plan of a layer, and what it depends on; ``None`` where unknown."""
    alpha, memo = heads.alpha, heads.memo
    values = values_of(alpha, heads.centers, memo)
    if values is None:
        return _unknown(heads, grid), None
    recorded = are_recorded((alpha, heads.centers))
    apart = recorded and not _is_tied(heads)

    def plan() -> list[Step | OwnHeads]:
        return _planned(values, heads, grid, apart=apart, keep=not recorded)

    key, context = (grid, apart, recorded), (values, heads.dtype, alpha.device)
    steps = memo.get(("plan", *key), (), plan, context=context)
    return steps, (key, context)


def _is_a_view(first: Step | OwnHeads, heads: Heads) -> bool:
    """Whether one kernel is all that a layer has: a view of its only projection."""
    return (
        isinstance(first, Step)
        and len(heads.projections) == 1
        and first.group.lattice.is_everyone(len(heads.alpha))
    )


def _views(
    heads: Heads, compose: Callable[[], list[Part | OwnPart]], context: Hashable
) -> list[Part | OwnPart]:
    """Return parts whose kernel is a view of a projection: it is the same memory.

    A view shows every write, so that only another memory makes another part.
    """
    (weight,) = heads.projections
    if are_recorded((weight,)):
        return compose()
    try:
        memory = (weight.data_ptr(), weight.shape, weight.stride(), weight.dtype)
    except RuntimeError:  # vmap
        return compose()
    return heads.memo.get("views", (), compose, context=(context, memory))


def _is_tied(heads: Heads) -> bool:
    """Whether all heads read one α in memory, whose derivative they share."""
    is_one_number = len(heads.alpha) == 1 or heads.alpha.stride(0) == 0
    return is_one_number and not are_recorded((heads.centers,))
