"""A small vision transformer of torch's parts, and how near its heads are to shifts.

:mod:`expressivity.training.initialisers` has what it may start from.
"""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import token_positions

_HEAD_WIDTH = 8


class VisionTransformer(nn.Module):
    """Patches, learned positions, pre-norm blocks of torch, the mean of all tokens.

    Attributes:
        patches: From pixels to tokens.
        pos_embedding: Added to the tokens, (1, tokens, width).
        encoder: The blocks.
        head: To the logits.
    """

    def __init__(
        self,
        *,
        heads: int,
        layers: int,
        patch: int,
        canvas: tuple[int, int],
        channels: int,
        classes: int,
    ) -> None:
        """Create a network with torch's random weights.

        Args:
            heads: Heads of a block, of eight channels each.
            layers: Blocks.
            patch: Pixels a side of a patch.
            canvas: Tokens per axis.
            channels: Of an image.
            classes: Number of logits.
        """
        super().__init__()
        width = heads * _HEAD_WIDTH
        self.canvas = canvas
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        positions = 0.02 * torch.randn(1, math.prod(canvas), width)
        self.pos_embedding = nn.Parameter(positions)
        block = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        # The blocks are copies of one, with its weights.
        for layer in self.encoder.layers:
            for module in layer.modules():
                if isinstance(module, nn.MultiheadAttention):
                    module._reset_parameters()
                elif isinstance(module, nn.Linear):
                    module.reset_parameters()
        self.head = nn.Linear(width, classes)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        tokens = self.patches(images).flatten(2).mT + self.pos_embedding
        logits: Tensor = self.head(self.encoder(tokens).mean(1))
        return logits


def shift_matrix(
    canvas: tuple[int, int], shift: tuple[int, int]
) -> Float[Tensor, "queries keys"]:
    """Return a one where the key is the shifted query, in float64."""
    places = token_positions(canvas)
    gaps = places - places[:, None] - torch.tensor(shift, device="cpu")
    return (gaps == 0).all(-1).double()


def distance_from_shifts(
    maps: Float[Tensor, "batch heads tokens tokens"], canvas: tuple[int, int]
) -> Float[Tensor, " heads"]:
    """Return how far each head is from the nearest shift, whichever it is.

    Args:
        maps: Attention, each row a probability.
        canvas: Tokens per axis.

    Returns:
        The attention that is not where the shift leads to: mean over images and over
        the queries for which that is inside, least over all shifts by less than half
        the canvas. 0 for a shift, near 1 for attention to everything.

    Example:
        >>> identity = torch.eye(9)[None, None]
        >>> distance_from_shifts(identity, (3, 3)).tolist()
        [0.0]
    """
    reach = [range(-((side - 1) // 2), (side - 1) // 2 + 1) for side in canvas]
    shifts = [
        shift_matrix(canvas, (row, column)) for row, column in itertools.product(*reach)
    ]
    aimed = torch.stack(shifts).to(maps)
    inside = aimed.sum((1, 2))
    hits = torch.einsum("bhqk,sqk->hs", maps, aimed) / (len(maps) * inside)
    return 1 - hits.amax(1)
