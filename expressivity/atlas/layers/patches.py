"""A Vision Transformer whose tokens are patches of P × P pixels."""

from jaxtyping import Float
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention


class PatchAttention(nn.Module):
    """Self-attention between the patches of an image.

    Attributes:
        to_patches: (batch, C_in, H, W) to (batch, P²C_in, H/P, W/P).
        attention: Multi-head attention with quadratic relative encoding, from P²C_in
            channels to P²C_out.
        to_pixels: The way back.
    """

    def __init__(self, attention: RelativeSelfAttention, patch: int) -> None:
        """Wrap attention on the grid of patches, P pixels wide."""
        super().__init__()
        self.to_patches = nn.PixelUnshuffle(patch)
        self.attention = attention
        self.to_pixels = nn.PixelShuffle(patch)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Attend from every patch to all."""
        pixels: Tensor = self.to_pixels(self.attention(self.to_patches(x)))
        return pixels
