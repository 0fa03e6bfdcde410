"""Plain torch convolutions: what they are called, made of and computed by."""

from collections.abc import Sequence
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.geometry.convolution import Convolution

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# By the number of axes.
FUNCTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def build_convolution(
    weight: nn.Parameter,
    bias: nn.Parameter | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
    padding_mode: str,
) -> Convolution:
    """Return a plain torch convolution that holds the given parameters."""
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": padding_mode,
    }
    conv = CONVOLUTIONS[weight.dim() - 3](
        weight.shape[1] * groups,
        weight.shape[0],
        cast("Any", tuple(weight.shape[2:])),
        bias=bias is not None,
        device="meta",
        **options,
    )
    conv.weight, conv.bias = weight, bias
    return conv


def convolve(
    x: Float[Tensor, "batch channels *size"],
    kernel: Float[Tensor, "out_channels channels_of_group *taps"],
    bias: Float[Tensor, " out_channels"] | None = None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | int = 0,
    dilation: Sequence[int],
    groups: int,
) -> Float[Tensor, "batch out_channels *out_size"]:
    """Convolve over 1, 2 or 3 axes.

    Args:
        x: Input.
        kernel: Weight as torch stores it.
        bias: Added to every output.
        stride: Pixels between outputs, per axis.
        padding: Zeros on both sides, one number or one per axis.
        dilation: Pixels between taps, per axis.
        groups: Number of channel groups.

    Returns:
        The convolution (torch's cross-correlation).
    """
    function = FUNCTIONS[x.dim() - 2]
    result: Tensor = function(x, kernel, bias, stride, padding, dilation, groups)
    return result


def tap_matrices(
    weight: Float[Tensor, "out_channels channels_of_group *taps"],
) -> Float[Tensor, "taps out_channels channels_of_group"]:
    """Return the matrices W_Δ, one a tap, in the order of the centers: a view."""
    return weight.flatten(2).movedim(-1, 0)
