"""What every head attends to from one query: the data behind the maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import (
    check_instance,
    check_numbers,
    check_size,
    integers,
    shown,
)
from expressivity.errors import ArgumentError, InputError
from expressivity.strategies import attention_probabilities


@dataclass(frozen=True)
class HeadMaps:
    """What all heads of a layer over 2 axes attend to from one query.

    Positions are (row, column) on the canvas, in pixels.

    Attributes:
        probabilities: (heads, height, width) of the canvas, float32.
        query: Position of the query.
        centers: Attention center Δ of each head.
        corner: First pixel of the input; what lies around it are padding tokens.
        size: Pixels of the input, (height, width).
        grid: Rows and columns of panels: those of the kernel if there is one head
            a tap.
    """

    probabilities: Float[Tensor, "heads height width"]
    query: tuple[int, int]
    centers: tuple[tuple[float, float], ...]
    corner: tuple[int, int]
    size: tuple[int, int]
    grid: tuple[int, int]

    @classmethod
    def of(
        cls,
        attention: RelativeSelfAttention,
        size: Sequence[int],
        query: Sequence[int],
        image: Float[Tensor, "*channels height width"] | None = None,
    ) -> Self:
        """Evaluate a layer at one query only.

        Args:
            attention: A layer over 2 axes.
            size: Pixels of the input, (height, width).
            query: Which output, (row, column), counted from 0.
            image: The input, for a layer with content terms.

        Returns:
            The maps.

        Raises:
            ArgumentError: If the layer does not work over 2 axes, the query is
                outside the output, or a layer with content terms is given no image.
            InputError: If the size or the image does not suit the layer.
        """
        advice = "Pass what attention_from_conv returned"
        check_instance("attention", attention, RelativeSelfAttention, advice)
        check_numbers("attention.alpha", attention.alpha)
        size = check_size("size", size, least=0)
        geometry = attention.geometry
        if geometry.axes != 2:
            raise ArgumentError(
                "attention maps are drawn over 2 axes, got a layer over "
                f"{geometry.axes}: look at attention.attention_probabilities(size=...)"
            )
        at = _canvas_position(attention, size, query)
        canvas = _canvas(attention, size, image)
        queries = [range(start, start + 1) for start in at]
        with torch.no_grad():
            probabilities = attention_probabilities(attention.heads(), queries, canvas)
        (top, _), (left, _) = geometry.token_padding
        return cls(
            probabilities[0, :, 0].unflatten(-1, canvas.shape[2:]).float().cpu(),
            at,
            tuple((row, column) for row, column in attention.centers.tolist()),
            (top, left),
            (size[0], size[1]),
            _panel_grid(attention.num_heads, geometry.kernel_size),
        )

    def target(self, head: int) -> tuple[float, float]:
        """Return where a head aims, t = q + Δ; off the canvas, its nearest pixel."""
        (row, column), (down, right) = self.query, self.centers[head]
        height, width = self.probabilities.shape[1:]
        return (
            min(max(row + down, 0), height - 1),
            min(max(column + right, 0), width - 1),
        )


def _canvas_position(
    attention: RelativeSelfAttention, size: Sequence[int], query: Sequence[int]
) -> tuple[int, int]:
    """Return where on the canvas an output has its query."""
    rows, columns = attention.geometry.queries(size)
    height, width = len(rows), len(columns)
    place = integers(query) or ()
    row, column = place if len(place) == 2 else (-1, -1)
    if not (0 <= row < height and 0 <= column < width):
        raise ArgumentError(
            f"query needs the (row, column) of one of the {height} × {width} outputs, "
            f"counted from 0, got {shown(query)}"
        )
    return rows[row], columns[column]


def _canvas(
    attention: RelativeSelfAttention,
    size: Sequence[int],
    image: Float[Tensor, "*channels height width"] | None,
) -> Float[Tensor, "1 token_channels canvas_height canvas_width"]:
    """Return the tokens; any of the right shape where only positions matter."""
    if image is not None and tuple(image.shape[-2:]) != tuple(size):
        raise InputError(
            f"image needs as many pixels as size says, {tuple(size)}, got a tensor of "
            f"shape {tuple(image.shape)}"
        )
    if not attention.heads().sees_tokens:
        shape = attention.geometry.canvas_size(size)
        x = attention.alpha.new_zeros((), dtype=attention.dtype)
        return x.expand(1, attention.in_channels, *shape)
    if image is None or image.dim() != 3 or len(image) != attention.in_channels:
        raise ArgumentError(
            "a layer with content terms attends differently to every input: pass one "
            f"as image=, a tensor of {attention.in_channels} channels"
        )
    return attention.geometry.canvas(image[None].to(attention.alpha))


def _panel_grid(heads: int, kernel_size: Sequence[int]) -> tuple[int, int]:
    if heads == math.prod(kernel_size):
        return kernel_size[0], kernel_size[1]
    columns = math.ceil(math.sqrt(heads))
    return math.ceil(heads / columns), columns
