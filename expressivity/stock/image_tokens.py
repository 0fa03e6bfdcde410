"""Images as tokens that know where they are, in front of a stock attention module."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.gate import plain_attention
from expressivity.checks import check_instance, check_numbers, check_size
from expressivity.errors import ArgumentError, InputError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.grid import Grid, tokens_at
from expressivity.geometry.positions import grid_positions
from expressivity.heads.parameters import Heads

# float32 holds whole numbers up to here, squared positions among them.
_LARGEST_SQUARE = 2**24
_WIDE = (torch.float32, torch.float64)


class ImageTokens(nn.Module):
    """A stock attention module, image in and image out, on inputs of one size.

    The channels of a token are those of its pixel, then its place (k, ‖k‖²) where the
    module has no positions of its own, then zeros up to the width of the module. The
    first channels of what the module returns are the output.

    Attributes:
        attention: The stock module, (batch, tokens, width) to the same.
        position: The places of the tokens, (tokens, axes + 1); without columns for a
            module that has positions of its own.
        size: Pixels per axis of the input.
        geometry: Canvas and queries.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    position: Tensor

    def __init__(
        self,
        attention: nn.Module,
        grid: Grid,
        *,
        in_channels: int,
        out_channels: int,
        width: int,
        position: Float[Tensor, "tokens code"],
    ) -> None:
        """Wrap a module.

        Args:
            attention: The stock module.
            grid: Canvas and queries.
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            width: Channels of the module's tokens.
            position: What each token says of its place.
        """
        super().__init__()
        self.attention = attention
        self.grid, self.width = grid, width
        self.in_channels, self.out_channels = in_channels, out_channels
        self.register_buffer("position", position)

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels per axis of the input."""
        return self.grid.size

    @property
    def geometry(self) -> ConvGeometry:
        """Canvas and queries, for every size."""
        return self.grid.geometry

    def forward(self, x: Tensor) -> Tensor:
        """Lay an image out as tokens, attend, and read the outputs off.

        Args:
            x: Input, (batch, in_channels, *size) or without the batch axis.

        Returns:
            (batch, out_channels, *output size); without the batch axis if the input
            had none.

        Raises:
            InputError: If the input has another size or other channels.
        """
        axes = len(self.size)
        batch = x.unsqueeze(0) if x.dim() == axes + 1 else x
        if tuple(batch.shape[1:]) != (self.in_channels, *self.size):
            raise InputError(
                f"the layer takes {self.in_channels} channels of size {self.size}, "
                f"which it was made for, got an input of shape {tuple(x.shape)}"
            )
        canvas = self.grid.canvas(batch)
        images = self._attended(self._tokens(canvas)).mT[:, : self.out_channels]
        outputs = tokens_at(self.grid.queries, images.unflatten(2, canvas.shape[2:]))
        return outputs if x.dim() == batch.dim() else outputs.squeeze(0)

    def _tokens(self, canvas: Tensor) -> Float[Tensor, "batch tokens width"]:
        pixels = canvas.flatten(2).mT
        place = self.position.expand(pixels.shape[0], *self.position.shape)
        rest = self.width - pixels.shape[2] - place.shape[2]
        return nn.functional.pad(torch.cat([pixels, place], -1), (0, rest))

    def _attended(self, tokens: Tensor) -> Tensor:
        attended = self.attention(tokens)
        result: Tensor = attended[0] if isinstance(attended, tuple) else attended
        return result

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return f"{self.in_channels}, {self.out_channels}, size={self.size}"


def checked(
    attention: RelativeSelfAttention, size: Sequence[int]
) -> tuple[Heads, Grid]:
    """Return the heads of a layer and its grid, if a stock module can hold it.

    Args:
        attention: The layer.
        size: Pixels per axis of the input.

    Raises:
        ArgumentError: If its scores are not those of positions alone, it is of half
            precision, queries lie off the canvas, or the canvas is too large.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If it does not compute what its parameters say.
    """
    advice = "Pass what attention_from_conv returned"
    layer = plain_attention(
        check_instance("attention", attention, RelativeSelfAttention, advice)
    )
    check_numbers("attention.alpha", layer.alpha)
    heads = layer.heads()
    if heads.table is not None or heads.sees_tokens:
        what = "tables" if heads.table is not None else "content terms"
        raise ArgumentError(
            "a stock module needs heads that attend by quadratic positions alone, got "
            f"{what}: convert with heads='taps', and before content terms are added"
        )
    if heads.dtype not in _WIDE:
        raise ArgumentError(
            f"a stock module needs float32 or float64, got {heads.dtype}, which cannot "
            "hold positions: convert the layer with .float()"
        )
    grid = Grid.of(layer.geometry, check_size("size", size, layer.geometry.axes))
    for query, tokens in zip(grid.queries, grid.canvas_size, strict=True):
        if query[0] < 0 or query[-1] >= tokens:
            raise ArgumentError(
                "a stock module attends from tokens, got replicate padding so wide "
                "that queries lie outside of the canvas"
            )
    largest = sum((tokens // 2 + 1) ** 2 for tokens in grid.canvas_size)
    if largest > _LARGEST_SQUARE:
        raise ArgumentError(
            "a stock module keeps squared positions in float32, exactly up to 2^24, "
            f"got a canvas of {grid.canvas_size}: take a smaller size"
        )
    return heads, grid


def places(grid: Grid, like: Tensor) -> Float[Tensor, "tokens code"]:
    """Return (k, ‖k‖²) of every token, counted in pixels from the middle token."""
    axes = [range(-(n // 2), n - n // 2) for n in grid.canvas_size]
    positions = grid_positions(axes, like.device, like.dtype)
    return torch.cat([positions, positions.square().sum(1, keepdim=True)], 1)


def projections(
    heads: Heads,
) -> tuple[
    Float[Tensor, "heads rank in_channels"], Float[Tensor, "heads out_channels rank"]
]:
    """Return W_val and W_out of every head over all channels, zeros between groups."""
    value, output = heads.value_weight, heads.output_weight
    other = heads.projections[0]
    if value is None:
        value = _identity(other, other.shape[2])
    if output is None:
        output = _identity(other, other.shape[1])
    return _blocks(value.detach()), _blocks(output.detach())


def _identity(like: Tensor, size: int) -> Tensor:
    groups, heads = like.shape[0], like.shape[-1]
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.expand(groups, size, size)[..., None].expand(-1, -1, -1, heads)


def _blocks(weight: Float[Tensor, "groups rows columns heads"]) -> Tensor:
    return torch.stack([torch.block_diag(*head) for head in weight.unbind(-1)])
