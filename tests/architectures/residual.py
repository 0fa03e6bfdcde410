"""Residual networks: basic, bottleneck, in groups."""

from torch import Tensor, nn

from expressivity.bench.resnet import Bottleneck, conv_norm, head, stem


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


def residual_basic() -> nn.Module:
    return nn.Sequential(stem(8), BasicBlock(8, 8), BasicBlock(8, 12, 2), head(12, 5))


def residual_bottleneck() -> nn.Module:
    blocks = (Bottleneck(8, 4, 16), Bottleneck(16, 6, 24, stride=2))
    return nn.Sequential(stem(8), *blocks, head(24, 5))


def residual_grouped() -> nn.Module:
    blocks = (Bottleneck(8, 8, 16, groups=4), Bottleneck(16, 8, 16, 2, groups=8))
    return nn.Sequential(stem(8), *blocks, head(16, 5))
