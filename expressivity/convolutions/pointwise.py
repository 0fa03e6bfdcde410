"""Convolutions with one tap as products of matrices, where those are faster."""

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.machine.memory_format import is_channels_last
from expressivity.machine.processor import has_fast_products
from expressivity.machine.recording import are_memory, are_recorded

# Torch takes longer there to bring pixels into the order that its convolution wants
# than to multiply them: on the 1×1 layers of ResNet-50 in NCHW, the product took 0.3 to
# 0.9 of the time, on images of at least so many pixels. Elsewhere it took up to 1.7
# times.
_IS_FASTER_HERE = has_fast_products()
_PIXELS = 14 * 14


def is_product_faster(x: Tensor, kernel: Tensor, groups: int) -> bool:
    """Return whether a product computes a convolution faster than torch's own does.

    Args:
        x: (batch, channels, *size).
        kernel: (out_channels, channels / groups, *taps), of a convolution at every
            pixel.
        groups: Groups of channels.
    """
    pixels, taps = prod(x.shape[2:]), prod(kernel.shape[2:])
    if not _IS_FASTER_HERE or (groups, taps) != (1, 1) or pixels < _PIXELS:
        return False
    if not x.is_cpu or x.dtype != torch.float32 or is_channels_last(x):
        return False
    # The derivatives of a product by many images would be as many kernels.
    return are_memory((x, kernel)) and not are_recorded((x, kernel))


def product(
    x: Float[Tensor, "batch channels *size"],
    kernel: Float[Tensor, "out_channels channels *ones"],
    bias: Float[Tensor, " out_channels"] | None,
) -> Float[Tensor, "batch out_channels *size"]:
    """Return the convolution with a kernel of one tap, at every pixel.

    Args:
        x: Input.
        kernel: Weight as torch stores it.
        bias: Added to every output.

    Example:
        >>> x, kernel = torch.randn(2, 3, 4, 5), torch.randn(6, 3, 1, 1)
        >>> bias = torch.randn(6)
        >>> torch.allclose(
        ...     product(x, kernel, bias), torch.conv2d(x, kernel, bias), atol=1e-5
        ... )
        True
    """
    shape = (len(x), len(kernel), *x.shape[2:])
    matrix, pixels = kernel.flatten(1), x.flatten(2)
    matrices = matrix.expand(len(x), -1, -1)
    if bias is None:  # torch.matmul would multiply by a parameter from the right
        return torch.bmm(matrices, pixels).reshape(shape)
    return torch.baddbmm(bias[:, None], matrices, pixels).reshape(shape)
