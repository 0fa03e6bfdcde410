"""Stand-alone self-attention: over a small window around every pixel.

Symbols of Ramachandran et al. (2019) and their names; no 1/√d in its scores:

===================  ==================  =========================================
N_k(i, j)            ``window``          k×k pixels around the query, zeros beyond
                                         the border
q, k, v              ``query``, ``key``, 1×1 convolutions, without biases there
                     ``value``
r_{a−i}, r_{b−j}     ``row``, ``column`` by offset, half of a key's dimensions each
y = Σ softmax(q·k    output              channels of all heads side by side, no
+ q·[row; column])v                      output projection
===================  ==================  =========================================

Here all heads share the encodings of the offsets and see all channels of the input;
each head of the paper sees a part of them. Keys and values have biases, which only add
to what the layer can do.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class StandAloneAttention(nn.Module):
    """Multi-head attention over a window around every pixel.

    Attributes:
        query: 1×1 convolution, with or without a bias.
        key: 1×1 convolution.
        value: 1×1 convolution.
        row: Encodings of the offsets along the height, (window, key_dim / 2).
        column: Encodings of the offsets along the width.
        output: 1×1 convolution, or the identity.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        window: tuple[int, ...],
        heads: int,
        key_dim: int,
        value_dim: int | None = None,
        query_bias: bool = False,
    ) -> None:
        """Create a layer with torch's random weights and zero encodings.

        Args:
            channels: Channels of the image.
            out_channels: Channels of the output.
            window: Pixels that are attended to along each axis, odd.
            heads: Number of heads.
            key_dim: Dimension of a query and key of one head, even.
            value_dim: Dimension of a value of one head, with an output projection; by
                default the output channels are split among the heads.
            query_bias: Whether queries have a bias.
        """
        super().__init__()
        self.heads, self.window = heads, window
        width = out_channels if value_dim is None else heads * value_dim
        self.query = nn.Conv2d(channels, heads * key_dim, 1, bias=query_bias)
        self.key = nn.Conv2d(channels, heads * key_dim, 1)
        self.value = nn.Conv2d(channels, width, 1)
        self.row, self.column = (
            nn.Parameter(torch.zeros(pixels, key_dim // 2)) for pixels in window
        )
        self.output = (
            nn.Identity() if value_dim is None else nn.Conv2d(width, out_channels, 1)
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Attend from every pixel to its window."""
        height, width = self.window
        wide = functional.pad(x, [width // 2] * 2 + [height // 2] * 2)
        query = self.query(x).flatten(2).unflatten(1, (self.heads, -1))
        key, value = (
            functional.unfold(make(wide), self.window).unflatten(
                1, (self.heads, -1, height * width)
            )
            for make in (self.key, self.value)
        )
        scores = torch.einsum("bhdq,bhdkq->bhkq", query, key + self._encoding())
        attended = torch.einsum("bhkq,bhdkq->bhdq", scores.softmax(2), value)
        output: Tensor = self.output(attended.flatten(1, 2).unflatten(2, x.shape[2:]))
        return output

    def _encoding(self) -> Tensor:
        """Return [row; column] of every offset, (key_dim, offsets, 1)."""
        height, width = self.window
        rows = self.row.repeat_interleave(width, 0)
        return torch.cat([rows, self.column.repeat(height, 1)], 1).mT[..., None]
