"""Heads with α and Δ of their own: a smoothing each, recomputed and not stored.

With one matrix M_a an axis for each head, and projections A before and B after it,

    Y = b + Σ_h (M_1 ⊗ ⋯ ⊗ M_d)_h (X A_h) B_h.

Y is linear in each of its factors, so that every derivative is a product of the same
kind. Two ways to compute them give the same numbers up to rounding: everything at once,
without writing in place (GPUs, tracers, ``vmap``, higher derivatives), and a piece at a
time in buffers (:mod:`expressivity.heads.in_cache`). Neither keeps the smoothed images
for the backward pass: nine heads would store nine times the input.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads import backward, fixed_backward, in_cache
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import paired, projected
from expressivity.machine.recording import are_memory, are_recorded, is_traced

Derivatives = list[Tensor | None]


def attend(
    x: Float[Tensor, "batch *size channels"],
    matrices: Sequence[HeadMatrices],
    before: Float[Tensor, "heads groups channels_of_group width_of_group"] | None,
    after: Float[Tensor, "heads groups _ _"] | None,
    bias: Float[Tensor, " out_channels"] | None,
) -> Float[Tensor, "batch *queries out_channels"]:
    """Return b + Σ_h M_h (X A_h) B_h, channels last.

    Args:
        x: Tokens, in one piece in the order of the dimensions or as images with
            channels first have them; others are copied.
        matrices: The matrices of all heads, one entry an axis.
        before: A; ``None`` for the identity.
        after: B; ``None`` for the identity.
        bias: b; ``None`` for zero.
    """
    plan = _Plan.of(matrices)
    others = (before, after, bias, *(b for along in matrices for b in along.blocks))
    if is_traced():  # no tracer takes a function with derivatives of its own
        return _all_at_once(plan, x, *others)
    if are_recorded([x, *(tensor for tensor in others if tensor is not None)]):
        result: Tensor = _Attend.apply(plan, x, *others)  # type: ignore[no-untyped-call]
        return result
    return _output(plan, x, *others)


@dataclass(frozen=True)
class _Plan:
    """Where the blocks of each axis are.

    Attributes:
        starts: First column of each block, per axis.
        columns: Tokens, per axis.
    """

    starts: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, matrices: Sequence[HeadMatrices]) -> "_Plan":
        return cls(
            tuple(along.starts for along in matrices),
            tuple(along.columns for along in matrices),
        )

    def matrices(self, blocks: Sequence[Tensor | None]) -> list[HeadMatrices]:
        """Return the matrices of each axis, given the blocks of all."""
        rest, along = iter(blocks), []
        for starts, columns in zip(self.starts, self.columns, strict=True):
            own = tuple(cast("Tensor", next(rest)) for _ in starts)
            along.append(HeadMatrices(own, starts, columns))
        return along


class _Context(Protocol):
    """What the function keeps for its derivatives."""

    plan: _Plan
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...

    def save_for_forward(self, *tensors: Tensor | None) -> None: ...


class _VmapInfo(Protocol):
    """What ``torch.vmap`` says of itself."""

    randomness: str


class _Attend(torch.autograd.Function):
    """The output, with a backward pass that smooths again."""

    @staticmethod
    def forward(plan: _Plan, x: Tensor, *others: Tensor | None) -> Tensor:
        return _output(plan, x, *others)

    @staticmethod
    def setup_context(
        ctx: _Context, inputs: tuple[object, ...], output: Tensor
    ) -> None:
        ctx.plan = cast("_Plan", inputs[0])
        tensors = cast("tuple[Tensor | None, ...]", inputs[1:])
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        needed, (x, *others) = ctx.needs_input_grad[1:], ctx.saved_tensors
        return None, *_derivatives(ctx.plan, gradient, needed, x, *others)

    @staticmethod
    def jvp(ctx: _Context, _: None, *tangents: Tensor | None) -> Tensor:
        x, *others = ctx.saved_tensors
        return _tangent(ctx.plan, tangents, x, *others)

    @staticmethod
    def vmap(
        info: _VmapInfo,
        in_dims: tuple[int | None, ...],
        plan: _Plan,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, int]:
        def one(x: Tensor, *others: Tensor | None) -> Tensor:
            return _all_at_once(plan, x, *others)

        x, *others = tensors
        mapped = torch.vmap(one, in_dims[1:], randomness=info.randomness)
        return mapped(cast("Tensor", x), *others), 0


# Torch asks for it in every call; to find it takes as long as a product of matrices.
_Attend.forward.__signature__ = inspect.signature(_Attend.forward)  # type: ignore[attr-defined]


def _output(plan: _Plan, x: Tensor, *others: Tensor | None) -> Tensor:
    """Return the output, in buffers where that is possible."""
    if not _suits_buffers([x, *others]):
        return _all_at_once(plan, x, *others)
    before, after, bias, *blocks = others
    return in_cache.output(x, plan.matrices(blocks), before, after, bias)


def _derivatives(
    plan: _Plan,
    gradient: Tensor,
    needed: Sequence[bool],
    x: Tensor,
    *others: Tensor | None,
) -> Derivatives:
    """Return the derivatives with respect to x, A, B, b and all blocks."""
    if torch.is_grad_enabled() or not _suits_buffers([gradient, x, *others]):
        return _derivatives_at_once(plan, gradient, needed, x, *others)
    before, after, _, *blocks = others
    matrices = plan.matrices(blocks)
    if after is not None and fixed_backward.smooths_less(needed, before, after):
        return fixed_backward.derivatives(gradient, needed, x, matrices, after)
    return backward.derivatives(gradient, needed, x, matrices, before, after)


def _suits_buffers(tensors: Sequence[Tensor | None]) -> bool:
    """Whether tensors lie in the memory of the CPU: no device, vmap or fake tensors."""
    involved = [tensor for tensor in tensors if tensor is not None]
    return all(tensor.is_cpu for tensor in involved) and are_memory(involved)


def _in_one_piece(
    x: Tensor, before: Tensor | None, after: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the factors that may come in another order in memory in their own."""
    before, after = (t if t is None else t.contiguous() for t in (before, after))
    return x.contiguous(), before, after


