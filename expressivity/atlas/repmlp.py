"""RepMLP: what a fully connected layer takes in, and what it does not see.

Ding et al. (2021); the layer is in :mod:`expressivity.atlas.partitions`. On one
partition that is the whole image it is any convolution, exactly. Across partitions it
knows nothing but means: exchanging two pixels of another partition goes unseen, unless
partitions are single pixels.
"""

import copy
import math
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import TOLD_APART, Place, others, pixel_of, swapped
from expressivity.atlas.partitions import Normalised, RepMLP
from expressivity.atlas.tokens import require
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

# Of random layers: small ones are easier to optimise.
_SCALE = 0.2


def construct(
    conv: Convolution,
    size: tuple[int, ...],
    partition: tuple[int, int] | None = None,
) -> nn.Module:
    """Return FC3 with a convolution in it.

    Args:
        conv: Any convolution in two axes.
        size: Pixels per axis of the input.
        partition: Pixels per axis of a partition, by default the image. With smaller
            ones every partition is convolved by itself, with its own padding.

    Returns:
        The layer, merged.

    Raises:
        ArgumentError: If the convolution has not two axes, or partitions do not tile
            the image.
    """
    height, width = _two_axes(conv, size)
    rows, columns = partition or (height, width)
    require(
        height % rows == 0 and width % columns == 0,
        conv,
        f"partitions that tile {height}×{width} pixels, not {rows}×{columns}",
    )
    out_rows, out_columns = ConvGeometry.from_conv(conv).output_size((rows, columns))
    branch = Normalised(cast("nn.Conv2d", copy.deepcopy(conv).cpu()))
    branch.conv.bias = None
    layer = RepMLP(
        conv.in_channels,
        conv.out_channels,
        (height, width),
        (rows, columns),
        groups=conv.groups,
        convolutions=[branch],
        out_partition=(out_rows, out_columns),
    ).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        branch.conv.weight.copy_(conv.weight)
        branch.norm.weight.fill_(math.sqrt(1 + branch.norm.eps))  # passes what comes
        if conv.bias is not None:
            branch.norm.bias.copy_(conv.bias)
    return layer.merged().to(conv.weight)


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange two pixels of a neighbouring partition.

    Args:
        conv: A convolution in two axes that keeps the size.
        size: Pixels per axis of the input.

    Returns:
        The witness, for partitions that halve the image, or cut it into more where it
        has no half.

    Raises:
        ArgumentError: If the convolution has not two axes or does not keep the size;
            if no cut has partitions of at least two pixels that the convolution weighs
            differently.
    """
    height, width = _two_axes(conv, size)
    geometry = ConvGeometry.from_conv(conv)
    keeps = geometry.output_size(size) == size and set(geometry.stride) == {1}
    require(keeps, conv, "a convolution that keeps the size")
    partition, axis = _cut(conv, (height, width))
    query = tuple(
        partition[axis] - 1 if a == axis else pixels // 2
        for a, pixels in enumerate((height, width))
    )
    pixel = pixel_of(conv, query)

    def part(place: Place) -> Place:
        return tuple(p // cut for p, cut in zip(place, partition, strict=True))

    pairs = (
        (first, second)
        for first, second in others(size, pixel)
        if part(first) == part(second) != part(pixel)
    )
    return Witness.of(
        conv,
        swapped(conv, size, query, pairs),
        (query, query),
        kind="receptive field",
        symmetry="Of other partitions an output sees the means only, and exchanging "
        "two pixels of one keeps its mean.",
        layer=_random(conv, (height, width), partition),
        control=_random(conv, (height, width), (height, width)),
        needs=TOLD_APART,
    )


def _two_axes(conv: Convolution, size: tuple[int, ...]) -> tuple[int, int]:
    require(len(size) == 2, conv, "a convolution in two axes")
    height, width = size
    return height, width


def _cut(conv: Convolution, size: tuple[int, int]) -> tuple[tuple[int, int], int]:
    """Return the largest partition that a kernel reaches beyond, and the axis."""
    cuts = [
        (part, axis)
        for axis, extent in enumerate(ConvGeometry.from_conv(conv).extent)
        for part in range(1, size[axis])
        if extent > 1 and size[axis] % part == 0 and part * size[1 - axis] > 1
    ]
    require(
        bool(cuts),
        conv,
        "an image that can be cut across an axis of the kernel, into "
        "partitions of two pixels or more,",
    )
    part, axis = max(cuts, key=lambda cut: cut[0] * size[1 - cut[1]])
    return ((part, size[1]) if axis == 0 else (size[0], part)), axis


def _random(
    conv: Convolution, size: tuple[int, int], partition: tuple[int, int]
) -> Callable[[int], nn.Module]:
    """Return what makes random layers with a convolution of three by three pixels."""
    channels, outputs = conv.in_channels, conv.out_channels

    def layer(seed: int) -> nn.Module:
        local = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
        made = RepMLP(
            channels, outputs, size, partition, convolutions=[Normalised(local)]
        )
        return randomised(made, seed, _SCALE)

    return layer


FAMILIES = (
    Family(
        name="repmlp",
        title="RepMLP",
        verdict="conditional",
        claim=Claim(
            "Its fully connected layer takes in every convolution of a partition, "
            "exactly; across partitions it computes none that weighs two pixels of "
            "another partition differently.",
            ("one partition that is the whole image", "two axes"),
            "Ding et al. (2021)",
        ),
        strength=None,
        constructor=construct,
        refuter=refute,
    ),
)
