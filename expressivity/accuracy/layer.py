"""The worst-case difference between a layer and a convolution, both as they are."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy import Deviation
from expressivity.accuracy.table_kernel import (
    TableKernel,
    table_kernel,
)
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.gate import plain_attention
from expressivity.checks import check_instance, check_size
from expressivity.convolutions import plain_convolution, tap_matrices
from expressivity.errors import ArgumentError, InputError, NotOneHotError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

# A locality strength, 1/pixel², at which float64 sees nothing but the nearest pixel.
_ONE_HOT = 1e4
_CONVERT = "Pass what attention_from_conv returned"


def conversion_error(
    attention: RelativeSelfAttention,
    conv: Convolution,
    *,
    size: Sequence[int] | None = None,
) -> Float[Tensor, " out_channels"]:
    """Return the worst-case difference of a layer and a convolution, as they are.

    Unlike :func:`expressivity.worst_case_error` it takes the parameters of the
    layer: truncated heads, unequal α, centers off the grid, tables.

    Args:
        attention: A layer without content terms.
        conv: A convolution of the same geometry and channels.
        size: Pixels per axis of the input, for the exact worst case on it; without
            it an upper bound for every size.

    Returns:
        The largest absolute difference per output channel over ‖x‖_∞ ≤ 1, in exact
        arithmetic, rounded upward. Biases are compared too.

    Raises:
        ArgumentError: If the two do not have the same geometry and channels.
        NotOneHotError: If the scores of the layer depend on the tokens, or some query
            sees only a part of a table.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If ``conv`` is no plain convolution, or the layer does
            not compute what its parameters say: hooks, a ``forward`` of its own.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv1d(2, 2, 3)
        >>> attention = attention_from_conv(conv, tolerance=1e-3)
        >>> bool(conversion_error(attention, conv).max() <= 1e-3)
        True
    """
    attention, conv = plain_attention(attention), plain_convolution(conv)
    difference = deviation(attention, conv)
    size = None if size is None else check_size("size", size, least=0)
    error = difference.any_size() if size is None else difference.largest(size).above
    return (error + bias_difference(attention, conv).abs()) * (1 + 2.0**-50)


def deviation(attention: RelativeSelfAttention, conv: Convolution) -> Deviation:
    """Return attention − convolution as an operator, biases left out.

    Args:
        attention: A layer without content terms.
        conv: A plain convolution of the same geometry and channels.

    Returns:
        The operator, from the parameters as they are stored.

    Raises:
        ArgumentError: If the two do not have the same geometry and channels.
        NotOneHotError: If the scores of the layer depend on the tokens, or some query
            sees only a part of a table.
    """
    require_position_only(attention)
    taps, heads = tap_matrices(conv.weight.detach()).cpu(), attention.heads()
    matrices, doubt = _composed([w.detach().cpu() for w in heads.projections])
    same = attention.geometry == ConvGeometry.from_conv(conv)
    if not same or matrices.shape[1:] != taps.shape[1:]:
        raise ArgumentError(
            "the layer and the convolution need the same geometry and channels, got "
            f"{attention} and {conv}"
        )
    kernel = layer_table_kernel(attention)
    if kernel is None:
        where = placement(attention)
        return Deviation(*where, matrices, taps, attention.geometry, doubt)
    centers = kernel.displacements.double()
    one_hot = torch.full((len(centers),), _ONE_HOT, dtype=torch.float64, device="cpu")
    return Deviation(
        one_hot, centers, kernel.matrices, taps, attention.geometry, kernel.doubt
    )


def layer_table_kernel(attention: RelativeSelfAttention) -> TableKernel | None:
    """Return the kernel that a layer with tables convolves with.

    Args:
        attention: A layer without content terms.

    Returns:
        The kernel; ``None`` for a layer without tables.

    Raises:
        NotOneHotError: If some query sees only a part of a table.
    """
    heads = attention.heads()
    if heads.table is None:
        return None
    matrices, doubt = _composed([w.detach().cpu() for w in heads.projections])
    return table_kernel(heads, heads.table, attention.geometry, matrices, doubt)


def bias_difference(
    attention: RelativeSelfAttention, conv: Convolution
) -> Float[Tensor, "..."]:
    """Return the difference of the biases, a missing one being zero.

    Args:
        attention: The layer.
        conv: The convolution.

    Returns:
        (out_channels,) in float64, or one zero if there are none.
    """
    biases = [
        torch.zeros((), dtype=torch.float64, device="cpu")
        if b is None
        else b.detach().double().cpu()
        for b in (attention.bias, conv.bias)
    ]
    return biases[0] - biases[1]


def _composed(projections: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return W_outᵀ W_valᵀ of every head, and what rounding adds to their rows."""
    if len(projections) == 1:  # a view of the parameter
        return projections[0].movedim(-1, 0).flatten(1, 2), None
    output, value = (weight.double().movedim(-1, 0) for weight in projections)
    sizes = output.abs() @ value.abs().sum(-1, keepdim=True)
    doubt = 2 * (output.shape[-1] + 1) * torch.finfo(torch.float64).eps * sizes
    return (output @ value).flatten(1, 2), doubt.flatten(1)


def placement(attention: RelativeSelfAttention) -> tuple[Tensor, Tensor]:
    """Return α and the centers of all heads, on the CPU in float64.

    Args:
        attention: The layer.

    Returns:
        (heads,) in 1/pixel² and (heads, axes) in pixels.
    """
    alpha, centers = attention.alpha.detach(), attention.centers.detach()
    return alpha.double().cpu(), centers.double().cpu()


def head_matrices(
    attention: RelativeSelfAttention,
) -> Float[Tensor, "heads out_channels channels_of_group"]:
    """Return W_outᵀ W_valᵀ of every head, its blocks on top of each other.

    Args:
        attention: The layer.

    Returns:
        One matrix a head, as a tap of a grouped convolution has it.
    """
    return attention.heads().matrices().detach().flatten(1, 2)


def require_position_only(attention: RelativeSelfAttention) -> None:
    """Refuse a layer whose content terms do not vanish.

    Args:
        attention: The layer.

    Raises:
        InputError: If it holds no numbers.
        NotOneHotError: If its scores depend on the tokens.
        UnsupportedModuleError: If it is no attention layer.
    """
    check_instance("attention", attention, RelativeSelfAttention, _CONVERT)
    if attention.alpha.is_meta:
        raise InputError(
            "attention needs numbers, got a layer on the meta device, which holds none"
        )
    content = attention.heads().content
    if content is not None and bool(
        content.query_weight.any() or content.content_bias.any()
    ):
        raise NotOneHotError(
            "the scores of this layer depend on the tokens (query_weight or "
            "content_bias is not zero): no convolution does that"
        )
