"""Projections of tokens, channels last, in blocks of channels.

The matrices of some heads are (heads, groups, inputs, outputs of a group), as a grouped
convolution has them.
"""

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = Float[Tensor, "heads groups inputs outputs"]


def heads_first(
    weight: Float[Tensor, "groups rows columns heads"],
) -> Float[Tensor, "heads groups columns rows"]:
    """Return transposed matrices of all heads, given those with the heads last.

    On a CPU a product with the identity moves the heads twice as fast as a copy does.

    Example:
        >>> heads_first(torch.arange(6.0).reshape(1, 1, 3, 2))[1].flatten().tolist()
        [1.0, 3.0, 5.0]
    """
    heads = weight.shape[-1]
    if weight.is_cpu and weight.is_floating_point():
        identity = torch.eye(heads, dtype=weight.dtype, device=weight.device)
        moved = torch.mm(identity, weight.reshape(-1, heads).mT)
        return moved.reshape(heads, *weight.shape[:-1]).mT
    return weight.movedim(-1, 0).contiguous().mT


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


def _flat(tokens: Tensor) -> Float[Tensor, "_ _ _"]:
    """Return the tokens of each head in a row."""
    heads, *size, channels = tokens.shape  # no flatten: torch's older vmap lacks it
    return tokens.reshape(heads, prod(size), channels)
