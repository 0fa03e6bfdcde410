"""What a layer takes: an input with or without a batch axis, sizes, strengths."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from expressivity.attention.parameters import AttentionParameters
from expressivity.checks import check_tensor, is_dense
from expressivity.errors import ArgumentError, InputError
from expressivity.heads.memo import is_at_hand
from expressivity.heads.parameters import Heads
from expressivity.machine.recording import is_traced
from expressivity.numbers.precision import autocast_is_on


def batched(layer: AttentionParameters, x: Tensor) -> Tensor:
    """Check the input of a layer and give it a batch axis if it has none.

    Args:
        layer: The layer.
        x: Input, (batch, in_channels, *size) or without the batch axis.

    Returns:
        The same with a batch axis.

    Raises:
        InputError: If axes, channels or dtype do not suit.
    """
    if not isinstance(x, Tensor) or not is_dense(x):
        check_tensor("x", x)
    axes = layer.geometry.axes
    if x.dim() not in (axes + 1, axes + 2):
        raise InputError(
            f"the layer takes (batch, channels, {axes} axes) or the same without "
            f"batch, got {x.dim()} dimensions: {tuple(x.shape)}"
        )
    batch = x if x.dim() == axes + 2 else x.unsqueeze(0)
    if batch.shape[1] != layer.in_channels:
        raise InputError(
            f"the layer takes {layer.in_channels} channels, got {batch.shape[1]} "
            f"in an input of shape {tuple(x.shape)}"
        )
    if x.dtype != layer.dtype and not (
        x.is_floating_point() and autocast_is_on(x.device)
    ):
        raise InputError(
            f"the layer takes {layer.dtype}, got {x.dtype}: cast the input or the layer"
        )
    return batch


def size_of(
    pixels: tuple[int, ...], size: Sequence[int] | None
) -> Sequence[int] | None:
    """Return the size of an input in whichever way it is spelled."""
    if not pixels:
        return size
    if size is not None:
        raise ArgumentError(f"give the size once, as size=, got {pixels} and {size=}")
    warnings.warn(
        f"the size as positional arguments is deprecated: pass size={pixels}",
        DeprecationWarning,
        stacklevel=3,
    )
    return pixels


def with_checked_alpha(heads: Heads) -> Heads:
    """Refuse strengths that training has made negative or no number.

    Where tensors hold no numbers, for tracers and under vmap, outputs become NaN
    instead.

    Args:
        heads: Parameters of the heads.

    Returns:
        The same heads, with a bias that is NaN where α is out of range and nobody could
        read it.

    Raises:
        ArgumentError: If some α is negative, infinite or NaN.
    """
    alpha = heads.alpha
    if alpha.is_meta:
        return heads
    if is_traced():
        return _with_telling_bias(heads) if alpha.requires_grad else heads
    try:
        numbers = _numbers(heads)
    except RuntimeError:  # vmap
        return _with_telling_bias(heads)
    wrong = [head for head, a in enumerate(numbers) if not 0 <= a < math.inf]
    if wrong:
        raise ArgumentError(
            f"alpha needs finite numbers of at least 0, got {numbers[wrong[0]]:.4g} in "
            f"head {wrong[0]} ({len(wrong)} of {len(numbers)} heads): call "
            "expressivity.training.clamp_alpha(model) after each step of the "
            "optimiser, and lower its learning rate for positions"
        )
    return heads


def _numbers(heads: Heads) -> list[float]:
    """Return every α; on an asynchronous device they are read when they change."""
    alpha = heads.alpha
    if is_at_hand(alpha):
        return alpha.tolist()
    return heads.memo.get("strengths", [alpha], alpha.tolist)


def _with_telling_bias(heads: Heads) -> Heads:
    """Return heads whose bias is NaN if some α is out of range."""
    alpha, bias = heads.alpha.detach(), heads.bias
    fits = ((alpha >= 0) & alpha.isfinite()).all()
    if bias is None:
        bias = alpha.new_zeros(heads.out_channels, dtype=heads.dtype)
    return replace(heads, bias=torch.where(fits, bias, torch.nan))
