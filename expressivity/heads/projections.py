"""Projections of tokens, channels last, in blocks of channels.

The matrices of some heads are (heads, groups, inputs, outputs of a group), as a grouped
convolution has them.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = Float[Tensor, "heads groups inputs outputs"]
Matrix = Float[Tensor, "groups inputs outputs"] | Float[Tensor, "inputs outputs"]
"""That of one head; without the groups if there is only one."""
Tokens = Float[Tensor, "tokens _"]
"""Those of one head, of all groups."""


def heads_first(
    weight: Float[Tensor, "groups rows columns heads"],
) -> Float[Tensor, "heads groups columns rows"]:
    """Return transposed matrices of all heads, given those with the heads last: a view.

    Example:
        >>> heads_first(torch.arange(6.0).reshape(1, 1, 3, 2))[1].flatten().tolist()
        [1.0, 3.0, 5.0]
    """
    return weight.movedim(-1, 0).mT


def projected(
    tokens: Float[Tensor, "_ *tokens channels"], matrices: Matrices
) -> Float[Tensor, "heads *tokens _"]:
    """Multiply the tokens of each head by its matrix."""
    heads, groups, inputs, outputs = matrices.shape
    shape = (heads, *tokens.shape[1:-1], groups * outputs)
    flat = _flat(tokens)
    if groups == 1:
        return (flat @ matrices[:, 0]).reshape(shape)
    if inputs == outputs == 1:
        return (flat * matrices.reshape(heads, 1, groups)).reshape(shape)
    blocks = flat.reshape(*flat.shape[:2], groups, inputs).transpose(1, 2)
    return (blocks @ matrices).transpose(1, 2).reshape(shape)


def paired(
    inputs: Float[Tensor, "_ *tokens channels"],
    outputs: Float[Tensor, "_ *tokens _"],
    groups: int,
) -> Matrices:
    """Return Σ over tokens of inputs and outputs: the derivative of a projection."""
    left, right = _flat(inputs), _flat(outputs)
    if groups == 1:
        return (left.mT @ right)[:, None]
    left, right = (
        t.reshape(*t.shape[:2], groups, t.shape[2] // groups).transpose(1, 2)
        for t in (left, right)
    )
    return left.mT @ right


@dataclass(frozen=True)
class Projection:
    """The matrices of all heads, and views of each head's that many pieces need.

    Attributes:
        matrices: Those of all heads.
        each: That of every head.
    """

    matrices: Matrices
    each: tuple[Matrix, ...]

    @classmethod
    def of(cls, matrices: Matrices) -> Self:
        """Return a projection, given its matrices."""
        every = matrices[:, 0] if matrices.shape[1] == 1 else matrices
        return cls(matrices, every.unbind())

    @cached_property
    def transposed(self) -> Self:
        """The projection by the transposed matrices."""
        return type(self).of(self.matrices.mT)


def width_after(projection: Projection | None, inputs: int) -> int:
    """Return the numbers of a token after a projection, if there is one."""
    if projection is None:
        return inputs
    return projection.matrices.shape[1] * projection.matrices.shape[3]


def project(tokens: Tokens, matrix: Matrix, out: Tokens) -> None:
    """Write what the matrix of one head makes of tokens."""
    if matrix.dim() == 2:
        torch.mm(tokens, matrix, out=out)
    else:
        out.copy_(projected(tokens[None], matrix[None])[0])


def project_for_each(tokens: Tensor, matrices: Matrices | None, out: Tensor) -> None:
    """Write what the matrix of each head makes of tokens that they share.

    Args:
        tokens: As many numbers as (*tokens, channels), in one piece.
        matrices: One a head; ``None`` for the identity.
        out: As many numbers as (heads, *tokens, outputs), in one piece.
    """
    if matrices is None:
        out.copy_(tokens.view(out.shape[1:]))
        return
    heads, groups, inputs, outputs = matrices.shape
    flat = tokens.view(1, -1, groups * inputs)
    rows = out.view(heads, -1, groups * outputs)
    if groups == 1:
        torch.bmm(flat.expand(heads, -1, -1), matrices[:, 0], out=rows)
    else:
        rows.copy_(projected(flat, matrices))


def add_projected(total: Tokens, tokens: Tokens, matrix: Matrix | None) -> None:
    """Add what the matrix of one head, or the identity, makes of tokens."""
    if matrix is None:
        total.add_(tokens)
    elif matrix.dim() == 2:
        total.addmm_(tokens, matrix)
    else:
        total.add_(projected(tokens[None], matrix[None])[0])


def add_pairs(total: Matrix, inputs: Tokens, outputs: Tokens, *, empty: bool) -> None:
    """Add Σ inputs outputsᵀ over tokens: the derivative of the projection of a head.

    Args:
        total: Where it is added.
        inputs: The tokens that it takes.
        outputs: Derivatives with respect to those that it makes.
        empty: Whether nothing, not even zeros, is in the total yet.
    """
    if total.dim() == 3:
        (pairs,) = paired(inputs[None], outputs[None], len(total))
        total.copy_(pairs) if empty else total.add_(pairs)
    elif empty:
        torch.mm(inputs.mT, outputs, out=total)
    else:
        total.addmm_(inputs.mT, outputs)


def _flat(tokens: Tensor) -> Float[Tensor, "_ _ _"]:
    """Return the tokens of each head in a row."""
    heads, *size, channels = tokens.shape  # no flatten: torch's older vmap lacks it
    return tokens.reshape(heads, prod(size), channels)
