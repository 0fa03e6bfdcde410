"""Other classifiers: ConvNeXt, MobileNet, Inception."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.bench.resnet import conv_norm, head


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of an image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvNeXtLayerNorm(ChannelNorm):
    """The same under the name of the network: it is no convolution."""


class ConvNeXtResponseNorm(nn.Module):
    """Global response normalisation, whose scale has the axes of an image (V2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1, 1, channels), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(dim=(1, 2), keepdim=True)
        return x + self.weight * (x * size / (size.mean(-1, keepdim=True) + 1e-6))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7, normalisation, two linear layers, layer scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 4 * channels)
        self.response = ConvNeXtResponseNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(x).movedim(1, -1))
        inner = self.response(functional.gelu(self.expand(inner)))
        inner = self.scale * self.reduce(inner)
        return x + inner.movedim(-1, 1)


def convnext() -> nn.Module:
    """Return a 4×4 patch stem, depthwise 7×7 blocks and a 2×2 stride-2 step."""
    patches = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), ConvNeXtLayerNorm(6))
    step = nn.Sequential(ConvNeXtLayerNorm(6), nn.Conv2d(6, 10, 2, stride=2))
    return nn.Sequential(
        patches, ConvNeXtBlock(6), step, ConvNeXtBlock(10), head(10, 5)
    )


class SqueezeExcitation(nn.Module):
    """Rescale channels by what two 1×1 convolutions say about their averages."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        average = functional.adaptive_avg_pool2d(x, 1)
        return x * functional.hardsigmoid(self.excite(self.squeeze(average).relu()))


class InvertedResidual(nn.Module):
    """Expand, depthwise 5×5, squeeze and excite, reduce (MobileNetV3)."""

    def __init__(self, channels: int, expanded: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == outputs
        depthwise = conv_norm(expanded, expanded, 5, stride=stride, groups=expanded)
        self.layers = nn.Sequential(
            conv_norm(channels, expanded, 1),
            nn.Hardswish(),
            depthwise,
            nn.Hardswish(),
            SqueezeExcitation(expanded, 3),
            conv_norm(expanded, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet() -> nn.Module:
    first = nn.Sequential(conv_norm(3, 6, 3, stride=2), nn.Hardswish())
    blocks = (InvertedResidual(6, 12, 6, 1), InvertedResidual(6, 14, 8, 2))
    return nn.Sequential(first, *blocks, head(8, 5))


class InceptionBlock(nn.Module):
    """Factorised 7×7 convolutions beside a pooled branch, concatenated."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.factorised = nn.Sequential(
            conv_norm(channels, width, 1),
            nn.ReLU(),
            conv_norm(width, width, (1, 7)),
            nn.ReLU(),
            conv_norm(width, width, (7, 1)),
        )
        self.pooled = nn.Sequential(
            nn.AvgPool2d(3, 1, padding=1), conv_norm(channels, width, 1)
        )
        self.asymmetric = conv_norm(channels, width, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.factorised(x), self.pooled(x), self.asymmetric(x))
        return torch.cat(branches, dim=1).relu()


def inception() -> nn.Module:
    return nn.Sequential(InceptionBlock(3, 4), InceptionBlock(12, 3), head(9, 5))
