"""Groups of layers that many networks start, end or are made with."""

from torch import nn


def conv_norm(
    channels: int, outputs: int, kernel: int | tuple[int, int], **options: object
) -> nn.Sequential:
    """Return an unbiased convolution that keeps the size, and its normalisation."""
    if isinstance(kernel, int):
        kernel = (kernel, kernel)
    dilation = options.get("dilation", 1)
    padding = tuple(dilation * (k // 2) for k in kernel)
    conv = nn.Conv2d(channels, outputs, kernel, padding=padding, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def stem(outputs: int) -> nn.Sequential:
    """Return the 7×7 stride-2 stem with its max pooling."""
    convolution = conv_norm(3, outputs, 7, stride=2)
    return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))


def head(channels: int, classes: int) -> nn.Sequential:
    """Return the average over all pixels and a linear classifier."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )
