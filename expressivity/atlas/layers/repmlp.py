"""RepMLP: a fully connected layer on partitions of the image, and convolutions inside.

Ding et al. (2021). The image is cut into partitions of h × w pixels.

===================  ==================  ===========================================
Global Perceptron    ``global_mlp``      means of all partitions, FC1, ReLU, FC2; added
                                         to all pixels of a partition
Partition Perceptron ``fc3``             FC3 on the C h w numbers of a partition, with
                                         groups, and batch normalisation
Local Perceptron     ``convolutions``    convolutions of the partition, each with batch
                                         normalisation, added to FC3
===================  ==================  ===========================================

A convolution is linear, so FC3 takes it in: its kernel is the convolution of the
identity, reshaped (:meth:`RepMLP.merged`).
"""

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Normalised(nn.Module):
    """A convolution and its batch normalisation.

    Attributes:
        conv: The convolution, without bias.
        norm: The normalisation.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        """Normalise a convolution."""
        super().__init__()
        self.conv, self.norm = conv, nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Evaluate both."""
        output: Tensor = self.norm(self.conv(x))
        return output

    def fused(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the convolution that both are in evaluation."""
        conv, norm = self.conv, self.norm
        scale = norm.weight / (cast("Tensor", norm.running_var) + norm.eps).sqrt()
        shift = norm.bias - cast("Tensor", norm.running_mean) * scale
        return conv.weight * scale[:, None, None, None], shift


class RepMLP(nn.Module):
    """The layer on images of one size, in two axes.

    Attributes:
        global_mlp: FC2(ReLU(FC1(BN(means)))), or ``None`` with one partition.
        fc3: FC3, a convolution of one pixel, with its BN, until merged.
        convolutions: The Local Perceptron; empty once merged.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int],
        partition: tuple[int, int],
        *,
        groups: int = 1,
        convolutions: Sequence[Normalised] = (),
        out_partition: tuple[int, int] | None = None,
    ) -> None:
        """Create a layer with torch's random weights, ready for evaluation.

        Args:
            in_channels: Channels C of the input.
            out_channels: Channels O of the output.
            size: Pixels per axis of the image.
            partition: Pixels per axis of a partition; they divide the image's.
            groups: Groups of FC3.
            convolutions: The Local Perceptron, each from partition to output.
            out_partition: Outputs per axis of a partition, by default its pixels.
        """
        super().__init__()
        self.partition, self.out_partition = partition, out_partition or partition
        self.parts = tuple(s // p for s, p in zip(size, partition, strict=True))
        self.out_channels = out_channels
        self.global_mlp: nn.Sequential | None = None
        if self.parts != (1, 1):
            means = in_channels * math.prod(self.parts)
            self.global_mlp = nn.Sequential(
                nn.AvgPool2d(partition),
                nn.BatchNorm2d(in_channels),
                nn.Flatten(),
                nn.Linear(means, means),
                nn.ReLU(),
                nn.Linear(means, means),
            )
        inputs = in_channels * math.prod(partition)
        outputs = out_channels * math.prod(self.out_partition)
        fc3 = nn.Conv2d(inputs, outputs, 1, groups=groups, bias=False)
        self.fc3: Normalised | nn.Conv2d = Normalised(fc3)
        self.convolutions = nn.ModuleList(convolutions)
        self.eval()

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """Evaluate the layer."""
        rows, columns = self.parts
        cut = x.unflatten(3, (columns, -1)).unflatten(2, (rows, -1))
        if self.global_mlp is not None:
            added = self.global_mlp(x).unflatten(1, (-1, rows, 1, columns, 1))
            cut = cut + added
        partitions = cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        flat = partitions.flatten(1)[:, :, None, None]
        shape = (-1, self.out_channels, *self.out_partition)
        output = self.fc3(flat).reshape(shape)
        for convolution in self.convolutions:
            output = output + convolution(partitions)
        grid = output.unflatten(0, (-1, rows, columns))
        placed: Tensor = grid.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        return placed

    @torch.no_grad()
    def merged(self) -> "RepMLP":
        """Return the same layer with convolutions and normalisers as a part of FC3."""
        if not isinstance(self.fc3, Normalised):
            return self
        layer = copy.deepcopy(self).eval()
        old = self.fc3.conv
        (weight, bias), groups = self.fc3.fused(), old.groups
        for branch in self.convolutions:
            kernel, constant = _as_fully_connected(branch, self.partition, groups)
            weight, bias = weight + kernel, bias + constant
        layer.fc3 = nn.Conv2d(old.in_channels, old.out_channels, 1, groups=groups)
        layer.fc3.weight, layer.fc3.bias = nn.Parameter(weight), nn.Parameter(bias)
        layer.convolutions = nn.ModuleList()
        return layer


def _as_fully_connected(
    branch: nn.Module, partition: tuple[int, int], groups: int
) -> tuple[Float[Tensor, "outputs inputs 1 1"], Float[Tensor, " outputs"]]:
    """Return conv(identity) and the bias of every output; groups share the identity."""
    conv = cast("Normalised", branch).conv
    weight, bias = cast("Normalised", branch).fused()
    inputs = conv.in_channels // groups * math.prod(partition)
    eye = torch.eye(inputs, dtype=weight.dtype, device=weight.device)
    images = eye.reshape(inputs, -1, *partition).repeat(1, groups, 1, 1)
    responses = torch.func.functional_call(conv, {"weight": weight}, (images,))
    outputs = math.prod(responses.shape[2:])
    kernel = responses.flatten(1).mT[:, :, None, None]
    return kernel, bias.repeat_interleave(outputs)
