"""The way back: from an attention layer to the convolution that it computes."""

from typing import NamedTuple, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.accuracy.snapshot import Snapshot
from expressivity.accuracy.table_kernel import TableKernel
from expressivity.accuracy.worst_case import worst_case
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.convolution_attributes import torch_padding
from expressivity.checks import check_positive
from expressivity.convolutions import Kernel, build_convolution
from expressivity.errors import ArgumentError, NotOneHotError
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.positions import positions
from expressivity.heads.encoding import axis_scores
from expressivity.heads.leak import WIDEST_ALPHA, band_radius, head_leaks


class NearestConvolution(NamedTuple):
    """A convolution read off an attention layer that is not quite one-hot.

    Attributes:
        conv: The convolution.
        error: The largest difference of any output over ‖x‖_∞ ≤ 1, absolute, on an
            input large enough to show borders and interior; an upper bound for
            every size where some head is so soft (α below 0.8) that it would have to
            be very large.
    """

    conv: Convolution
    error: float


@overload
def conv_from_attention(attention: RelativeSelfAttention) -> Convolution: ...
@overload
def conv_from_attention(
    attention: RelativeSelfAttention, *, tolerance: float
) -> NearestConvolution: ...
def conv_from_attention(
    attention: RelativeSelfAttention, *, tolerance: float | None = None
) -> Convolution | NearestConvolution:
    """Return the convolution that an attention layer computes.

    Args:
        attention: A layer without content terms, or with content terms that are
            zero, whose heads attend to taps of its kernel: one-hot, or by tables.
        tolerance: Largest absolute error allowed over ‖x‖_∞ ≤ 1. With it the heads
            may be soft: the kernel is then the nearest one in the Frobenius norm
            of the operator far from borders.

    Returns:
        The convolution; with ``tolerance``, the nearest convolution and its error.
        Weights of a converted layer come back bit by bit, unless ``head_dim`` was
        too small to hold them.

    Raises:
        NotOneHotError: If a head is softer than the rounding level of its dtype,
            attends outside the kernel or depends on the tokens; or, with
            ``tolerance``, if the nearest convolution is further off. If some query
            sees only a part of what tables attend to.
        ArgumentError: If the tolerance is not positive and finite, or torch's
            convolution cannot express the padding of the layer.
        UnsupportedModuleError: If the layer does not compute what its parameters say:
            hooks, a ``forward`` of its own.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv2d(2, 4, 3, padding=1)
        >>> back = conv_from_attention(attention_from_conv(conv))
        >>> torch.equal(back.weight, conv.weight)
        True
    """
    layer = Snapshot.of(attention)
    layer.require_position_only()
    if tolerance is None:
        if layer.table_kernel is not None:
            _require_taps(layer, layer.table_kernel)
            return _convolution(layer, _on_taps(layer, layer.table_kernel))
        _require_one_hot(layer)
        return _convolution(layer, _one_hot_kernel(layer))
    tolerance = check_positive("tolerance", tolerance)
    table = layer.table_kernel
    kernel = _soft_kernel(layer) if table is None else _on_taps(layer, table)
    conv = _convolution(layer, kernel)
    nearest = Kernel.of(conv)
    size = layer.minus(nearest).characteristic_size()
    error = float(worst_case(layer, nearest, size).max())
    if error > tolerance:
        raise NotOneHotError(
            f"the nearest convolution differs by up to {error:.3g} for inputs within "
            f"±1, more than {tolerance=}: raise alpha or the tolerance"
        )
    return NearestConvolution(conv, error)


def _require_one_hot(layer: Snapshot) -> None:
    """Refuse heads that are softer than rounding, or aimed outside the kernel."""
    alpha, centers, geometry = layer.alpha, layer.centers, layer.layer.geometry
    leaks = head_leaks(alpha, centers)
    rounding = torch.finfo(layer.heads.dtype).eps
    if bool((leaks > rounding).any()):
        head = int(leaks.argmax())
        raise NotOneHotError(
            f"{int((leaks > rounding).sum())} of {len(leaks)} heads are not one-hot: "
            f"head {head} (alpha={alpha[head]:.4g}) gives {leaks[head]:.3g} of its "
            f"attention to pixels off its target, where rounding is {rounding:.2g}. "
            "Raise alpha, or pass tolerance= for the nearest convolution"
        )
    taps = geometry.centers()
    outside = ~(centers.round().long()[:, None] == taps).all(-1).any(1)
    if bool(outside.any()):
        head = int(outside.int().argmax())
        raise NotOneHotError(
            f"head {head} attends to the displacement {centers[head].tolist()}, which "
            f"is no tap of a kernel of size {geometry.kernel_size} with "
            f"dilation {geometry.dilation}"
        )


