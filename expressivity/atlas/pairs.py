"""Inputs that differ by what a family cannot see: the material of witnesses."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations, product
from types import EllipsisType

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry, Convolution

Place = tuple[int, ...]


def places(size: Sequence[int]) -> list[Place]:
    """Return all positions of a grid, row-major.

    Args:
        size: Pixels per axis.

    Returns:
        The positions.
    """
    return list(product(*map(range, size)))


def at(image: Float[Tensor, "..."], place: Place) -> Float[Tensor, "..."]:
    """Return the channels of one pixel, as a view.

    Args:
        image: (…, *size).
        place: The pixel.

    Returns:
        What stands there.
    """
    index: tuple[EllipsisType | int, ...] = (..., *place)
    return image[index]


def seen_by_output(
    conv: Convolution, size: Sequence[int], query: Place
) -> Float[Tensor, "out_channels in_channels ..."]:
    """Return what one output of a convolution weighs every pixel of the input with.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        query: The output position.

    Returns:
        (out_channels, in_channels, *size), float64.
    """
    shape = (1, conv.in_channels, *size)
    x = torch.zeros(shape, dtype=conv.weight.dtype, device=conv.weight.device)
    x.requires_grad_()
    with torch.enable_grad():
        output = conv(x)[(0, slice(None), *query)]
        rows = [torch.autograd.grad(o, x, retain_graph=True)[0][0] for o in output]
    return torch.stack(rows).detach().double()


def middle(conv: Convolution, size: Sequence[int]) -> Place:
    """Return the output position in the middle: farthest from all borders.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.

    Returns:
        The position.
    """
    output = ConvGeometry.from_conv(conv).output_size(size)
    return tuple(pixels // 2 for pixels in output)


def swapped(
    conv: Convolution,
    size: Sequence[int],
    query: Place,
    pairs: Iterable[tuple[Place, Place]],
) -> Float[Tensor, "two in_channels ..."]:
    """Return an input and the same with two pixels exchanged.

    Of all pairs that are allowed, the one that the convolution tells apart best; the
    two pixels hold the signs of the difference of their weights, all others zeros.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        query: The output position.
        pairs: Which pixels may be exchanged.

    Returns:
        The two inputs.

    Raises:
        ArgumentError: If the convolution weighs the pixels of all pairs alike.
    """
    seen = seen_by_output(conv, size, query)
    best, inputs = 0.0, torch.zeros(2, conv.in_channels, *size, dtype=torch.float64)
    for first, second in pairs:
        gap = at(seen, first) - at(seen, second)
        sums = gap.abs().sum(1)
        channel = int(sums.argmax())
        if float(sums[channel]) > best:
            best = float(sums[channel])
            inputs.zero_()
            for place, sign in ((first, 1), (second, -1)):
                at(inputs[0], place).copy_(sign * gap[channel].sign())
                at(inputs[1], place).copy_(-sign * gap[channel].sign())
    if best == 0:
        raise ArgumentError(
            "the witness needs two pixels that the family cannot tell apart and the "
            f"convolution weighs differently, got {conv} on {'×'.join(map(str, size))} "
            "pixels, which weighs them alike"
        )
    return inputs


def others(size: Sequence[int], query: Place) -> Iterator[tuple[Place, Place]]:
    """Yield all pairs of different pixels that are not the query.

    Args:
        size: Pixels per axis.
        query: The pixel left out.

    Yields:
        Ordered pairs.
    """
    yield from permutations([p for p in places(size) if p != query], 2)


def pixel_of(conv: Convolution, query: Place) -> Place:
    """Return the pixel of the input that an output stands on.

    Args:
        conv: The convolution.
        query: An output position.

    Returns:
        The middle of its kernel, in pixels of the input; it may lie off the image.
    """
    geometry = ConvGeometry.from_conv(conv)
    return tuple(
        q * stride + anchor - before
        for q, stride, anchor, (before, _) in zip(
            query, geometry.stride, geometry.anchor, geometry.padding, strict=True
        )
    )
