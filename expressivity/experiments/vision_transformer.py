"""A small vision transformer of torch's own parts, and four ways to initialise it.

=============  =====================================================================
default        torch's
mimetic        Trockman and Kolter (2023): W_qry W_keyᵀ ≈ 0.7 Z + 0.7 I and W_val W_out
               ≈ 0.4 Z − 0.4 I with Z a Gaussian matrix, on sinusoidal positions
structured     after Zheng, Li and Lucey (2025): queries and keys whose scores are, by
               pseudo-inverse and truncated to the width of a head, those of a shift,
               on Gaussian positions, which suit the pseudo-inverse better than
               sinusoidal ones
exact shifts   :func:`expressivity.stock.init_vit`
=============  =====================================================================

The contenders are written from their papers, as far as these say. Values, outputs and
all else of the last two are torch's.
"""

import itertools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import token_positions
from expressivity.stock import encoder_blocks, init_vit

_HEAD_WIDTH = 8
_QUERY_KEY, _VALUE_OUTPUT = (0.7, 0.7), (0.4, 0.4)
_SCORE = 30.0  # by which the token at the shift exceeds all others
_NEGLIGIBLE = 1e-2  # singular values of positions, over the largest
_WAVELENGTH = 10_000.0


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


def default(model: VisionTransformer) -> None:
    """Leave torch's weights as they are."""


@torch.no_grad()
def mimetic(model: VisionTransformer) -> None:
    """Give queries and keys, values and outputs products near the identity."""
    width = model.pos_embedding.shape[-1]
    model.pos_embedding.copy_(sinusoidal(model.canvas, width))
    for block in encoder_blocks(model):
        head_width = block.query.shape[1]
        for head in range(block.heads):
            scale, diagonal = _QUERY_KEY
            query, key = _factors(scale * _noise(width) + diagonal * _identity(width))
            block.query[head] = query[:, :head_width].mT
            block.key[head] = key[:, :head_width].mT
        scale, diagonal = _VALUE_OUTPUT
        value, output = _factors(scale * _noise(width) - diagonal * _identity(width))
        block.value.copy_(value.mT.unflatten(0, (block.heads, head_width)))
        block.output.copy_(output.unflatten(1, (block.heads, head_width)))


@torch.no_grad()
def structured(model: VisionTransformer) -> None:
    """Fit the scores of every head to those of a random shift of a 3×3 kernel."""
    width = model.pos_embedding.shape[-1]
    positions = nn.init.normal_(model.pos_embedding)[0]
    seen = nn.functional.layer_norm(positions, (width,)).double()
    inverse = torch.linalg.pinv(seen, rtol=_NEGLIGIBLE)
    taps = list(itertools.product((-1, 0, 1), repeat=2))
    for block in encoder_blocks(model):
        head_width = block.query.shape[1]
        drawn = torch.randperm(len(taps), device="cpu").tolist()
        for head in range(block.heads):
            shift = taps[drawn[head % len(taps)]]
            aimed = shift_matrix(model.canvas, shift)
            aimed = aimed - aimed.mean(1, keepdim=True)
            fitted = _SCORE * math.sqrt(head_width) * inverse @ aimed @ inverse.mT
            query, key = _factors(fitted)
            block.query[head] = query[:, :head_width].mT
            block.key[head] = key[:, :head_width].mT


def exact_shifts(model: VisionTransformer) -> None:
    """Let heads attend to the shifts of a 3×3 kernel, up to a stated bound."""
    init_vit(model, size=model.canvas)


INITIALISERS: dict[str, Callable[[VisionTransformer], None]] = {
    "default": default,
    "mimetic": mimetic,
    "structured": structured,
    "exact shifts": exact_shifts,
}


def sinusoidal(canvas: tuple[int, int], width: int) -> Float[Tensor, "tokens width"]:
    """Return sines and cosines of rows, then of columns, at geometric wavelengths.

    Args:
        canvas: Tokens per axis.
        width: Channels; what four does not divide stays zero.

    Returns:
        The encoding of every token, in float32.
    """
    rates = width // 4
    waves = _WAVELENGTH ** -(torch.arange(rates, device="cpu") / max(1, rates))
    phases = token_positions(canvas).float()[..., None] * waves
    encoded = torch.cat([phases.sin(), phases.cos()], -1).flatten(1)
    return nn.functional.pad(encoded, (0, width - encoded.shape[1]))


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


def _factors(product: Tensor) -> tuple[Tensor, Tensor]:
    """Return U√S and V√S, the largest singular values first."""
    left, values, right = torch.linalg.svd(product)
    root = values.sqrt()
    return left * root, right.mT * root


def _noise(width: int) -> Tensor:
    return torch.randn(width, width, device="cpu") / math.sqrt(width)


def _identity(width: int) -> Tensor:
    return torch.eye(width, device="cpu")