def _one_hot_kernel(
    layer: Snapshot,
) -> Float[Tensor, "taps out_channels channels_of_group"]:
    """Return the sum of the matrices of all heads on each tap."""
    limits, taps = layer.centers.round().long(), layer.layer.geometry.centers()
    if torch.equal(limits, taps):
        return layer.matrices
    hits = (limits[:, None] == taps).all(-1).to(layer.matrices.dtype)
    return torch.einsum("ht,hoc->toc", hits, layer.matrices)


def _require_taps(layer: Snapshot, table: TableKernel) -> None:
    """Refuse tables that lead to more than rounding off the taps."""
    geometry = layer.layer.geometry
    taps = geometry.centers()
    outside = ~(table.displacements[:, None] == taps).all(-1).any(1)
    sizes = table.matrices.abs().sum(-1)
    # Of each output channel: a small one beside large ones is no rounding.
    rounding = torch.finfo(layer.heads.dtype).eps * sizes.sum(0)
    spare = outside & (sizes > rounding).any(1)
    if bool(spare.any()):
        entry = int(spare.int().argmax())
        raise NotOneHotError(
            f"the tables attend to the displacement "
            f"{table.displacements[entry].tolist()}, which is no tap of a kernel of "
            f"size {geometry.kernel_size} with dilation "
            f"{geometry.dilation}: pass tolerance= for the nearest "
            "convolution"
        )


def _on_taps(
    layer: Snapshot, table: TableKernel
) -> Float[Tensor, "taps out_channels channels_of_group"]:
    """Return the matrices of the displacements that are taps."""
    taps = layer.layer.geometry.centers()
    hits = (table.displacements[:, None] == taps).all(-1).double()
    return torch.einsum("wt,woc->toc", hits, table.matrices)


def _soft_kernel(
    layer: Snapshot,
) -> Float[Tensor, "taps out_channels channels_of_group"]:
    """Return Σ_h p_h(Δ) W_h for every tap Δ, p_h the attention far from borders."""
    alpha, centers, geometry = layer.alpha, layer.centers, layer.layer.geometry
    if not bool((alpha > WIDEST_ALPHA).all()):
        raise NotOneHotError(
            f"head {int(alpha.argmin())} has alpha={float(alpha.min()):.4g}: it "
            "attends to a whole canvas, whatever its size; no convolution does that"
        )
    taps = geometry.centers()
    reach = band_radius(float(alpha.min()))
    low = int(min(centers.min().floor(), taps.min())) - reach
    high = int(max(centers.max().ceil(), taps.max())) + reach
    weights = torch.ones(len(alpha), len(taps), dtype=alpha.dtype, device="cpu")
    for axis in range(geometry.axes):
        keys = positions(range(high - low + 1))
        scores = axis_scores(centers[:, axis] - low, keys, alpha)
        weights *= scores.softmax(-1)[:, taps[:, axis] - low]
    return torch.einsum("ht,hoc->toc", weights, layer.matrices.double())


def _convolution(layer: Snapshot, kernel: Tensor) -> Convolution:
    """Return the torch convolution with the layer's options and this kernel."""
    attention, like = layer.layer, layer.heads.projections[0]
    geometry = attention.geometry
    padding = torch_padding(geometry)
    if padding is None:
        raise ArgumentError(
            "torch's convolution pads both sides alike or 'same', got "
            f"{geometry.padding=}"
        )
    weight = kernel.movedim(0, -1).unflatten(-1, geometry.kernel_size).contiguous()
    bias = attention.bias
    return build_convolution(
        nn.Parameter(weight.to(like), like.requires_grad),
        None
        if bias is None
        else nn.Parameter(bias.detach().clone(), bias.requires_grad),
        stride=geometry.stride,
        padding=padding,
        dilation=geometry.dilation,
        groups=attention.groups,
        padding_mode=geometry.padding_mode,
    ).train(attention.training)
