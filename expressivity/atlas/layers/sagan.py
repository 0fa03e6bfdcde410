"""SAGAN: attention by content, with keys and values of pooled blocks.

Symbols of Zhang et al. (2019) and their names, those of the authors' code:

===========  ==========  ========================================================
f, g         ``theta``,  1×1 convolutions that make queries and keys; the code
             ``phi``     pools keys
h, v         ``g``,      1×1 convolutions that make values and outputs; the code
             ``output``  pools values
γ            ``sigma``   gate, y = x + γ o
===========  ==========  ========================================================
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

BLOCK = 2  # pixels per axis that are pooled


class SelfAttentionBlock(nn.Module):
    """SAGAN's block: y = x + σ · W softmax(θ(x) pool(φ(x))ᵀ) pool(g(x)).

    The 1×1 convolutions have biases here, unlike the authors': biases only add to
    what the block can do.

    Attributes:
        theta: Makes queries.
        phi: Makes keys.
        g: Makes values.
        output: Maps what was attended to back to the channels.
        sigma: The gate.
        pool: Maximum of 2×2 pixels of keys and values, as in the authors' code, or
            nothing, as in their paper. The last block of an odd axis is smaller.
        readout: The identity, or a 1×1 convolution where the output has other
            channels than the input.
        bias: Added to the scores, (pixels, pixels), or ``None``: with it the block
            knows where a pixel is.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        *,
        pooled: bool = True,
        pixels: int | None = None,
    ) -> None:
        """Create a block with torch's random weights.

        Args:
            channels: Channels of the image.
            out_channels: Channels of the output, if other than those of the image.
            pooled: Whether keys and values are pooled.
            pixels: Number of pixels, for a score bias of every pair; needs keys and
                values that are not pooled.
        """
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta = nn.Conv2d(channels, narrow, 1)
        self.phi = nn.Conv2d(channels, narrow, 1)
        self.g = nn.Conv2d(channels, half, 1)
        self.output = nn.Conv2d(half, channels, 1)
        self.sigma = nn.Parameter(torch.zeros(()))
        self.pool = nn.MaxPool2d(BLOCK, ceil_mode=True) if pooled else nn.Identity()
        keeps = out_channels in (None, channels)
        self.readout = (
            nn.Identity() if keeps else nn.Conv2d(channels, out_channels or 1, 1)
        )
        pairs = None if pixels is None else torch.zeros(pixels, pixels)
        self.bias = None if pairs is None else nn.Parameter(pairs)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Attend from every pixel to all, and add the input."""
        query = self.theta(x).flatten(2).mT
        key, value = (self.pool(make(x)).flatten(2) for make in (self.phi, self.g))
        scores = query @ key
        if self.bias is not None:
            scores = scores + self.bias
        attended = (value @ scores.softmax(-1).mT).unflatten(2, x.shape[2:])
        output: Tensor = self.readout(x + self.sigma * self.output(attended))
        return output
