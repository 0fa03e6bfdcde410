"""The taps of a convolution, and heads that carry them: one head a tap."""

import math
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.canvas import OnTokens
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.convolutions import tap_matrices
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid
from expressivity.numbers.spans import spanning_directions

Values = Float[Tensor, "heads rank in_channels"]
Outputs = Float[Tensor, "heads out_channels rank"]
Layer = TypeVar("Layer", bound=nn.Module)


def full_taps(conv: Convolution) -> Float[Tensor, "taps out_channels in_channels"]:
    """Return the matrices W_Δ over all channels, zeros between groups.

    Args:
        conv: The convolution.

    Returns:
        One matrix a tap, in the order of the centers, float64.
    """
    parts = tap_matrices(conv.weight.detach()).double().chunk(conv.groups, 1)
    return torch.stack([
        torch.block_diag(*blocks) for blocks in zip(*parts, strict=True)
    ])


def tap_factors(conv: Convolution) -> tuple[Values, Outputs]:
    """Split the matrix of every tap into a value and an output projection.

    Args:
        conv: The convolution; groups make block-diagonal matrices.

    Returns:
        W_val and W_out of each tap, W_out W_val = W_Δ, float64. Their inner dimension
        is the largest rank of a tap, r_max: no head can do with a smaller one.
    """
    return factored(full_taps(conv))


def factored(
    matrices: Float[Tensor, "heads out_channels in_channels"],
) -> tuple[Values, Outputs]:
    """Split the matrix that each head carries into a value and an output projection.

    Args:
        matrices: What each head should carry, float64.

    Returns:
        W_val and W_out of each, W_out W_val = the matrix, exactly where some matrix has
        full rank and otherwise up to rounding, relative to each output channel. Their
        inner dimension is the largest rank, and at least one.
    """
    outputs, channels = matrices.shape[1:]
    inputs = [spanning_directions(matrix.mT) for matrix in matrices]
    rank = max(1, *(each.shape[1] for each in inputs))
    if rank == min(outputs, channels):
        eye = torch.eye(rank, dtype=matrices.dtype, device=matrices.device)
        eye = eye.expand(len(matrices), -1, -1)
        return (eye, matrices) if rank == channels else (matrices, eye)
    value = torch.stack([
        functional.pad(each, (0, rank - each.shape[1])).mT for each in inputs
    ])
    return value, matrices @ value.mT


def carry(
    conv: Convolution,
    value: nn.Module,
    output: nn.Module,
    factors: tuple[Values, Outputs],
) -> None:
    """Write factors and the bias of a convolution into the projections of a layer.

    Args:
        conv: The convolution, for its bias.
        value: Linear or a 1×1 convolution, all heads one after the other; its heads
            and channels may be wider than those of the factors.
        output: The same, on the way back.
        factors: W_val and W_out of each head. All other weights become zeros.
    """
    values, outputs = factors
    heads, rank, in_channels = values.shape
    with torch.no_grad():
        for parameter in (*value.parameters(), *output.parameters()):
            parameter.zero_()
        read = value.get_parameter("weight").flatten(1).unflatten(0, (heads, -1))
        read[:, :rank, :in_channels].copy_(values)
        write = output.get_parameter("weight").flatten(1).unflatten(1, (heads, -1))
        write[: conv.out_channels, :, :rank].copy_(outputs.movedim(0, 1))
        if conv.bias is not None:
            output.get_parameter("bias")[: conv.out_channels].copy_(conv.bias)


def zeroed(layer: Layer) -> Layer:
    """Return a layer in float64 with all of its parameters set to zero."""
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.zero_()
    return layer


def one_head_a_tap(
    conv: Convolution, position_bias: nn.Module, *, content: bool = True
) -> BiasedAttention:
    """Return attention by positions alone whose heads carry the taps of a convolution.

    Args:
        conv: The convolution.
        position_bias: Draws head h of every query to the query's pixel plus Δ_h.
        content: Whether the family has content scores; they are zero.

    Returns:
        The layer on tokens, in the dtype and on the device of the convolution.
    """
    factors = tap_factors(conv)
    heads, head_dim, _ = factors[0].shape
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        position_bias=position_bias,
        heads=heads,
        head_dim=head_dim,
        content=content,
        bias=False,
    ).double()
    for projection in (layer.query, layer.key):
        if projection is not None:
            zeroed(projection)
    carry(conv, layer.value, layer.output, factors)
    return layer.to(conv.weight)


def content_layer(
    conv: Convolution,
    grid: Grid,
    position_bias: nn.Module | None = None,
    *,
    scale: float | None = None,
) -> OnTokens:
    """Return attention by content and a position bias, as witnesses attack it.

    Args:
        conv: The convolution, for the channels and the number of heads: one a tap.
        grid: The canvas to lay it on.
        position_bias: The bias of the scores, by default none.
        scale: Factor of the content scores, by default head_dim^−1/2.

    Returns:
        The layer, with torch's random weights.
    """
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        heads=math.prod(conv.kernel_size),
        head_dim=max(conv.in_channels, 4),
        position_bias=position_bias,
        scale=scale,
    )
    return OnTokens(layer, grid)
