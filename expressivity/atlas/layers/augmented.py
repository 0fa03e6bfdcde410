"""The layers of an attention-augmented convolution.

Symbols of Bello et al. (2019) and their names:

=================  ====================================  =========================
N_h                ``heads``
d_k^h, d_v^h       ``key_dim``, ``value_dim``            of one head
d_v = N_h d_v^h    output channels of the attention
r^H, r^W           ``relative_height``,                  (2H − 1, d_k^h) and
                   ``relative_width``                    (2W − 1, d_k^h), the same
                                                         for all heads
l                  scores                                q·(k + r^W + r^H) / √d_k^h
W^O                ``output``                            (d_v, d_v)
κ, υ               d_k / F_out, d_v / F_out
=================  ====================================  =========================
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid, tokens_at


class AugmentingAttention(nn.Module):
    """The attention branch: two-dimensional relative self-attention.

    Attributes:
        query: 1×1 convolution, with or without a bias.
        key: 1×1 convolution.
        value: 1×1 convolution.
        output: W^O, a 1×1 convolution on the channels of all heads.
        relative_height: r^H, by displacement from −(H − 1) to H − 1.
        relative_width: r^W.
    """

    def __init__(
        self,
        channels: int,
        *,
        size: tuple[int, ...],
        heads: int,
        key_dim: int,
        value_dim: int,
        query_bias: bool = True,
    ) -> None:
        """Create a branch with torch's random weights and zero encodings.

        Args:
            channels: Channels of the image.
            size: Its height and width in pixels.
            heads: Number of heads.
            key_dim: Dimension of a query and key of one head.
            value_dim: Dimension of a value of one head.
            query_bias: Whether queries have a bias; keys, values and outputs have.
        """
        super().__init__()
        self.heads, width = heads, heads * value_dim
        self.query = nn.Conv2d(channels, heads * key_dim, 1, bias=query_bias)
        self.key = nn.Conv2d(channels, heads * key_dim, 1)
        self.value = nn.Conv2d(channels, width, 1)
        self.output = nn.Conv2d(width, width, 1)
        self.relative_height, self.relative_width = (
            nn.Parameter(torch.zeros(2 * pixels - 1, key_dim)) for pixels in size
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Attend from every pixel to all."""
        query, key, value = (
            make(x).flatten(2).unflatten(1, (self.heads, -1)).mT
            for make in (self.query, self.key, self.value)
        )
        query = query / math.sqrt(query.shape[-1])
        scores = query @ key.mT + self._relative_scores(query, x.shape[2:])
        attended = (scores.softmax(-1) @ value).mT.flatten(1, 2)
        output: Tensor = self.output(attended.unflatten(2, x.shape[2:]))
        return output

    def _relative_scores(self, query: Tensor, size: torch.Size) -> Tensor:
        """Return q·(r^H + r^W) of every query and key, rows of pixels flattened."""
        places = [torch.arange(pixels, device=query.device) for pixels in size]
        queries = torch.cartesian_prod(*places).unbind(-1)
        by_row, by_column = (
            torch.take_along_dim(
                query @ table.mT, (keys - own[:, None] + len(keys) - 1)[None, None], -1
            )
            for table, keys, own in zip(
                (self.relative_height, self.relative_width),
                places,
                queries,
                strict=True,
            )
        )
        return (by_row[..., :, None] + by_column[..., None, :]).flatten(-2)


class AugmentedConvolution(nn.Module):
    """The whole layer: concat[convolution, attention].

    Attributes:
        conv: The convolution, F_out − d_v channels.
        attention: The branch, d_v channels, read off where the outputs of the
            convolution stand.
        queries: Those pixels, one range an axis.
    """

    def __init__(
        self, conv: Convolution, attention: AugmentingAttention, grid: Grid
    ) -> None:
        """Put two layers side by side; the grid is that of the convolution."""
        super().__init__()
        self.conv, self.attention = conv, attention
        self.queries = tuple(
            range(query.start - before, query.stop - before, query.step)
            for query, (before, _) in zip(
                grid.queries, grid.geometry.padding, strict=True
            )
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """Evaluate both on the same input."""
        attended = tokens_at(self.queries, self.attention(x))
        return torch.cat([self.conv(x), attended], 1)


class FirstChannels(nn.Module):
    """The first channels of a layer's output.

    Attributes:
        layer: The layer.
        channels: How many of its channels are read.
    """

    def __init__(self, layer: nn.Module, channels: int) -> None:
        """Wrap a layer."""
        super().__init__()
        self.layer, self.channels = layer, channels

    def forward(
        self, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Evaluate the layer and drop all channels but the first."""
        output: Tensor = self.layer(x)
        return output[:, : self.channels]
