"""The networks of Cordonnier, Loukas and Jaggi (2020), in any width and depth.

Patches of 2×2 pixels become tokens. Every block attends and then maps each token by two
layers; a block adds to its input and normalises, as in BERT,

    z = LN(x + W attention(x)),    x' = LN(z + W₂ gelu(W₁ z)).

The mean over all tokens is classified. What differs is how heads attend:

===================  ===============================================================
isotropic            −α_h ‖δ − Δ_h‖², the quadratic encoding
full covariance      −½ (δ − Δ_h)ᵀ Σ_h⁻¹ (δ − Δ_h), the generalised one
learned              a learned score for every shift of rows plus one of columns
learned and content  the same, plus q · k of the tokens
===================  ===============================================================

A head has values of the full width, as in the paper. Beside them stands a residual
network with the eight blocks of ResNet-18.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.layers.gaussian import GaussianScores
from expressivity.atlas.layers.tables import AxisTables
from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_integer
from expressivity.errors import ArgumentError
from expressivity.experiments.data.images import Dataset
from expressivity.geometry import ConvGeometry

# Of the first centers, in pixels, and of the first covariances.
_CENTERS, _SPANS = 2**0.5, 0.01
_STAGES, _BLOCKS = 4, 2
# Tokens for which forming every score is faster than smoothing along both axes.
_FEW = 32


@dataclass(frozen=True)
class Architecture:
    """How large networks are. The defaults are the paper's.

    Attributes:
        width: Channels of a token.
        layers: Blocks of the attention networks.
        heads: Heads of every block.
        patch: Pixels a side of a patch.
        hidden: Channels between the two layers that map a token.
        dropout: Probability in training, after both halves of a block.
        residual_width: Channels of the first stage of the residual network.

    Raises:
        ArgumentError: If a number is out of range.
    """

    width: int = 400
    layers: int = 6
    heads: int = 9
    patch: int = 2
    hidden: int = 512
    dropout: float = 0.1
    residual_width: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "dropout":
                check_integer(name, value)
        if not 0 <= self.dropout < 1:
            raise ArgumentError(
                f"dropout needs a probability from 0 to below 1, got {self.dropout}"
            )

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the tokens an axis of an image.

        Raises:
            ArgumentError: If patches do not cover it.
        """
        if any(pixels % self.patch for pixels in size):
            raise ArgumentError(
                f"patches of {self.patch}×{self.patch} pixels need to cover an image "
                f"of {size[0]}×{size[1]}: choose a patch that divides both sides"
            )
        return size[0] // self.patch, size[1] // self.patch


class ScoredAttention(nn.Module):
    """Attention by scores of positions, which any module gives, and of contents.

    Attributes:
        scores: Returns (heads, tokens, tokens).
        output: From the tokens that the heads bring, (heads · width) channels.
        query: Of all heads, or ``None``.
        key: Of all heads, or ``None``.
    """

    def __init__(
        self, scores: nn.Module, width: int, heads: int, *, content: bool = False
    ) -> None:
        """Create a layer with torch's random weights.

        Args:
            scores: Of the positions.
            width: Channels of a token; dimension of values, queries and keys too.
            heads: Number of heads.
            content: Whether q · k / √width is added to the scores.
        """
        super().__init__()
        self.scores, self.heads = scores, heads
        self.output = nn.Linear(heads * width, width)
        self.query, self.key = (
            nn.Linear(width, heads * width) if content else None for _ in range(2)
        )

    def forward(
        self, x: Float[Tensor, "batch width height width_pixels"]
    ) -> Float[Tensor, "batch width height width_pixels"]:
        """Attend from every pixel to all."""
        tokens = x.flatten(2).mT
        scores = self.scores()
        if self.query is not None and self.key is not None:
            query, key = (
                part(tokens).unflatten(2, (self.heads, -1)).movedim(2, 1)
                for part in (self.query, self.key)
            )
            scores = scores + query @ key.mT / math.sqrt(query.shape[-1])
        attended = scores.softmax(-1) @ tokens[:, None]
        output: Tensor = self.output(attended.movedim(1, 2).flatten(2))
        image: Tensor = output.mT.unflatten(2, x.shape[2:])
        return image


class Block(nn.Module):
    """Attention and a map of every token, each added to its input and normalised.

    Attributes:
        attention: Maps (batch, width, height, width) to the same.
    """

    def __init__(self, attention: nn.Module, sizes: Architecture) -> None:
        """Create a block around a layer."""
        super().__init__()
        width, hidden = sizes.width, sizes.hidden
        self.attention = attention
        self.mixed = nn.Linear(width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mapped = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, x: Float[Tensor, "batch width height columns"]
    ) -> Float[Tensor, "batch width height columns"]:
        """Attend, map, and add to the input."""
        z = x.movedim(1, -1)
        attended = self.mixed(self.attention(x).movedim(1, -1))
        z = self.first(z + self.dropout(attended))
        z = self.second(z + self.dropout(self.mapped(z)))
        output: Tensor = z.movedim(-1, 1)
        return output


