"""RepMLP: what a fully connected layer takes in, and what it does not see.

On one partition that is the whole image the layer is any convolution, exactly. Across
partitions it knows nothing but means: exchanging two pixels of another partition goes
unseen, unless partitions are single pixels. Statements ``repmlp_matrix`` and
``receptive_field`` in ``proofs/``.
"""

import copy
import math
from typing import cast

import torch
from torch import nn

from expressivity.atlas.canvas import require
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import Place, exchanged
from expressivity.atlas.layers.repmlp import Normalised, RepMLP
from expressivity.atlas.taps import zeroed
from expressivity.atlas.witness import Witness
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution


def construct(
    conv: Convolution, size: Size, partition: tuple[int, int] | None = None
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
    )
    with torch.no_grad():
        zeroed(layer)
        branch.conv.weight.copy_(conv.weight)
        branch.norm.weight.fill_(math.sqrt(1 + branch.norm.eps))  # the identity
        if conv.bias is not None:
            branch.norm.bias.copy_(conv.bias)
    return layer.merged().to(conv.weight)


def refute(conv: Convolution, size: Size) -> Witness:
    """Exchange two pixels of a neighbouring partition.

    Args:
        conv: A convolution in two axes that keeps the size.
        size: Pixels per axis of the input.

    Returns:
        The witness, for partitions that halve the image, or cut it into more where it
        has no half; its control has one partition.
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

    def part(place: Place) -> Place:
        return tuple(p // cut for p, cut in zip(place, partition, strict=True))

    def make(restored: bool) -> nn.Module:
        channels, outputs = conv.in_channels, conv.out_channels
        local = Normalised(nn.Conv2d(channels, outputs, 3, padding=1, bias=False))
        return RepMLP(
            channels,
            outputs,
            (height, width),
            (height, width) if restored else partition,
            convolutions=[local],
        )

    return exchanged(
        conv,
        size,
        kind="receptive field",
        symmetry="Of other partitions an output sees the means only, and exchanging "
        "two pixels of one keeps its mean.",
        make=make,
        scale=0.2,
        alike=lambda pixel, first, second: part(first) == part(second) != part(pixel),
        queries=[query],
    )


def _two_axes(conv: Convolution, size: Size) -> tuple[int, int]:
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


FAMILIES = (
    Family(
        name="repmlp",
        title="RepMLP",
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
