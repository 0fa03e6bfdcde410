"""Networks whose own code reads the attributes of their convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class PatchEmbedding(nn.Module):
    """Patches in the dtype of the weight, and a class token (CLIP, SigLIP, ViT)."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(width))
        self.patches = nn.Conv2d(channels, width, patch, stride=patch, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        dtype, device = self.patches.weight.dtype, self.patches.weight.device
        patches = self.patches(pixels.to(device, dtype)).flatten(2).mT
        token = self.class_token.to(dtype).expand(len(pixels), 1, -1)
        return torch.cat([token, patches], dim=1)


class AudioEncoder(nn.Module):
    """Frames, whose number follows from the strides (Whisper)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv1d(4, 4, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.randn(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        expected = len(self.positions) * self.conv1.stride[0] * self.conv2.stride[0]
        if x.shape[-1] != expected:
            raise ValueError(f"needs {expected} frames, got {x.shape[-1]}")
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return x.mT + self.positions


class StateSpaceMixer(nn.Module):
    """A causal depthwise convolution whose weight goes to a kernel (Mamba)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1d = nn.Conv1d(channels, channels, 4, groups=channels, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        plain = self.conv1d(x)[..., : x.shape[-1]]
        return functional.silu(plain) + causal_kernel(
            x, self.conv1d.weight.squeeze(1), self.conv1d.bias
        )

    def step(self, state: Tensor) -> Tensor:
        """Return the last output alone, for the last four inputs."""
        return (state * self.conv1d.weight.squeeze(1)).sum(-1) + self.conv1d.bias


def causal_kernel(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve causally, as a fused kernel would: weight is (channels, taps)."""
    padded = functional.pad(x, (weight.shape[1] - 1, 0))
    windows = padded.unfold(-1, weight.shape[1], 1)
    return torch.einsum("bclt,ct->bcl", windows, weight) + bias[:, None]


class PaddedLikeTensorflow(nn.Module):
    """Padding that follows from stride and kernel of the convolution (MobileNet)."""

    def __init__(self, channels: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, outputs, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        widths: list[int] = []
        for axis in (1, 0):
            stride = self.convolution.stride[axis]
            kernel = self.convolution.kernel_size[axis]
            over = x.shape[2 + axis] % stride or stride
            total = max(kernel - over, 0)
            widths += [total // 2, total - total // 2]
        return self.convolution(functional.pad(x, widths))


class LowRankAdapter(nn.Module):
    """A second branch of the geometry of the layer that it adapts (LoRA)."""

    def __init__(self, base_layer: nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        options = {
            "kernel_size": base_layer.kernel_size,
            "stride": base_layer.stride,
            "padding": base_layer.padding,
            "dilation": base_layer.dilation,
            "padding_mode": base_layer.padding_mode,
        }
        self.down = nn.Conv2d(base_layer.in_channels, rank, bias=False, **options)
        self.up = nn.Conv2d(rank, base_layer.out_channels, 1, bias=False)
        self.merged = False

    def delta(self) -> Tensor:
        up, down = self.up.weight.flatten(1), self.down.weight.flatten(1)
        return (up @ down).reshape(self.base_layer.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        base = self.base_layer
        if not self.merged:
            return base(x) + self.up(self.down(x))
        return functional.conv2d(
            x,
            base.weight + self.delta(),
            base.bias,
            base.stride,
            base.padding,
            base.dilation,
            base.groups,
        )


class WeightIfAny(nn.Module):
    """Takes another branch for a module without a weight (timm)."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = getattr(self.proj, "weight", None)
        x = self.proj(x)
        if weight is not None:
            x = x / weight.flatten(1).norm(dim=1)[:, None, None]
        return x if hasattr(self.proj, "stride") else x.flatten(1)


def adapted() -> nn.Module:
    """Return adapters, one beside its layer and one merged into it."""
    merged = LowRankAdapter(nn.Conv2d(4, 6, 3, padding="same", dilation=2), 2)
    merged.merged = True
    return nn.Sequential(LowRankAdapter(nn.Conv2d(3, 4, 3, 2, 1), 2), merged)


def vision_transformer() -> nn.Module:
    return nn.Sequential(PatchEmbedding(3, 8, 4), nn.Linear(8, 5))


def state_space() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 1), StateSpaceMixer(4))


def padded_like_tensorflow() -> nn.Module:
    return nn.Sequential(
        PaddedLikeTensorflow(3, 4, 3, 2), nn.ReLU6(), PaddedLikeTensorflow(4, 5, 5, 1)
    )
