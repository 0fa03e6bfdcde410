"""Large images in pieces: what lies between two convolutions stays in the cache.

A smoothed image as large as the memory of a processor's cache is written, and read
again, at the speed of the main memory; and the system clears memory that it has not
lent before. Some images at a time, or some rows of one, avoid both.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from expressivity.heads.stencils import Stencils
from expressivity.machine.memory_format import format_of, is_channels_last
from expressivity.machine.recording import are_memory, are_recorded
from expressivity.numbers.precision import autocast_is_on

# Numbers of the tokens that are smoothed at a time: 4 MiB in float32.
_NUMBERS = 2**20


@dataclass(frozen=True)
class Strip:
    """Some rows of outputs.

    Attributes:
        outputs: Which.
        tokens: The rows of tokens that they depend on.
        smoothing: The smoothing at the targets between the two.
    """

    outputs: slice
    tokens: slice
    smoothing: Stencils


def strips_of(
    smoothing: Stencils, rows: int, *, outputs: int, stride: int, reach: int
) -> Iterator[Strip]:
    """Yield all strips of an image, from the first row of outputs to the last.

    Args:
        smoothing: The smoothing at all targets.
        rows: Rows of outputs in a strip.
        outputs: Rows of outputs in all.
        stride: Rows of targets between rows of outputs.
        reach: Rows of targets that a row of outputs depends on.
    """
    for start in range(0, outputs, rows):
        stop = min(start + rows, outputs)
        targets = slice(start * stride, (stop - 1) * stride + reach)
        own, tokens = smoothing.part(targets)
        yield Strip(slice(start, stop), tokens, own)


def are_worth_it(tokens: Tensor, kernels: tuple[Tensor, ...]) -> bool:
    """Return whether tokens are many, and outputs may be written one after the other.

    Tokens that are channels last are not copied, and need no strips. Neither autograd
    nor ``vmap`` follows such writing, and autocast decides of what dtype outputs are.

    Args:
        tokens: (batch, channels, *size).
        kernels: What smoothed tokens are convolved with.
    """
    involved = (tokens, *kernels)
    if tokens.numel() <= 2 * _NUMBERS or is_channels_last(tokens):
        return False
    if autocast_is_on(tokens.device) or are_recorded(involved):
        return False
    return are_memory(involved)


def in_strips(
    smoothing: Stencils,
    finished: Callable[[Tensor], Tensor],
    tokens: Tensor,
    shape: Sequence[int],
    *,
    stride: int,
    reach: int,
) -> Tensor:
    """Return what comes of smoothed tokens, computed piece by piece.

    Args:
        smoothing: The smoothing at all targets.
        finished: What follows the smoothing, for any rows of targets.
        tokens: (batch, channels, *size).
        shape: (batch, out_channels, *queries), of the result.
        stride: Rows of targets between rows of outputs.
        reach: Rows of targets that a row of outputs depends on.

    Returns:
        The outputs, in the memory format of the tokens.
    """
    output = tokens.new_empty(shape).to(memory_format=format_of(tokens))
    outputs, of_image = shape[2], tokens[0].numel()
    images = max(1, _NUMBERS // of_image)
    rows = max(1, outputs * _NUMBERS // max(of_image, _NUMBERS))
    strips = list(
        strips_of(smoothing, rows, outputs=outputs, stride=stride, reach=reach)
    )
    for first in range(0, len(tokens), images):
        some = slice(first, first + images)
        for strip in strips:
            pixels = strip.smoothing(tokens[some, :, strip.tokens])
            output[some, :, strip.outputs] = finished(pixels)
    return output