class PatchNetwork(nn.Module):
    """Patches, blocks of attention, and a classifier of the mean.

    Attributes:
        patches: From pixels to tokens.
        blocks: One a layer.
        classifier: To the logits.
    """

    def __init__(
        self,
        attention: Callable[[], nn.Module],
        sizes: Architecture,
        *,
        channels: int,
        classes: int,
    ) -> None:
        """Create a network.

        Args:
            attention: Makes the layer of a block.
            sizes: How large it is.
            channels: Of an image.
            classes: Number of logits.
        """
        super().__init__()
        self.patches = nn.Conv2d(channels, sizes.width, sizes.patch, stride=sizes.patch)
        self.blocks = nn.Sequential(
            *(Block(attention(), sizes) for _ in range(sizes.layers))
        )
        self.classifier = nn.Linear(sizes.width, classes)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        tokens = self.blocks(self.patches(images))
        logits: Tensor = self.classifier(tokens.mean((2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut, as in ResNet-18."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        """Create a block."""
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == outputs
            else nn.Sequential(
                nn.Conv2d(channels, outputs, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs out_height out_width"]:
        """Add the convolutions to the shortcut."""
        output: Tensor = (self.convolutions(x) + self.shortcut(x)).relu()
        return output


def residual_network(width: int, *, channels: int, classes: int) -> nn.Sequential:
    """Return ResNet-18 for small images: no pooling before the first block.

    Args:
        width: Channels of the first stage; each of four stages has twice those of the
            one before, at half the resolution. 64 in ResNet-18.
        channels: Of an image.
        classes: Number of logits.

    Returns:
        The network.
    """
    stem = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )
    blocks: list[nn.Module] = []
    before = width
    for stage in range(_STAGES):
        for block in range(_BLOCKS):
            outputs, stride = width * 2**stage, 2 if stage and not block else 1
            blocks.append(ResidualBlock(before, outputs, stride))
            before = outputs
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
    return nn.Sequential(stem, *blocks, *pooled)


def _isotropic(sizes: Architecture, canvas: tuple[int, int]) -> nn.Module:
    attention = RelativeSelfAttention(
        sizes.width,
        sizes.width,
        ConvGeometry.create((1, 1)),
        num_heads=sizes.heads,
        head_dim=sizes.width,
        strategy="dense" if math.prod(canvas) <= _FEW else "auto",
    )
    nn.init.normal_(attention.centers, std=_CENTERS)
    return attention


def _full_covariance(sizes: Architecture, canvas: tuple[int, int]) -> nn.Module:
    heads = sizes.heads
    centers = torch.randn(heads, 2, device="cpu") * _CENTERS
    # As soft as an isotropic head with α = 1.
    spans = 2**0.5 * torch.eye(2, device="cpu") + _SPANS * torch.randn(
        heads, 2, 2, device="cpu"
    )
    scores = GaussianScores(centers, spans, canvas).float()
    return ScoredAttention(scores, sizes.width, heads)


def _learned(
    sizes: Architecture, canvas: tuple[int, int], *, content: bool = False
) -> nn.Module:
    scores = AxisTables(canvas, heads=sizes.heads, encoding_dim=sizes.width)
    with torch.no_grad():
        scores.head_vectors.div_(math.sqrt(2 * sizes.width))
    return ScoredAttention(scores, sizes.width, sizes.heads, content=content)


def _with_content(sizes: Architecture, canvas: tuple[int, int]) -> nn.Module:
    return _learned(sizes, canvas, content=True)


RESIDUAL = "resnet"
ATTENTION: dict[str, Callable[[Architecture, tuple[int, int]], nn.Module]] = {
    "isotropic": _isotropic,
    "full-covariance": _full_covariance,
    "learned": _learned,
    "learned-content": _with_content,
}
NETWORKS = (*ATTENTION, RESIDUAL)


def network(name: str, sizes: Architecture, data: Dataset) -> nn.Module:
    """Return a network for some images, with random weights.

    Args:
        name: One of ``NETWORKS``.
        sizes: How large it is.
        data: What it is to classify.

    Returns:
        Maps (batch, channels, height, width) to (batch, classes).

    Raises:
        ArgumentError: If there is no such network, or patches do not cover an image.
    """
    kinds = {"channels": data.channels, "classes": len(data.classes)}
    if name == RESIDUAL:
        return residual_network(sizes.residual_width, **kinds)
    if name not in ATTENTION:
        raise ArgumentError(f"a network needs one of {NETWORKS}, got {name!r}")
    canvas = sizes.canvas(data.size)
    return PatchNetwork(lambda: ATTENTION[name](sizes, canvas), sizes, **kinds)
