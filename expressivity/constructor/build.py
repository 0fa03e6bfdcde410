"""From a convolution to the attention layer that computes it: Theorem 1.

One head per tap, centered on it, whose value and output projections compose to the
tap's matrix W_Δ.
"""

from numbers import Integral

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.bounds import alpha_for, saturation_alpha
from expressivity.bounds.leak import check_positive, round_up
from expressivity.convolutions import plain_convolution, tap_matrices
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry, Convolution
from expressivity.strategies import check_name


def attention_from_conv(
    conv: Convolution,
    *,
    alpha: float | None = None,
    tolerance: float | None = None,
    head_dim: int | None = None,
    strategy: str = "auto",
) -> RelativeSelfAttention:
    """Build the self-attention layer that computes a convolution.

    Args:
        conv: An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d`` with any options, or
            a module that :func:`expressivity.plain_convolution` accepts as one.
        alpha: Locality strength of all heads, 1/pixel². By default the one at which
            the leak falls below half an ulp of the weight's dtype.
        tolerance: Instead of ``alpha``: the largest absolute error allowed for any
            input with ‖x‖_∞ ≤ 1, in exact arithmetic; the smallest α that keeps it
            for every input size is taken.
        head_dim: Dimension D_h of a head's values, per group. By default
            min(in_channels, out_channels) / groups, which is exact. A larger one is
            padded with zeros; a smaller one keeps the largest singular values of
            each tap, at the price that :func:`truncation_error` states.
        strategy: How the attention is evaluated: ``"auto"`` or a name.

    Returns:
        A layer with one head a tap, on the device, in the dtype and in the training
        mode of the convolution; parameters require gradients where the weight does.

    Raises:
        ArgumentError: If ``alpha`` or ``tolerance`` is not positive and finite or
            both are given, or ``head_dim`` is below 1.
        UnsupportedModuleError: If ``conv`` is no convolution with finite
            floating-point weights.
        StrategyError: If there is no such strategy.

    Reference:
        Theorem 1, Lemmas 1 and 2; DESIGN 2.4 to 2.8.

    Example:
        >>> conv = torch.nn.Conv2d(3, 8, kernel_size=3, padding=1)
        >>> attention = attention_from_conv(conv)
        >>> x = torch.randn(1, 3, 16, 16)
        >>> bool((attention(x) - conv(x)).abs().max() < 1e-5)
        True
    """
    check_options(alpha, tolerance, head_dim, strategy)
    conv = plain_convolution(conv)
    weight, geometry = conv.weight.detach(), ConvGeometry.from_conv(conv)
    if alpha is not None:
        strength = float(alpha)
    elif tolerance is not None:
        strength = alpha_for(conv, tolerance=tolerance)
    else:
        strength = saturation_alpha(weight.dtype, geometry.axes)
    attention = RelativeSelfAttention(
        conv.in_channels,
        conv.out_channels,
        geometry,
        head_dim=head_dim,
        groups=conv.groups,
        bias=conv.bias is not None,
        strategy=strategy,
        device="meta",  # nothing is drawn at random only to be overwritten
        dtype=weight.dtype,
    ).to_empty(device=weight.device)
    blocks = tap_matrices(weight).unflatten(1, (conv.groups, -1))
    value, output = _projections(blocks, attention.head_dim)
    with torch.no_grad():
        attention.alpha.fill_(round_up(strength, weight.dtype))
        attention.centers.copy_(geometry.centers())
        for parameter, content in (
            (attention.value_weight, value),
            (attention.output_weight, output),
        ):
            if parameter is not None and content is not None:
                parameter.copy_(content.movedim(0, -1))
        if attention.bias is not None and conv.bias is not None:
            attention.bias.copy_(conv.bias)
    attention.requires_grad_(conv.weight.requires_grad)
    if attention.bias is not None and conv.bias is not None:
        attention.bias.requires_grad_(conv.bias.requires_grad)
    return attention.train(conv.training)


def check_options(
    alpha: float | None, tolerance: float | None, head_dim: int | None, strategy: str
) -> None:
    """Refuse options that no convolution could be converted with.

    Args:
        alpha: As for :func:`attention_from_conv`.
        tolerance: As for :func:`attention_from_conv`.
        head_dim: As for :func:`attention_from_conv`.
        strategy: As for :func:`attention_from_conv`.

    Raises:
        ArgumentError: If a number is out of range, or both ``alpha`` and
            ``tolerance`` are given.
        StrategyError: If there is no such strategy.
    """
    if alpha is not None and tolerance is not None:
        raise ArgumentError(
            f"give alpha or tolerance, not both, got {alpha=} and {tolerance=}"
        )
    if alpha is not None:
        check_positive("alpha", alpha)
    if tolerance is not None:
        check_positive("tolerance", tolerance)
    check_head_dim(head_dim)
    check_name(strategy)


def check_head_dim(head_dim: int | None) -> None:
    """Refuse a head dimension below 1.

    Args:
        head_dim: Dimension D_h of a head's values, ``None`` for the default.

    Raises:
        ArgumentError: If it is no integer or below 1.
    """
    if head_dim is not None and not (isinstance(head_dim, Integral) and head_dim >= 1):
        raise ArgumentError(f"head_dim needs an integer of at least 1, got {head_dim}")


def truncation_error(conv: Convolution, head_dim: int) -> Float[Tensor, " taps"]:
    """Return what a head dimension cuts off each tap: the Eckart–Young tail.

    Args:
        conv: The convolution.
        head_dim: Dimension D_h of a head's values, per group.

    Returns:
        ‖W_Δ − its best approximation of rank ``head_dim`` per group‖_F for every
        tap, float64.

    Raises:
        ArgumentError: If ``head_dim`` is below 1.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Example:
        >>> conv = torch.nn.Conv2d(8, 4, 3)
        >>> truncation_error(conv, head_dim=4).max().item()
        0.0
    """
    check_head_dim(head_dim)
    conv = plain_convolution(conv)
    blocks = tap_matrices(conv.weight.detach().double()).unflatten(1, (conv.groups, -1))
    tail: Tensor = torch.linalg.svdvals(blocks)[..., head_dim:]
    return tail.square().sum(dim=(1, 2)).sqrt()


def _projections(
    blocks: Float[Tensor, "heads groups outputs channels"], head_dim: int
) -> tuple[Tensor | None, Tensor | None]:
    """Split each block into output · value; ``None`` stands for the identity."""
    outputs, channels = blocks.shape[2:]
    if head_dim == channels:
        return None, blocks
    if head_dim == outputs:
        return blocks, None
    if head_dim < min(outputs, channels):
        u, s, vh = torch.linalg.svd(blocks.double(), full_matrices=False)
        root = s[..., :head_dim].sqrt()
        value = root[..., :, None] * vh[..., :head_dim, :]
        return value, u[..., :head_dim] * root[..., None, :]
    inner, padded = min(outputs, channels), blocks.new_zeros
    value = padded(*blocks.shape[:2], head_dim, channels)
    output = padded(*blocks.shape[:2], outputs, head_dim)
    identity = torch.eye(inner, dtype=blocks.dtype, device=blocks.device)
    if channels <= outputs:
        value[..., :inner, :], output[..., :inner] = identity, blocks
    else:
        value[..., :inner, :], output[..., :inner] = blocks, identity
    return value, output
