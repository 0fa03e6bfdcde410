"""``torch.nn.MultiheadAttention`` with the weights of a layer, for one input size."""

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.description import LayerDescription
from expressivity.convolutions import require_no_additions
from expressivity.errors import CertificateError, UnsupportedModuleError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.stock.factors import Slots, least_width, write
from expressivity.stock.image_tokens import ImageTokens, checked, places

_STOCK = (
    *("in_proj_weight", "in_proj_bias", "out_proj", "bias_k", "bias_v"),
    *("q_proj_weight", "k_proj_weight", "v_proj_weight"),
)
NAME = "multihead"  # of this way to evaluate a layer, in certificates and records


class ImageMultihead(ImageTokens):
    """``torch.nn.MultiheadAttention`` on the pixels of an image.

    It holds what :func:`to_multihead` wrote and the α and Δ that it came from, so that
    its certificate can be checked as long as nothing has changed them.

    Attributes:
        alpha: Locality strengths, 1/pixel², (heads,).
        centers: Attention centers, in pixels, (heads, axes).
        description: The structure of the layer that it came from.
    """

    alpha: Tensor
    centers: Tensor

    def __init__(self, heads: Heads, grid: Grid, description: LayerDescription) -> None:
        """Make the module and write the weights of a layer into it.

        Args:
            heads: Position-only heads.
            grid: Canvas and queries.
            description: The structure of the layer.
        """
        channels, count = description.in_channels, description.num_heads
        like = heads.projections[0].detach()
        position = places(grid, like)
        width = count * least_width(heads, channels, code=position.shape[1])
        attention = nn.MultiheadAttention(
            width, count, batch_first=True, device=like.device, dtype=like.dtype
        )
        super().__init__(
            attention,
            grid,
            in_channels=channels,
            out_channels=description.out_channels,
            width=width,
            position=position,
        )
        self.description = description
        self.register_buffer("alpha", heads.alpha.detach().clone())
        self.register_buffer("centers", heads.centers.detach().clone())
        if not like.is_meta:
            with torch.no_grad():
                for parameter in attention.parameters():
                    parameter.zero_()
            write(
                self._slots(),
                heads,
                in_channels=channels,
                scale=(width // count) ** -0.5,
            )

    @classmethod
    def unfilled(cls, description: LayerDescription, size: Sequence[int]) -> Self:
        """Return a module without numbers, on the meta device.

        Args:
            description: The structure of the layer that it comes from.
            size: Pixels per axis of the input.
        """
        layer = description.layer()
        heads, grid = layer.heads(), Grid.of(layer.geometry, size)
        return cls(heads, grid, description).eval()

    @property
    def num_heads(self) -> int:
        """Number of heads."""
        return self.alpha.shape[0]

    def relative(self) -> RelativeSelfAttention:
        """Return the layer that these weights came from.

        Returns:
            A layer with the same numbers.

        Raises:
            CertificateError: If the weights have been changed: no such layer then
                computes the same.
            UnsupportedModuleError: If the module does not compute what its parameters
                say: hooks, a ``forward`` of its own.
        """
        self._require_plain()
        layer = self.description.filled(self._tensors())
        grid = Grid.of(layer.geometry, self.size)
        again = type(self)(layer.heads(), grid, self.description).state_dict()
        own = {name: tensor.cpu() for name, tensor in self.state_dict().items()}
        changed = again.keys() ^ own.keys() or [
            name for name, tensor in again.items() if not torch.equal(tensor, own[name])
        ]
        if changed:
            raise CertificateError(
                "the module needs the weights that to_multihead wrote, got others in "
                f"{', '.join(sorted(changed))}: trained weights compute no convolution "
                "in general"
            )
        return layer

    def _attended(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return result

    def _slots(self) -> Slots:
        attention = cast("nn.MultiheadAttention", self.attention)
        count = attention.num_heads
        shape = (3, count, attention.head_dim)
        query, key, value = attention.in_proj_weight.detach().unflatten(0, shape)
        return Slots(
            query=query,
            query_bias=attention.in_proj_bias.detach().unflatten(0, shape)[0],
            key=key,
            value=value,
            output=attention.out_proj.weight.detach().unflatten(1, shape[1:]),
            output_bias=attention.out_proj.bias.detach(),
        )

    def _tensors(self) -> dict[str, Tensor]:
        """Return the parameters of the layer that these weights came from."""
        slots, structure = self._slots(), self.description
        groups, rank = structure.groups, structure.head_dim
        value = slots.value[:, : groups * rank, : structure.in_channels]
        output = slots.output[: structure.out_channels, :, : groups * rank]
        tensors = {
            "alpha": self.alpha,
            "centers": self.centers,
            "value_weight": _blocks(value, groups),
            "output_weight": _blocks(output.movedim(1, 0), groups),
            "bias": slots.output_bias[: structure.out_channels],
        }
        return {n: tensors[n].cpu().clone() for n in structure.parameters}

    def _require_plain(self) -> None:
        known = ("attention", "position", "alpha", "centers")
        require_no_additions(self, known, plain=f"a plain {ImageMultihead.__name__}")
        inner = cast("nn.MultiheadAttention", self.attention)
        require_no_additions(inner, _STOCK, plain="torch's own MultiheadAttention")
        require_no_additions(inner.out_proj, ("weight", "bias"), plain="a linear map")
        kinds = (type(self), type(inner), type(inner.out_proj).__base__)
        dropout = inner.dropout if self.training else 0.0
        if kinds != (ImageMultihead, nn.MultiheadAttention, nn.Linear) or dropout:
            raise UnsupportedModuleError(
                "it computes something else than torch's own nn.MultiheadAttention: a "
                "subclass, or dropout in training"
            )


def evaluated(heads: Heads, grid: Grid, x: Tensor) -> Tensor:
    """Return what ``torch.nn.MultiheadAttention`` computes with the weights of heads.

    Args:
        heads: Position-only heads.
        grid: Canvas and queries.
        x: Input, (batch, in_channels, *size).

    Returns:
        (batch, out_channels, *output size).
    """
    layer = RelativeSelfAttention(
        x.shape[1],
        heads.out_channels,
        grid.geometry,
        num_heads=len(heads.alpha),
        groups=heads.groups,
        head_dim=heads.value_width // heads.groups,
        bias=heads.bias is not None,
        device="meta",
        dtype=x.dtype,
    )
    module = ImageMultihead(heads, grid, LayerDescription.of(layer)).eval()
    outputs: Tensor = module(x)
    return outputs


def to_multihead(
    attention: RelativeSelfAttention, *, size: Sequence[int]
) -> ImageMultihead:
    """Fill ``torch.nn.MultiheadAttention`` with the weights of a layer.

    Every token holds the channels of a pixel and its place, (k, ‖k‖²): ordinary weights
    for queries and keys turn that into the scores of the layer. The result is certified
    by :func:`expressivity.certify`, and is no slower and no faster than any stock
    attention: its cost grows with the square of the tokens.

    Args:
        attention: A layer whose heads attend by quadratic positions, in float32 or
            float64.
        size: Pixels per axis of the input, fixed.

    Returns:
        A module, image in and image out; its ``attention`` is torch's own.

    Raises:
        ArgumentError: If the layer has tables or content terms, is of half precision,
            pads by replication beyond the kernel's middle, or the canvas is wider than
            a few thousand pixels.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If it is no such layer, or does not compute what its
            parameters say.

    Reference:
        Statement ``absolute_factorisation`` in ``proofs/``.

    Example:
        >>> from expressivity import attention_from_conv, certify
        >>> conv = nn.Conv2d(2, 3, 3, padding=1)
        >>> layer = to_multihead(attention_from_conv(conv), size=(6, 6))
        >>> type(layer.attention).__name__
        'MultiheadAttention'
        >>> certificate = certify(layer, conv)
        >>> x = torch.rand(1, 2, 6, 6)
        >>> bool((layer(x) - conv(x)).abs().max() <= certificate.bound.max())
        True
    """
    heads, grid = checked(attention, size)
    layer = ImageMultihead(heads, grid, LayerDescription.of(attention))
    trainable = heads.projections[0].requires_grad
    return layer.requires_grad_(trainable).train(attention.training)


def _blocks(weight: Tensor, groups: int) -> Tensor:
    """Return the blocks of each group, (groups, rows, columns, heads)."""
    heads, rows, columns = weight.shape
    split = weight.reshape(heads, groups, rows // groups, groups, columns // groups)
    return split.diagonal(dim1=1, dim2=3).permute(3, 1, 2, 0)
