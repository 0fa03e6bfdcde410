"""Inputs that differ by what a family cannot see: the material of witnesses."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations, product
from types import EllipsisType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.witness import Witness
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

Place = tuple[int, ...]
TOLD_APART = "pixels that the convolution weighs differently and the family does not"


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
        The two inputs; the same where no pair is told apart.
    """
    seen = seen_by_output(conv, size, query)
    best, inputs = (
        0.0,
        torch.zeros(2, conv.in_channels, *size, dtype=torch.float64, device="cpu"),
    )
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


def exchanged(
    conv: Convolution,
    size: Sequence[int],
    *,
    kind: str,
    symmetry: str,
    layer: Callable[[int], nn.Module],
    control: Callable[[int], nn.Module],
) -> Witness:
    """Return the witness of a family that cannot tell tokens but the query apart.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        kind: The kind of witness.
        symmetry: Why the family treats the inputs alike.
        layer: Makes a layer of the family, from a seed.
        control: Makes one with the condition restored.

    Returns:
        The witness, at the output in the middle.

    Raises:
        ArgumentError: If the convolution weighs all other pixels alike.
    """
    query = middle(conv, size)
    return Witness.of(
        conv,
        swapped(conv, size, query, others(size, pixel_of(conv, query))),
        (query, query),
        kind=kind,
        symmetry=symmetry,
        layer=layer,
        control=control,
        needs=TOLD_APART,
    )


def summed_most(conv: Convolution, size: Sequence[int], query: Place) -> Place:
    """Return the pixel beside the query whose channels an output adds up most.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        query: The output position.

    Returns:
        The pixel with the largest sum of weights over the channels.

    Raises:
        ArgumentError: If there is no other pixel.
    """
    sums = seen_by_output(conv, size, query).sum(1).abs().amax(0)
    beside = [place for place in places(size) if place != pixel_of(conv, query)]
    if not beside:
        raise ArgumentError(
            "the witness needs a pixel beside the query's, got "
            f"{'×'.join(map(str, size))} pixels: enlarge the image"
        )
    return max(beside, key=lambda place: float(at(sums, place)))


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


def constant(
    conv: Convolution, size: Sequence[int]
) -> tuple[Float[Tensor, "two in_channels ..."], tuple[Place, Place]]:
    """Return a constant image, twice, and two outputs that differ on it.

    Of all constants ±1 and pairs of outputs, those that differ most: a corner and the
    middle, where the padding holds zeros and taps do not cancel.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.

    Returns:
        The two inputs, which are the same, and the two outputs.
    """
    ones = torch.eye(conv.in_channels, dtype=torch.float64, device=conv.weight.device)
    images = ones.reshape(*ones.shape, *[1] * len(size)).expand(-1, -1, *size)
    with torch.no_grad():
        weights = {"weight": conv.weight.double()}
        if conv.bias is not None:
            weights["bias"] = torch.zeros_like(conv.bias).double()
        images = torch.func.functional_call(conv, weights, (images,))
    responses = images.flatten(2).movedim(0, 2).cpu()  # (outputs, places, inputs)
    gaps = torch.cdist(responses, responses, p=1)
    channel, first, second = torch.unravel_index(gaps.argmax(), gaps.shape)
    signs = (responses[channel, first] - responses[channel, second]).sign()
    inputs = signs.reshape(1, -1, *[1] * len(size)).expand(2, -1, *size).clone()
    outputs = places(images.shape[2:])
    return inputs, (outputs[int(first)], outputs[int(second)])


def changed(
    conv: Convolution,
    size: Sequence[int],
    unseen: Iterable[tuple[Place, Iterable[Place]]],
) -> tuple[Float[Tensor, "two in_channels ..."], Place]:
    """Return two inputs that differ in one pixel, which an output may not see.

    Of all pairs of an output and a pixel that are allowed, the one where the
    convolution weighs the pixel most; all other pixels hold zeros.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        unseen: Outputs, and for each the pixels that a family does not see there.

    Returns:
        The two inputs, and the output; zeros where it sees none of these pixels either.
    """
    best, chosen = 0.0, (0,) * len(size)
    inputs = torch.zeros(2, conv.in_channels, *size, dtype=torch.float64, device="cpu")
    for query, pixels in unseen:
        seen = seen_by_output(conv, size, query)
        for pixel in pixels:
            weights = at(seen, pixel)
            sums = weights.abs().sum(1)
            channel = int(sums.argmax())
            if float(sums[channel]) > best:
                best, chosen = float(sums[channel]), query
                inputs.zero_()
                at(inputs[0], pixel).copy_(weights[channel].sign())
                at(inputs[1], pixel).copy_(-weights[channel].sign())
    return inputs, chosen
