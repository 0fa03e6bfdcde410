"""Convolutions with one tap as products of matrices, where those are faster."""

from collections.abc import Callable
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.machine.memory_format import is_channels_last
from expressivity.machine.processor import has_fast_products
from expressivity.machine.recording import are_memory, are_recorded

# All measured on 1×1 layers, those of ResNet-50 among them, without derivatives.
_IS_FASTER_HERE = has_fast_products()
# In NCHW torch takes longer to bring pixels into the order that its convolution wants
# than to multiply them: the product took 0.3 to 0.9 of the time, on images of at least
# so many pixels. On other processors it took up to 1.7 times.
_PIXELS = 14 * 14
# In channels last it took 0.5 to 1 of the time from so many multiplications on. Of so
# many pixels or more it took up to 1.2 times where channels become fewer, and with a
# bias, which is a pass of its own, unless the output is no larger than this.
_MULTIPLICATIONS, _MANY_PIXELS, _SMALL_OUTPUT = 2**21, 56 * 56, 2**18


def is_product_faster(
    x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int
) -> bool:
    """Return whether a product computes a convolution faster than torch's own does.

    Args:
        x: (batch, channels, *size).
        kernel: (out_channels, channels / groups, *taps), of a convolution at every
            pixel.
        bias: Added to every output, if any.
        groups: Groups of channels.
    """
    if not _IS_FASTER_HERE or (groups, prod(kernel.shape[2:])) != (1, 1):
        return False
    if not x.is_cpu or x.dtype != torch.float32:
        return False
    pixels = prod(x.shape[2:])
    if is_channels_last(x):
        suits = _suits_channels_last(len(x) * pixels, kernel, bias)
    else:
        suits = pixels >= _PIXELS
    # The derivatives of a product by many images would be as many kernels.
    return suits and are_memory((x, kernel)) and not are_recorded((x, kernel))


def prepared_product(
    kernel: Float[Tensor, "out_channels channels *ones"],
    bias: Float[Tensor, " out_channels"] | None,
    like: Float[Tensor, "batch channels *size"],
) -> Callable[[Tensor], Tensor]:
    """Return the convolution with a kernel of one tap, at every pixel.

    Args:
        kernel: Weight as torch stores it.
        bias: Added to every output, if any.
        like: Images of the memory format of inputs and outputs.

    Returns:
        A function of (batch, channels, *size).

    Example:
        >>> x, kernel = torch.randn(2, 3, 4, 5), torch.randn(6, 3, 1, 1)
        >>> bias = torch.randn(6)
        >>> expected = torch.conv2d(x, kernel, bias)
        >>> torch.allclose(prepared_product(kernel, bias, x)(x), expected, atol=1e-5)
        True
    """
    matrix, outputs = kernel.flatten(1), len(kernel)

    # Neither calls torch.matmul, which copies what it multiplies by a parameter.
    def of_channels_last(x: Tensor) -> Tensor:
        pixels = x.movedim(1, -1)
        output = torch.mm(pixels.flatten(0, -2), columns)
        if bias is not None:
            output.add_(bias)
        return output.view(*pixels.shape[:-1], outputs).movedim(-1, 1)

    def of_others(x: Tensor) -> Tensor:
        batch, _, *size = x.shape
        matrices, pixels = matrix.expand(batch, -1, -1), x.flatten(2)
        if bias is None:
            output = torch.bmm(matrices, pixels)
        else:
            output = torch.baddbmm(bias[:, None], matrices, pixels)
        return output.reshape(batch, outputs, *size)

    columns = matrix.mT
    return of_channels_last if is_channels_last(like) else of_others


def _suits_channels_last(pixels: int, kernel: Tensor, bias: Tensor | None) -> bool:
    """Whether a product is faster for so many pixels, of all images together."""
    outputs, channels = kernel.shape[:2]
    if pixels * channels * outputs < _MULTIPLICATIONS:
        return False
    adds_cheaply = bias is None or pixels * outputs <= _SMALL_OUTPUT
    return pixels < _MANY_PIXELS or (channels <= outputs and adds_cheaply)
