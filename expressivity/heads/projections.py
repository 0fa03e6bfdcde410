"""Projections of tokens, channels last, in blocks of channels.

The matrices of some heads are (heads, groups, inputs, outputs of a group), as a grouped
convolution has them.
"""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.buffers import Buffers

# Up to so many groups, one product a group for all heads is faster than one a head.
_FEW_GROUPS = 4

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
    if inputs == outputs == 1:
        torch.mul(tokens, matrices.view(heads, 1, groups), out=out)
    elif groups <= _FEW_GROUPS:
        every = (_by_group(tokens, groups), matrices.unbind(1), _by_group(out, groups))
        for own, matrix, target in zip(*every, strict=True):
            torch.bmm(own.expand(heads, -1, -1), matrix, out=target)
    else:
        each = tokens.expand(heads, -1, -1).split(1)
        for own, matrix, target in zip(
            each, matrices.split(1), out.split(1), strict=True
        ):
            target.copy_(projected(own, matrix))


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
        buffers: Memory for products of numbers.
    """
    if matrices is None:
        total.add_(tokens.sum(0))
        return
    groups, inputs, outputs = matrices.shape[1:]
    if inputs == outputs == 1:
        products = buffers("products", *tokens.shape)
        project(tokens, matrices, products)
        total.add_(products.sum(0))
    elif groups <= _FEW_GROUPS:
        parts = (_by_group(total, groups), _by_group(tokens, groups))
        for target, own, matrix in zip(*parts, matrices.unbind(1), strict=True):
            target.addbmm_(own, matrix)
    else:
        for own, matrix in zip(tokens.split(1), matrices.split(1), strict=True):
            total.add_(projected(own, matrix)[0])


def add_pairs(
    total: Matrices, inputs: Tokens, outputs: Tokens, buffers: Buffers, *, empty: bool
) -> None:
    """Add Σ inputs outputsᵀ over tokens: the derivative of a projection.

    Args:
        total: Where it is added, for each head.
        inputs: The tokens that it takes.
        outputs: Derivatives with respect to those that it makes.
        buffers: Memory for products of numbers.
        empty: Whether nothing, not even zeros, is in the total yet.
    """
    heads, groups, *size = total.shape
    if size == [1, 1]:
        products = buffers("products", heads, *inputs.shape[1:])
        pairs = torch.mul(inputs, outputs, out=products).sum(1).view(total.shape)
        total.copy_(pairs) if empty else total.add_(pairs)
        return
    left, right = (t.expand(heads, -1, -1) for t in (inputs, outputs))
    if groups > _FEW_GROUPS:
        parts = (total.split(1), left.split(1), right.split(1))
        for own, given, made in zip(*parts, strict=True):
            pairs = paired(given, made, groups)
            own.copy_(pairs) if empty else own.add_(pairs)
        return
    every = (total.unbind(1), _by_group(left, groups), _by_group(right, groups))
    for own, given, made in zip(*every, strict=True):
        if empty:
            torch.bmm(given.mT, made, out=own)
        else:
            own.baddbmm_(given.mT, made)


def _by_group(tokens: Tensor, groups: int) -> Sequence[Tensor]:
    """Return the channels of each group: views."""
    return tokens.chunk(groups, -1)


def _flat(tokens: Tensor) -> Float[Tensor, "_ _ _"]:
    """Return the tokens of each head in a row."""
    heads, *size, channels = tokens.shape  # no flatten: torch's older vmap lacks it
    return tokens.reshape(heads, prod(size), channels)
