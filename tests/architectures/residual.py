"""Residual networks: basic, bottleneck, in groups, and ResNet-50 itself."""

from torch import Tensor, nn

from tests.architectures.layers import conv_norm, head, stem


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (ResNet-18)."""

    def __init__(self, channels: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm(channels, outputs, 3, stride=stride)
        self.second = conv_norm(outputs, outputs, 3)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != outputs:
            self.shortcut = conv_norm(channels, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(self.first(x).relu())
        return (inner + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 around a shortcut (ResNet-50); in groups: ResNeXt."""

    def __init__(
        self, channels: int, width: int, outputs: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.reduce = conv_norm(channels, width, 1)
        self.spatial = conv_norm(width, width, 3, stride=stride, groups=groups)
        self.expand = conv_norm(width, outputs, 1)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != outputs:
            self.shortcut = conv_norm(channels, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.spatial(self.reduce(x).relu()).relu()
        return (self.expand(inner) + self.shortcut(x)).relu()


def residual_basic() -> nn.Module:
    return nn.Sequential(stem(8), BasicBlock(8, 8), BasicBlock(8, 12, 2), head(12, 5))


def residual_bottleneck() -> nn.Module:
    blocks = (Bottleneck(8, 4, 16), Bottleneck(16, 6, 24, stride=2))
    return nn.Sequential(stem(8), *blocks, head(24, 5))


def residual_grouped() -> nn.Module:
    blocks = (Bottleneck(8, 8, 16, groups=4), Bottleneck(16, 8, 16, 2, groups=8))
    return nn.Sequential(stem(8), *blocks, head(16, 5))


def resnet50() -> nn.Module:
    """Return a network with exactly the layer shapes of ResNet-50."""
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
