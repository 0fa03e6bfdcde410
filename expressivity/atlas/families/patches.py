"""Attention between patches: a Vision Transformer's tokens hold P × P pixels.

Li et al. (2021), *Can Vision Transformers Perform Convolution?* A convolution on pixels
is a convolution on patches of fewer taps and more channels: its tap D, for the patch
that lies D patches away, takes the P²C_in numbers of that patch to the P²C_out outputs
of the query's patch,

    W_D[(o, a), (c, b)] = W[o, c, δ],   δ = P D + b − a,

for pixels a, b of a patch, and 0 where the kernel does not reach δ. It needs

    N_H = Π_axes (2⌈(K − 1) / 2P⌉ + 1)

heads, one a patch in reach: 9 while 1 < K ≤ 2P + 1. With dilation, K is the kernel's
extent. A generic convolution needs them all, whatever the relative scores are, while
there are no more than (2P − 1)² C_in C_out of them: taps on patches are Toeplitz in a
and b and span no more dimensions. Statement ``patch_count`` in ``proofs/``.

Attention is by quadratic relative positions of the patches, α in 1/patch². Zero padding
is a ring of patches that hold zeros.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from expressivity.atlas.canvas import OnCanvas, bare_grid, require
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.patches import PatchAttention
from expressivity.atlas.taps import full_taps
from expressivity.conversion import attention_from_conv
from expressivity.convolutions import build_convolution, convolve
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

PATCH_SIZES = (4, 2)


def patch_reach(conv: Convolution, patch: int) -> tuple[int, ...]:
    """Return how many patches away a convolution reaches, ⌈(K − 1) / 2P⌉ per axis."""
    extent = ConvGeometry.from_conv(conv).extent
    return tuple(math.ceil((pixels - 1) / (2 * patch)) for pixels in extent)


def patch_heads(conv: Convolution, patch: int) -> int:
    """Return the number of heads, Π (2⌈(K − 1) / 2P⌉ + 1).

    Args:
        conv: The convolution.
        patch: Pixels per axis of a patch, P.

    Returns:
        One head for each patch in reach.

    Example:
        >>> [patch_heads(nn.Conv2d(1, 1, kernel), patch=4) for kernel in (1, 3, 9, 11)]
        [1, 9, 9, 25]
    """
    return math.prod(2 * reach + 1 for reach in patch_reach(conv, patch))


def patch_size(conv: Convolution, size: Size) -> int:
    """Return the default for the pixels per axis of a patch: 4 or else 2.

    Args:
        conv: The convolution, for the message.
        size: Pixels per axis of the input.

    Returns:
        The larger one that divides the size.
    """
    fits = [p for p in PATCH_SIZES if all(pixels % p == 0 for pixels in size)]
    require(bool(fits), conv, f"an image whose sides are even, not {_times(size)},")
    return fits[0]


def patch_convolution(conv: Convolution, patch: int) -> Convolution:
    """Return a convolution as one on patches.

    Args:
        conv: A convolution in two axes; its stride and padding do not matter here.
        patch: Pixels per axis of a patch, P.

    Returns:
        From P²C_in to P²C_out channels, laid out as ``torch.nn.PixelUnshuffle`` does,
        with as many outputs as the image has pixels; float64.
    """
    geometry = ConvGeometry.from_conv(conv)
    reach = patch_reach(conv, patch)
    window = [(2 * r + 1) * patch for r in reach]
    # Which pixel of the window each output of the middle patch sees through each tap.
    taps, pixels = math.prod(conv.kernel_size), math.prod(window)
    eye = torch.eye(pixels, dtype=torch.float64, device="cpu")
    kernels = torch.eye(taps, dtype=torch.float64, device="cpu")
    widths = [width for pair in reversed(geometry.same_padding) for width in pair]
    reads = convolve(
        functional.pad(eye.reshape(pixels, 1, *window), widths),
        kernels.reshape(taps, 1, *conv.kernel_size),
        stride=(1, 1),
        dilation=conv.dilation,
        groups=1,
    )
    for axis, r in enumerate(reach, start=2):
        reads = reads.narrow(axis, r * patch, patch)
    weight = torch.einsum("toc,btij->oijcb", full_taps(conv).cpu(), reads)
    rows, columns = (2 * r + 1 for r in reach)
    cut = weight.unflatten(-1, (rows, patch, columns, patch))
    # (o, i, j, c, row, b₁, column, b₂): pixels of a patch next to its channel.
    kernel = cut.permute(0, 1, 2, 3, 5, 7, 4, 6).flatten(3, 5).flatten(0, 2)
    bias = None
    if conv.bias is not None:
        bias = conv.bias.detach().double().cpu().repeat_interleave(patch**2)
    return build_convolution(
        nn.Parameter(kernel),
        None if bias is None else nn.Parameter(bias),
        stride=(1, 1),
        padding=reach,
        dilation=(1, 1),
        groups=1,
        padding_mode="zeros",
    )


def construct(
    conv: Convolution, size: Size, alpha: float, patch: int | None = None
) -> nn.Module:
    """Return attention between patches that computes a convolution.

    Args:
        conv: A convolution in two axes with zero padding.
        size: Pixels per axis of the input, multiples of the patch.
        alpha: Locality strength, 1/patch².
        patch: Pixels per axis of a patch, by default :func:`patch_size`.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the convolution has not two axes or pads otherwise, some
            output stands on no pixel, or patches do not tile the image.
    """
    require(len(size) == 2, conv, "a convolution in two axes")
    require(conv.padding_mode == "zeros", conv, "zero padding")
    patch = patch_size(conv, size) if patch is None else patch
    tiles = patch > 0 and all(pixels % patch == 0 for pixels in size)
    require(
        tiles, conv, f"patches that tile {_times(size)} pixels, not {patch}×{patch}"
    )
    attention = attention_from_conv(
        patch_convolution(conv, patch), alpha=alpha, strategy="dense"
    )
    layer = OnCanvas(PatchAttention(attention, patch), bare_grid(conv, size))
    return layer.to(conv.weight)


def _times(size: Size) -> str:
    return "×".join(map(str, size))


FAMILIES = (
    Family(
        name="patches",
        title="attention between patches",
        claim=Claim(
            "Computes every convolution with one head for each patch in reach, with "
            "an error of order e^−α.",
            (
                "a ring of patches that hold zeros",
                "an image that patches tile",
                "head dimension no less than the rank of a tap on patches",
                "two axes",
            ),
            "Li et al. (2021)",
        ),
        heads="(2⌈(K − 1) / 2P⌉ + 1)²",
        constructor=construct,
    ),
)
