"""Projections of tokens, channels last, in blocks of channels.

The matrices of some heads are (heads, groups, inputs, outputs of a group), as a grouped
convolution has them.
"""

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.buffers import Buffers

Matrices = Float[Tensor, "heads groups _ _"]
Tokens = Float[Tensor, "_ tokens _"]
"""Those of each head, or of all heads once."""


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


def width_after(matrices: Matrices | None, inputs: int) -> int:
    """Return the numbers of a token after a projection, if there is one."""
    if matrices is None:
        return inputs
    return matrices.shape[1] * matrices.shape[3]


def project(tokens: Tokens, matrices: Matrices, out: Tokens) -> None:
    """Write what the matrix of each head makes of its tokens, or of those of all."""
    heads, groups, inputs, outputs = matrices.shape
    if groups == 1:
        torch.bmm(tokens.expand(heads, -1, -1), matrices[:, 0], out=out)
    elif inputs == outputs == 1:
        torch.mul(tokens, matrices.reshape(heads, 1, groups), out=out)
    else:
        out.copy_(projected(tokens, matrices))


def add_projected(
    total: Float[Tensor, "tokens _"],
    tokens: Tokens,
    matrices: Matrices | None,
    buffers: Buffers,
) -> None:
    """Add the sum, over all heads, of what their matrices make of their tokens.

    Args:
        total: Where it is added.
        tokens: Those of each head.
        matrices: One a head; ``None`` for the identity.
        buffers: Memory for projected tokens.
    """
    if matrices is None:
        total.add_(tokens.sum(0))
    elif matrices.shape[1] == 1:
        total.addbmm_(tokens, matrices[:, 0])
    else:
        own = buffers("projected", len(tokens), *total.shape)
        project(tokens, matrices, own)
        total.add_(own.sum(0))


def add_pairs(total: Matrices, inputs: Tokens, outputs: Tokens, *, empty: bool) -> None:
    """Add Σ inputs outputsᵀ over tokens: the derivative of a projection.

    Args:
        total: Where it is added, for each head.
        inputs: The tokens that it takes.
        outputs: Derivatives with respect to those that it makes.
        empty: Whether nothing, not even zeros, is in the total yet.
    """
    heads, groups = total.shape[:2]
    if groups > 1:
        pairs = paired(inputs, outputs, groups)
        total.copy_(pairs) if empty else total.add_(pairs)
        return
    left, right = (tokens.expand(heads, -1, -1) for tokens in (inputs, outputs))
    if empty:
        torch.bmm(left.mT, right, out=total[:, 0])
    else:
        total[:, 0].baddbmm_(left.mT, right)


def _flat(tokens: Tensor) -> Float[Tensor, "_ _ _"]:
    """Return the tokens of each head in a row."""
    heads, *size, channels = tokens.shape  # no flatten: torch's older vmap lacks it
    return tokens.reshape(heads, prod(size), channels)
