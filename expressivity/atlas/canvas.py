"""The canvas that a layer of the atlas stands on, and the convolutions it takes."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid, tokens_at


class OnCanvas(nn.Module):
    """A layer on the canvas of a convolution, read off at the queries.

    Attributes:
        layer: Maps (batch, channels, *canvas_size) to (batch, out_channels,
            *canvas_size).
        grid: Canvas and queries.
    """

    def __init__(self, layer: nn.Module, grid: Grid) -> None:
        """Wrap a layer.

        Args:
            layer: The layer.
            grid: Canvas and queries.
        """
        super().__init__()
        self.layer, self.grid = layer, grid

    def forward(
        self, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Lay an image on the canvas, padding tokens around it, and evaluate."""
        return tokens_at(self.grid.queries, self._outputs(self.grid.canvas(x)))

    def _outputs(self, canvas: Tensor) -> Tensor:
        outputs: Tensor = self.layer(canvas)
        return outputs


class OnTokens(OnCanvas):
    """The same for a layer that maps (batch, tokens, channels) to its outputs."""

    def _outputs(self, canvas: Tensor) -> Tensor:
        outputs: Tensor = self.layer(canvas.flatten(2).mT).mT
        images: Tensor = outputs.unflatten(2, canvas.shape[2:])
        return images


def padded_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution whose padding tokens hold zeros."""
    require(conv.padding_mode == "zeros", conv, "zero padding")
    return Grid.of(ConvGeometry.from_conv(conv), tuple(size))


def token_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution whose padding is tokens, whatever they hold."""
    require(conv.padding_mode != "replicate", conv, "zero, reflect or circular padding")
    return Grid.of(ConvGeometry.from_conv(conv), tuple(size))


def bare_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution on the image alone: no padding tokens.

    Args:
        conv: The convolution; whatever it pads with, heads must make up for it.
        size: Pixels per axis of the input.

    Returns:
        A grid whose canvas is the image.
    """
    geometry = replace(ConvGeometry.from_conv(conv), padding_mode="replicate")
    grid = Grid.of(geometry, tuple(size))
    inside = all(
        query[0] >= 0 and query[-1] < pixels
        for query, pixels in zip(grid.queries, size, strict=True)
    )
    require(inside, conv, "outputs that stand on pixels: padding up to half the kernel")
    return grid


def token_positions(size: Sequence[int]) -> Float[Tensor, "tokens axes"]:
    """Return where the tokens of a canvas are, in pixels, row-major, float64."""
    axes = [torch.arange(tokens, dtype=torch.float64, device="cpu") for tokens in size]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))


def displacements(size: Sequence[int]) -> Float[Tensor, "queries keys axes"]:
    """Return δ = k − q for every query and key of a canvas, in pixels, float64."""
    tokens = token_positions(size)
    return tokens - tokens[:, None]


def require(condition: bool, conv: Convolution, requirement: str) -> None:
    """Refuse a convolution that a family does not take.

    Args:
        condition: Whether it does.
        conv: The convolution.
        requirement: The condition, as a noun phrase.

    Raises:
        ArgumentError: If the condition is not met.
    """
    if not condition:
        raise ArgumentError(f"this family needs {requirement}, got {conv}")


def require_plane(conv: Convolution) -> None:
    """Refuse a convolution that is not over two axes."""
    require(len(conv.kernel_size) == 2, conv, "two axes")
