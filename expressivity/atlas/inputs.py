"""Inputs that differ by what a family cannot see: the material of witnesses."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, product
from types import EllipsisType

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.atlas.witness import Maker, Witness
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

Place = tuple[int, ...]


def places(size: Sequence[int]) -> list[Place]:
    """Return all positions of a grid, row-major."""
    return list(product(*map(range, size)))


def at(image: Float[Tensor, "..."], place: Place) -> Float[Tensor, "..."]:
    """Return the channels of one pixel of (…, *size), as a view."""
    index: tuple[EllipsisType | int, ...] = (..., *place)
    return image[index]


def zeros(
    conv: Convolution, size: Sequence[int], images: int = 2
) -> Float[Tensor, "images in_channels ..."]:
    """Return black images for a convolution, float64."""
    shape = (images, conv.in_channels, *size)
    return torch.zeros(shape, dtype=torch.float64, device="cpu")


def output_weights(
    conv: Convolution, size: Sequence[int], query: Place
) -> Float[Tensor, "out_channels in_channels ..."]:
    """Return the weight of every input pixel in one output of a convolution.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        query: The output position.

    Returns:
        (out_channels, in_channels, *size), float64.
    """
    x = zeros(conv, size, images=1).to(conv.weight).requires_grad_()
    with torch.enable_grad():
        output = conv(x)[(0, slice(None), *query)]
        rows = [torch.autograd.grad(o, x, retain_graph=True)[0][0] for o in output]
    return torch.stack(rows).detach().double()


def middle(conv: Convolution, size: Sequence[int]) -> Place:
    """Return the output position in the middle: farthest from all borders."""
    output = ConvGeometry.from_conv(conv).output_size(size)
    return tuple(pixels // 2 for pixels in output)


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


def changed(
    conv: Convolution,
    size: Sequence[int],
    candidates: Iterable[tuple[Place, Iterable[tuple[Place, ...]]]],
) -> tuple[Float[Tensor, "two in_channels ..."], Place]:
    """Return two inputs that differ in one pixel, or in the order of two.

    All other pixels are zero. The pixel holds the signs of its weights in one output
    channel, or of the difference of the weights of both pixels: of all candidates that
    moves an output most.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        candidates: Outputs, and for each the pixels that a family does not see there,
            or the pairs of pixels that it does not tell apart.

    Returns:
        The two inputs, and the output; zeros where the convolution does not see, or
        tell apart, any of them either.
    """
    most, inputs, chosen = 0.0, zeros(conv, size), (0,) * len(size)
    for query, groups in candidates:
        weights = output_weights(conv, size, query)
        for first, *second in groups:
            gap = at(weights, first) - sum(at(weights, place) for place in second)
            sums = gap.abs().sum(1)
            channel = int(sums.argmax())
            if float(sums[channel]) > most:
                most, chosen, signs = float(sums[channel]), query, gap[channel].sign()
                inputs.zero_()
                at(inputs[0], first).copy_(signs)
                for place in second:
                    at(inputs[0], place).copy_(-signs)
    inputs[1] -= inputs[0]
    return inputs, chosen


def _all_alike(query: Place, first: Place, second: Place) -> bool:
    return True


def exchanged(
    conv: Convolution,
    size: Sequence[int],
    *,
    kind: str,
    symmetry: str,
    make: Maker,
    scale: float = 1.0,
    alike: Callable[[Place, Place, Place], bool] = _all_alike,
    queries: Iterable[Place] = (),
) -> Witness:
    """Return the witness of a family that cannot tell pixels beside the query's apart.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        kind: The kind of witness.
        symmetry: Why the family treats the inputs alike.
        make: Makes a layer of the family, or a control.
        scale: Standard deviation of random parameters.
        alike: Whether the family treats two pixels alike, given the query's pixel and
            both of them; by default it does whenever neither is the query's.
        queries: The outputs to try, by default the one in the middle.

    Returns:
        The witness: one input, and the same with two pixels exchanged.
    """

    def pairs(query: Place) -> Iterable[tuple[Place, Place]]:
        pixel = pixel_of(conv, query)
        others = [place for place in places(size) if place != pixel]
        return (pair for pair in combinations(others, 2) if alike(pixel, *pair))

    tried = queries or [middle(conv, size)]
    inputs, query = changed(conv, size, ((query, pairs(query)) for query in tried))
    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind=kind,
        symmetry=symmetry,
        make=make,
        scale=scale,
        needs="pixels that the convolution weighs differently and the family does not",
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
    sums = output_weights(conv, size, query).sum(1).abs().amax(0)
    beside = [place for place in places(size) if place != pixel_of(conv, query)]
    if not beside:
        raise ArgumentError(
            "the witness needs a pixel beside the query's, got "
            f"{'×'.join(map(str, size))} pixels: enlarge the image"
        )
    return max(beside, key=lambda place: float(at(sums, place)))


def constant(
    conv: Convolution, size: Sequence[int]
) -> tuple[Float[Tensor, "two in_channels ..."], tuple[Place, Place]]:
    """Return a constant image, twice, and the two outputs that differ most on it.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.

    Returns:
        The inputs, of channels ±1, and the outputs: a corner and the middle, say, where
        the padding holds zeros and taps do not cancel.
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
