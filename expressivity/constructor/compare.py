"""The worst-case difference between a layer and a convolution, both as they are."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.bounds import largest_row_norms, row_norm_bound
from expressivity.convolutions import plain_convolution, tap_matrices
from expressivity.errors import ArgumentError, NotOneHotError
from expressivity.geometry import ConvGeometry, Convolution


def conversion_error(
    attention: RelativeSelfAttention,
    conv: Convolution,
    *,
    size: Sequence[int] | None = None,
) -> Float[Tensor, " out_channels"]:
    """Return the worst-case difference of a layer and a convolution, as they are.

    Unlike :func:`expressivity.worst_case_error` it takes the parameters of the
    layer: truncated heads, unequal α, centers off the grid.

    Args:
        attention: A layer without content terms.
        conv: A convolution of the same geometry and channels.
        size: Pixels per axis of the input, for the exact worst case on it; without
            it an upper bound for every size.

    Returns:
        The largest absolute difference per output channel over ‖x‖_∞ ≤ 1, in exact
        arithmetic, float64. Biases are compared too.

    Raises:
        ArgumentError: If the two do not have the same geometry and channels.
        NotOneHotError: If the scores of the layer depend on the tokens.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv1d(2, 2, 3)
        >>> attention = attention_from_conv(conv, tolerance=1e-3)
        >>> bool(conversion_error(attention, conv).max() <= 1e-3)
        True
    """
    conv = plain_convolution(conv)
    require_position_only(attention)
    taps = tap_matrices(conv.weight.detach())
    matrices = head_matrices(attention)
    same = attention.geometry == ConvGeometry.from_conv(conv)
    if not same or matrices.shape[1:] != taps.shape[1:]:
        raise ArgumentError(
            "the layer and the convolution need the same geometry and channels, got "
            f"{attention} and {conv}"
        )
    alpha, centers = placement(attention)
    operators = (alpha, centers, matrices.cpu(), taps.cpu(), attention.geometry)
    if size is None:
        error = row_norm_bound(*operators)
    else:
        error = largest_row_norms(*operators, size)
    biases = [
        torch.zeros(()) if b is None else b.detach().double().cpu()
        for b in (attention.bias, conv.bias)
    ]
    return error + (biases[0] - biases[1]).abs()


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
        NotOneHotError: If its scores depend on the tokens.
    """
    content = attention.heads().content
    if content is not None and bool(
        content.query_weight.any() or content.content_bias.any()
    ):
        raise NotOneHotError(
            "the scores of this layer depend on the tokens (query_weight or "
            "content_bias is not zero): no convolution does that"
        )
