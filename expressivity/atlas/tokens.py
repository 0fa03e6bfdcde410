"""Layers on tokens as layers on images: lay out, attend, read off at the queries."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.convolutions import tap_matrices
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import (
    Grid,
    tokens_at,
)
from expressivity.numbers.spans import spanning_directions


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


class OnCanvas(nn.Module):
    """A layer on images, on the canvas of a convolution.

    As :class:`OnTokens`, for layers that need the axes: they pool, or look around.

    Attributes:
        layer: Maps (batch, channels, *size) to (batch, out_channels, *size).
        grid: Canvas and queries.
    """

    def __init__(self, layer: nn.Module, grid: Grid) -> None:
        """Wrap a layer.

        Args:
            layer: The layer on images.
            grid: Canvas and queries.
        """
        super().__init__()
        self.layer, self.grid = layer, grid

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Tensor:
        """Evaluate the layer on an image with padding tokens.

        Args:
            x: The input, of the size of the grid.

        Returns:
            (batch, out_channels, *queries).
        """
        return tokens_at(self.grid.queries, self.layer(self.grid.canvas(x)))


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


def token_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution whose padding is tokens, whatever they hold.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.

    Returns:
        Its grid.

    Raises:
        ArgumentError: If it pads by replication, for which a grid has no tokens.
    """
    require(conv.padding_mode != "replicate", conv, "zero, reflect or circular padding")
    return Grid.of(ConvGeometry.from_conv(conv), tuple(size))


def bare_grid(conv: Convolution, size: Sequence[int]) -> Grid:
    """Return the grid of a convolution on the image alone: no padding tokens.

    Args:
        conv: The convolution; whatever it pads with, heads must make up for it.
        size: Pixels per axis of the input.

    Returns:
        A grid whose canvas is the image.

    Raises:
        ArgumentError: If some output stands on no pixel of the image.
    """
    geometry = replace(ConvGeometry.from_conv(conv), padding_mode="replicate")
    grid = Grid.of(geometry, tuple(size))
    inside = all(
        query[0] >= 0 and query[-1] < pixels
        for query, pixels in zip(grid.queries, size, strict=True)
    )
    require(inside, conv, "outputs that stand on pixels: padding up to half the kernel")
    return grid


def displacements(size: Sequence[int]) -> Float[Tensor, "tokens tokens axes"]:
    """Return δ = k − q for every query and key of a canvas.

    Args:
        size: Tokens per axis.

    Returns:
        In pixels, (queries, keys, axes), row-major, float64.
    """
    axes = [torch.arange(tokens, dtype=torch.float64, device="cpu") for tokens in size]
    places = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    return places[None] - places[:, None]


def tap_factors(
    conv: Convolution,
) -> tuple[
    Float[Tensor, "taps rank in_channels"], Float[Tensor, "taps out_channels rank"]
]:
    """Split the matrix of every tap in a value and an output projection.

    Args:
        conv: The convolution; groups make block-diagonal matrices.

    Returns:
        W_val and W_out of each tap, W_out W_val = W_Δ, float64. Their inner dimension
        is the largest rank of a tap, r_max: no head can do with a smaller one.
    """
    return factored(full_taps(conv))


def factored(
    matrices: Float[Tensor, "heads out_channels in_channels"],
) -> tuple[
    Float[Tensor, "heads rank in_channels"], Float[Tensor, "heads out_channels rank"]
]:
    """Split the matrix that each head carries in a value and an output projection.

    Args:
        matrices: What each head should carry, float64.

    Returns:
        W_val and W_out of each, W_out W_val = the matrix, exactly where some matrix has
        full rank and otherwise up to rounding, relative to each output channel. Their
        inner dimension is the largest rank, and at least one.
    """
    outputs, channels = matrices.shape[1:]
    inputs = [spanning_directions(matrix.mT) for matrix in matrices]
    rank = max(1, *(each.shape[1] for each in inputs))
    if rank == min(outputs, channels):
        eye = torch.eye(rank, dtype=matrices.dtype, device=matrices.device)
        eye = eye.expand(len(matrices), -1, -1)
        return (eye, matrices) if rank == channels else (matrices, eye)
    value = torch.stack([
        functional.pad(each, (0, rank - each.shape[1])).mT for each in inputs
    ])
    return value, matrices @ value.mT


def full_taps(conv: Convolution) -> Float[Tensor, "taps out_channels in_channels"]:
    """Return the matrices W_Δ over all channels, zeros between groups.

    Args:
        conv: The convolution.

    Returns:
        One matrix a tap, in the order of the centers, float64.
    """
    parts = tap_matrices(conv.weight.detach()).double().chunk(conv.groups, 1)
    return torch.stack([
        torch.block_diag(*blocks) for blocks in zip(*parts, strict=True)
    ])


def positions_of(grid: Grid) -> Float[Tensor, "tokens axes"]:
    """Return where the tokens of a canvas are.

    Args:
        grid: The canvas.

    Returns:
        Positions in pixels, row-major, float64.
    """
    axes = [
        torch.arange(tokens, dtype=torch.float64, device="cpu")
        for tokens in grid.canvas_size
    ]
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


def require_plane(conv: Convolution) -> None:
    """Refuse a convolution that is not over two axes.

    Args:
        conv: The convolution.

    Raises:
        ArgumentError: If it is over one or three.
    """
    require(len(conv.kernel_size) == 2, conv, "two axes")
