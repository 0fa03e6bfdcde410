"""Over time: a stack of causal convolutions, and video."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalBlock(nn.Module):
    """Gated causal convolution with residual and skip outputs (WaveNet)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.reach = dilation
        self.gated = nn.Conv1d(channels, 2 * channels, 2, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        past = functional.pad(x, (self.reach, 0))
        value, gate = self.gated(past).chunk(2, dim=1)
        inner = value.tanh() * gate.sigmoid()
        return x + self.mix(inner), self.skip(inner)


class WaveNet(nn.Module):
    """A stack of causal blocks whose dilations double."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 4, 1)
        self.blocks = nn.ModuleList(CausalBlock(4, d) for d in (1, 2, 4, 8))
        self.last = nn.Conv1d(4, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, skipped = self.first(x), torch.zeros(())
        for block in self.blocks:
            x, skip = block(x)
            skipped = skipped + skip
        return self.last(skipped.relu())


def video() -> nn.Module:
    """Return space and time apart, then together (R(2+1)D, C3D)."""
    return nn.Sequential(
        nn.Conv3d(2, 4, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0)),
        nn.ReLU(),
        nn.Conv3d(4, 6, 3, padding="same", padding_mode="replicate"),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
    )
