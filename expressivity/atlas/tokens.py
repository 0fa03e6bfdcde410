"""Layers on tokens as layers on images: lay out, attend, read off at the queries."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry, Convolution
from expressivity.grid import Grid, tokens_at


class OnTokens(nn.Module):
    """A layer on the tokens of a canvas, as a layer on images.

    The image is laid on the canvas with its padding tokens, every token attends, and
    outputs are read off at the queries of a convolution.

    Attributes:
        layer: Maps (batch, tokens, channels) to (batch, tokens, out_channels).
        grid: Canvas and queries.
    """

    def __init__(self, layer: nn.Module, grid: Grid) -> None:
        """Wrap a layer.

        Args:
            layer: The layer on tokens.
            grid: Canvas and queries.
        """
        super().__init__()
        self.layer, self.grid = layer, grid

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Tensor:
        """Evaluate the layer on an image.

        Args:
            x: The input, of the size of the grid.

        Returns:
            (batch, out_channels, *queries).
        """
        tokens = self.grid.canvas(x).flatten(2).mT
        outputs = self.layer(tokens).mT.unflatten(2, self.grid.canvas_size)
        return tokens_at(self.grid.queries, outputs)


def padded_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution whose padding is tokens that hold zeros.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.

    Returns:
        Its grid.

    Raises:
        ArgumentError: If it pads otherwise.
    """
    require(conv.padding_mode == "zeros", conv, "zero padding")
    return Grid.of(ConvGeometry.from_conv(conv), tuple(size))


def positions_of(grid: Grid) -> Float[Tensor, "tokens axes"]:
    """Return where the tokens of a canvas are.

    Args:
        grid: The canvas.

    Returns:
        Positions in pixels, row-major, float64.
    """
    axes = [torch.arange(tokens, dtype=torch.float64) for tokens in grid.canvas_size]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))


def require(condition: bool, conv: Convolution, wanted: str) -> None:
    """Refuse a convolution that a family does not take.

    Args:
        condition: Whether it does.
        conv: The convolution.
        wanted: The condition that is not met, as a noun phrase.

    Raises:
        ArgumentError: If the condition is not met.
    """
    if not condition:
        raise ArgumentError(f"this family needs {wanted}, got {conv}")
