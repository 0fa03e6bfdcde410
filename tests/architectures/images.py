"""From image to image: segmentation, detection, generation."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.bench.resnet import conv_norm


class AtrousPyramid(nn.Module):
    """Dilated convolutions beside the average of the image (DeepLab)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.rates = nn.ModuleList(
            conv_norm(channels, width, 3, dilation=rate) for rate in (1, 2, 4)
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 2, 1))
        self.project = nn.Conv2d(3 * width + 2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        average = functional.interpolate(self.image(x), size, mode="bilinear")
        seen = [rate(x).relu() for rate in self.rates]
        return self.project(torch.cat([*seen, average], dim=1))


def deeplab() -> nn.Module:
    upsample = nn.Upsample(scale_factor=2, mode="bilinear")
    return nn.Sequential(conv_norm(3, 6, 3, stride=2), AtrousPyramid(6, 5), upsample)


class SharedOverScales(nn.Module):
    """One head on every level of a pyramid, and one convolution used thrice."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 3, padding=1)
        self.same_head = self.head

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for _ in range(3):
            x = self.recurrent(x).tanh()
            levels.append(self.head(x) + self.same_head(x.flip(-1)))
            x = functional.avg_pool2d(x, 2)
        return levels


class UNet(nn.Module):
    """Down, up by a transposed convolution, and across."""

    def __init__(self) -> None:
        super().__init__()
        self.across = nn.Conv2d(1, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        level = self.across(x).relu()
        raised = self.up(self.down(level).relu())
        return self.out(torch.cat([level, raised], dim=1))


def generator() -> nn.Module:
    """Return every padding mode, instance normalisation and a pixel shuffle."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, padding=3, padding_mode="reflect"),
        nn.InstanceNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, padding_mode="circular"),
        nn.SiLU(),
        nn.Conv2d(4, 8, (2, 4), padding="same"),
        nn.PixelShuffle(2),
        nn.Conv2d(2, 3, 5, padding=2, padding_mode="replicate"),
        nn.Tanh(),
    )
