"""A network with the layer shapes of ResNet-50, and its parts."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def conv_norm(
    channels: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Return an unbiased convolution that keeps the size, and its normalisation.

    Args:
        channels: Channels of the input.
        outputs: Channels of the output.
        kernel: Taps per axis.
        stride: As for ``nn.Conv2d``, of both axes.
        dilation: As for ``nn.Conv2d``, of both axes.
        groups: As for ``nn.Conv2d``.

    Returns:
        The convolution and a batch normalisation.
    """
    if isinstance(kernel, int):
        kernel = (kernel, kernel)
    conv = nn.Conv2d(
        channels,
        outputs,
        kernel,
        stride=stride,
        padding=(dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)),
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def stem(outputs: int) -> nn.Sequential:
    """Return the 7×7 stride-2 stem with its max pooling.

    Args:
        outputs: Channels of the output.

    Returns:
        The first layers of the network.
    """
    convolution = conv_norm(3, outputs, 7, stride=2)
    return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))


def head(channels: int, classes: int) -> nn.Sequential:
    """Return the average over all pixels and a linear classifier.

    Args:
        channels: Channels of the input.
        classes: Number of classes.

    Returns:
        The last layers of the network.
    """
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 around a shortcut (ResNet-50); in groups: ResNeXt."""

    def __init__(
        self, channels: int, width: int, outputs: int, stride: int = 1, groups: int = 1
    ) -> None:
        """Create the block.

        Args:
            channels: Channels of the input.
            width: Channels of the 3×3 convolution.
            outputs: Channels of the output.
            stride: Of the 3×3 convolution.
            groups: Of the 3×3 convolution.
        """
        super().__init__()
        self.reduce = conv_norm(channels, width, 1)
        self.spatial = conv_norm(width, width, 3, stride=stride, groups=groups)
        self.expand = conv_norm(width, outputs, 1)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != outputs:
            self.shortcut = conv_norm(channels, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches."""
        inner = self.spatial(self.reduce(x).relu()).relu()
        total: Tensor = self.expand(inner) + self.shortcut(x)
        return total.relu()


def resnet50() -> nn.Sequential:
    """Return a network with exactly the layer shapes of ResNet-50.

    Returns:
        The network, with random weights: 53 convolutions, 1000 classes.
    """
    layers: list[nn.Module] = [stem(64)]
    channels = 64
    for width, blocks, first_stride in [
        (64, 3, 1),
        (128, 4, 2),
        (256, 6, 2),
        (512, 3, 2),
    ]:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            layers.append(Bottleneck(channels, width, 4 * width, stride))
            channels = 4 * width
    return nn.Sequential(*layers, head(channels, 1000))


@dataclass(frozen=True)
class LayerShape:
    """A convolution over two axes, and the size of its input.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps per axis.
        stride: Of both axes.
        size: Pixels of the input, of both axes.
        groups: Number of channel groups.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    size: int
    groups: int = 1

    def __str__(self) -> str:
        text = (
            f"{self.kernel_size}×{self.kernel_size}, {self.in_channels} → "
            f"{self.out_channels} at {self.size}²"
        )
        text += f", stride {self.stride}" * (self.stride > 1)
        return text + f", {self.groups} groups" * (self.groups > 1)

    def conv(self, device: torch.device, dtype: torch.dtype) -> nn.Conv2d:
        """Return the convolution, padded so that stride 1 would keep the size.

        Args:
            device: Device of the weights.
            dtype: Dtype of the weights.

        Returns:
            A convolution with random weights and a bias.
        """
        return nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            stride=self.stride,
            padding=self.kernel_size // 2,
            groups=self.groups,
            device=device,
            dtype=dtype,
        )


def layer_shapes(size: int = 224) -> Counter[LayerShape]:
    """Return the distinct convolutions of ResNet-50, and how often each occurs.

    Args:
        size: Pixels of the image, of both axes.

    Returns:
        53 layers in the order of the network.
    """
    with torch.device("meta"):
        network, image = resnet50().eval(), torch.empty(1, 3, size, size, device="meta")
    shapes: Counter[LayerShape] = Counter()

    def count(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(conv, nn.Conv2d):
            shape = LayerShape(
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size[0],
                conv.stride[0],
                inputs[0].shape[-1],
            )
            shapes[shape] += 1

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(count)
    network(image)
    return shapes
