"""Networks with convolutions of their own class."""

from torch import Tensor, nn
from torch.nn import functional


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose weight is standardised on the way (BiT)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


def weight_standardised() -> nn.Module:
    return nn.Sequential(
        StandardizedConv2d(3, 6, 3, padding=1),
        nn.GroupNorm(2, 6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=1),
    )


class SameConv2d(nn.Conv2d):
    """Padding that depends on the size of the input, as TensorFlow's "same"."""

    def forward(self, x: Tensor) -> Tensor:
        widths: list[int] = []
        for size, kernel, stride, dilation in zip(
            reversed(x.shape[2:]),
            reversed(self.kernel_size),
            reversed(self.stride),
            reversed(self.dilation),
            strict=True,
        ):
            needed = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
            total = max(needed - size, 0)
            widths += [total // 2, total - total // 2]
        return functional.conv2d(
            functional.pad(x, widths),
            self.weight,
            self.bias,
            self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )


def tensorflow_same() -> nn.Module:
    return nn.Sequential(
        SameConv2d(3, 4, 3, stride=2),
        nn.SiLU(),
        SameConv2d(4, 4, 5, groups=4),
        nn.SiLU(),
        SameConv2d(4, 6, 1),  # pads nothing: a plain convolution after all
    )


class OrthogonalConv2d(nn.Conv2d):
    """Other initial values, nothing else."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.orthogonal_(self.weight)


class GuardedConv2d(nn.Conv2d):
    """A forward pass of its own that says the same (detection libraries)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() == 0:
            return x.new_zeros(x.shape)
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, groups=self.groups
        )


def harmless_subclasses() -> nn.Module:
    return nn.Sequential(
        OrthogonalConv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        GuardedConv2d(6, 4, 3, stride=2, groups=2),
    )
