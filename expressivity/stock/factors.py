"""Quadratic scores in the linear maps that every attention module has.

A score is −α‖k − t‖² = (2αt, −α) · (k, ‖k‖²) − α‖t‖². The softmax drops the last term.
What is left is an affine map of the query's own place times the place of the key.
Statement ``absolute_factorisation`` in ``proofs/``.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from expressivity.heads.parameters import Heads
from expressivity.stock.image_tokens import projections


@dataclass(frozen=True)
class Slots:
    """Views into the parameters of a stock module, to be written.

    Attributes:
        query: W_qry, (heads, width of a head, width of tokens).
        query_bias: Its bias, (heads, width of a head).
        key: W_key, as ``query``.
        value: W_val, as ``query``.
        output: W_out, (width of tokens, heads, width of a head).
        output_bias: Its bias, (width of tokens,).
    """

    query: Tensor
    query_bias: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    output_bias: Tensor


@torch.no_grad()
def write(slots: Slots, heads: Heads, *, in_channels: int, scale: float) -> None:
    """Write the heads of a layer into a module whose parameters are zeros.

    Args:
        slots: Where.
        heads: Position-only heads.
        in_channels: Channels of a pixel, which the place of the token follows.
        scale: What the module multiplies scores by.
    """
    axes = heads.centers.shape[1]
    # Its square root would be rounded; α and Δ are exact in float64.
    alpha, centers = heads.alpha.detach().double(), heads.centers.detach().double()
    place = slice(in_channels, in_channels + axes + 1)
    for axis in range(axes):
        slots.query[:, axis, in_channels + axis] = 2 * alpha / scale
    slots.query_bias[:, :axes] = 2 * alpha[:, None] * centers / scale
    slots.query_bias[:, axes] = -alpha / scale
    eye = torch.eye(axes + 1, dtype=slots.key.dtype, device=slots.key.device)
    slots.key[:, : axes + 1, place] = eye
    write_values(slots, heads, in_channels=in_channels)


@torch.no_grad()
def write_values(slots: Slots, heads: Heads, *, in_channels: int) -> None:
    """Write value and output projections, and the bias, into parameters of zeros."""
    value, output = projections(heads)
    rank, out_channels = value.shape[1], output.shape[1]
    slots.value[:, :rank, :in_channels] = value
    slots.output[:out_channels, :, :rank] = output.movedim(0, 1)
    if heads.bias is not None:
        slots.output_bias[:out_channels] = heads.bias


def least_width(heads: Heads, in_channels: int, *, code: int) -> int:
    """Return the width of a head that holds a layer in a module of equal heads.

    Args:
        heads: The heads of the layer.
        in_channels: Channels of a pixel.
        code: Channels that say where a token is.

    Returns:
        Channels of a head; tokens have as many times the number of heads.
    """
    needed = max(in_channels + code, heads.out_channels)
    count = heads.alpha.shape[0]
    return max(code, heads.value_width, math.ceil(needed / count))
