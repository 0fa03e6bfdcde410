"""Convolutions that are not plain: subclasses, hooks, stale options, quantisation."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune


class ScaledConv2d(nn.Conv2d):
    """Takes more than an input, with a default that changes nothing."""

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return scale * super().forward(x)


class NoisyConv2d(nn.Conv2d):
    """Differs in training only."""

    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x)
        return output + torch.randn_like(output) if self.training else output


class ClippedConv2d(nn.Conv2d):
    """Differs for large values only."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(-6, 6)


class CausalConv1d(nn.Conv1d):
    """Pads on one side."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (self.kernel_size[0] - 1, 0)))


class ClampedConv2d(nn.Conv2d):
    """Differs only for large inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clamp(-100, 100))


class ResolutionConv2d(nn.Conv2d):
    """Differs only on large images."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x.shape[-1] >= 32 else 1)


class ForgivingConv2d(nn.Conv2d):
    """Differs only where the input is not finite."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.nan_to_num())


class DroppingConv2d(nn.Conv2d):
    """Differs in training, once in a while."""

    def forward(self, x: Tensor) -> Tensor:
        drop = self.training and torch.rand(()) < 1e-3
        return super().forward(x) * (0 if drop else 1)


class OffsetConv2d(nn.Conv2d):
    """Needs a second input (deformable convolution)."""

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        return super().forward(x + offset)


class FixedSizeConv2d(nn.Conv2d):
    """Takes one size of input only."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (7, 6), "made for 7×6 pixels"
        return super().forward(x)


class RoutedConv2d(nn.Conv2d):
    """Reads state that only its network sets."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * vars(self)["route"]


class ScaleConv2d(nn.Conv2d):
    """Has a parameter of its own."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.gain = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * super().forward(x)


class HandWrittenConv(nn.Module):
    """A convolution that torch does not know as one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight)


def conv() -> nn.Module:
    return nn.Conv2d(3, 4, 3)


def with_forward_replaced() -> nn.Module:
    module = conv()
    module.forward = lambda x: 2 * functional.conv2d(x, module.weight, module.bias)
    return module


def with_output_doubled() -> nn.Module:
    module = conv()
    module.register_forward_hook(lambda module, args, output: 2 * output)
    return module


def with_backward_hook() -> nn.Module:
    module = conv()
    module.register_full_backward_hook(lambda *_: None)
    return module


def with_nan() -> nn.Module:
    module = conv()
    with torch.no_grad():
        module.weight[0, 0, 0, 0] = torch.nan
    return module


def with_infinite_bias() -> nn.Module:
    module = conv()
    with torch.no_grad():
        module.bias[1] = torch.inf
    return module


def with_channels_summed() -> nn.Module:
    """Return a colour convolution made grey by replacing its weight alone."""
    module = conv()
    module.weight = nn.Parameter(module.weight.detach().sum(1, keepdim=True))
    return module


def with_kernel_grown() -> nn.Module:
    module = conv()
    module.weight = nn.Parameter(functional.pad(module.weight.detach(), [1] * 4))
    return module


def with_stale_padding() -> nn.Module:
    """Return one whose torch pads by what it was made with, not by ``padding``."""
    module = nn.Conv2d(3, 4, 3, padding=2, padding_mode="circular")
    module.padding = (1, 1)
    return module


def pruned() -> nn.Module:
    module = prune.l1_unstructured(conv(), "weight", amount=0.5)
    module(torch.zeros(1, 3, 7, 6))
    return module


def quietly(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return a builder that ignores what torch says about its own old parts."""

    def build_quietly() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build()

    return build_quietly


def quantized() -> nn.Module:
    return pytest.importorskip("torch.ao.nn.quantized").Conv2d(3, 4, 3)


def quantization_aware() -> nn.Module:
    qat = pytest.importorskip("torch.ao.nn.qat")
    config = pytest.importorskip("torch.ao.quantization").get_default_qat_qconfig()
    return qat.Conv2d(3, 4, 3, qconfig=config)