def _states(
    matrices: Sequence[HeadMatrices], x: Tensor, before: Tensor | None
) -> list[Tensor]:
    """Return the tokens of all heads before the first and after each smoothing."""
    states = [x[None] if before is None else projected(x[None], before)]
    for axis in reversed(range(len(matrices))):
        states.append(matrices[axis].times(states[-1], axis))
    return states


def _all_at_once(plan: _Plan, x: Tensor, *others: Tensor | None) -> Tensor:
    """Return the output by products over all heads."""
    before, after, bias, *blocks = others
    x, before, after = _in_one_piece(x, before, after)
    *_, smoothed = _states(plan.matrices(blocks), x, before)
    if after is not None:
        smoothed = projected(smoothed, after)
    output = smoothed.sum(0)
    return output if bias is None else output + bias


def _derivatives_at_once(
    plan: _Plan,
    gradient: Tensor,
    needed: Sequence[bool],
    x: Tensor,
    *others: Tensor | None,
) -> Derivatives:
    """Return the derivatives by products over all heads."""
    before, after, _, *blocks = others
    x, before, after = _in_one_piece(x, before, after)
    matrices = plan.matrices(blocks)
    wanted = iter(needed[4:])
    *states, smoothed = _states(matrices, x, before)
    error = gradient[None]
    along_before = along_after = along_bias = along_x = None
    if needed[3]:
        along_bias = gradient.sum(tuple(range(gradient.dim() - 1)))
    if after is not None:
        if needed[2]:
            along_after = paired(smoothed, error, after.shape[1])
        error = projected(error, after.mT)
    along_blocks: list[Tensor | None] = []
    for axis, along in enumerate(matrices):
        of_blocks, state = [next(wanted) for _ in along.blocks], states.pop()
        if any(of_blocks):
            along_blocks += along.outer(error, state, axis)
        else:
            along_blocks += [None for _ in along.blocks]
        error = along.transposed_times(error, axis)
    if before is not None:
        if needed[1]:
            along_before = paired(x[None], error, before.shape[1])
        error = projected(error, before.mT)
    if needed[0]:
        along_x = error.sum(0)
    return [along_x, along_before, along_after, along_bias, *along_blocks]


def _tangent(
    plan: _Plan,
    tangents: Sequence[Tensor | None],
    x: Tensor,
    *others: Tensor | None,
) -> Tensor:
    """Return the derivative along tangents: a sum over the factors that have one."""
    before, after, _, *blocks = others
    constant: list[Tensor | None] = [x, before, after, None, *blocks]
    factors, end = [slice(0, 1), slice(1, 2), slice(2, 3)], 4
    for starts in plan.starts:  # the blocks of an axis vary together
        factors.append(slice(end, end + len(starts)))
        end += len(starts)
    terms = []
    for some in factors:
        if any(tangent is not None for tangent in tangents[some]):
            varied = list(constant)
            varied[some] = [
                torch.zeros_like(old) if new is None and old is not None else new
                for old, new in zip(constant[some], tangents[some], strict=True)
            ]
            first, *rest = varied
            terms.append(_all_at_once(plan, cast("Tensor", first), *rest))
    along_bias = tangents[3]
    if along_bias is not None:
        queries = [along.rows for along in plan.matrices(blocks)]
        terms.append(along_bias.expand(len(x), *queries, -1))
    return reduce(torch.add, terms)
