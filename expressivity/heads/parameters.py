"""The parameters of all heads, as every strategy takes them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.errors import ArgumentError
from expressivity.heads.memo import Memo
from expressivity.heads.placement import Placement
from expressivity.heads.tables import Table


@dataclass(frozen=True)
class ContentTerms:
    """The score terms that depend on the tokens (equation 8).

    Score of query q and key k: x_q W_qry W_keyᵀ x_k + x_q W_qry Ŵ_keyᵀ r_δ
    + uᵀ W_keyᵀ x_k, added to the positional score. Heads share no parameters.

    Attributes:
        query_weight: W_qryᵀ, (heads, key_dim, channels).
        key_weight: W_keyᵀ, (heads, key_dim, channels).
        position_weight: Ŵ_keyᵀ, (heads, key_dim, axes + 1).
        content_bias: u, (heads, key_dim).
    """

    query_weight: Float[Tensor, "heads key_dim channels"]
    key_weight: Float[Tensor, "heads key_dim channels"]
    position_weight: Float[Tensor, "heads key_dim axes_plus_1"]
    content_bias: Float[Tensor, "heads key_dim"]


@dataclass(frozen=True)
class GatedContent:
    """Attention by the tokens, mixed with the positional one after the softmax.

    Head h attends with σ(λ_h) · positional + (1 − σ(λ_h)) · content probabilities.
    Those of content are the softmax of x_q W_qry W_keyᵀ x_k / √key_dim over the keys k,
    as in ConViT (d'Ascoli et al., 2021, equation 7).

    Attributes:
        query_weight: W_qryᵀ, (heads, key_dim, channels).
        key_weight: W_keyᵀ, (heads, key_dim, channels).
        gate: λ, (heads,).
    """

    query_weight: Float[Tensor, "heads key_dim channels"]
    key_weight: Float[Tensor, "heads key_dim channels"]
    gate: Float[Tensor, " heads"]

    @property
    def scale(self) -> float:
        """What content scores are multiplied by."""
        width = len(range(self.query_weight.shape[1]))  # torch.jit.trace has tensors
        return 1 / math.sqrt(width)

    def share_of_positions(self) -> Float[Tensor, " heads"]:
        """Return σ(λ), in at least float32."""
        return self.gate.sigmoid()

    def share_of_content(self) -> Float[Tensor, " heads"]:
        """Return 1 − σ(λ) = σ(−λ), to full relative precision however small."""
        return self.gate.neg().sigmoid()


@dataclass(frozen=True)
class Heads:
    """The parameters of all heads as plain tensors.

    Channels fall in ``groups`` blocks, as in a grouped convolution: projections are
    block-diagonal and only their blocks are stored. A projection that is ``None``
    is the identity, in every head.

    Attributes:
        alpha: Locality strengths, 1/pixel², (heads,).
        centers: Attention centers in pixels, (heads, axes).
        value_weight: W_valᵀ, (groups, head_dim, channels of a group, heads).
        output_weight: W_outᵀ, (groups, outputs of a group, head_dim, heads).
        bias: Added to every output, (out_channels,), or ``None``.
        content: The content terms, or ``None`` where they are zero.
        gated: Content beside the positions, or ``None`` for none.
        table: Scores of displacements, or ``None`` for the quadratic ones alone.
        memo: Earlier results that follow from these parameters.
        placement: Returns the object that tells a tracer the numbers of α and Δ.

    Raises:
        ArgumentError: If both projections are ``None``.
    """

    alpha: Float[Tensor, " heads"]
    centers: Float[Tensor, "heads axes"]
    value_weight: Float[Tensor, "groups head_dim channels heads"] | None
    output_weight: Float[Tensor, "groups outputs head_dim heads"] | None
    bias: Float[Tensor, " out_channels"] | None = None
    content: ContentTerms | None = None
    table: Table | None = None
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)
    placement: Callable[[], Placement] | None = field(
        default=None, compare=False, repr=False
    )
    gated: GatedContent | None = None

    def __post_init__(self) -> None:
        if self.value_weight is None and self.output_weight is None:
            raise ArgumentError(
                "value_weight and output_weight cannot both be the identity: pass one"
            )

    @property
    def sees_tokens(self) -> bool:
        """Whether attention depends on the tokens, so that each image has its own."""
        return self.content is not None or self.gated is not None

    def positional(self) -> "Heads":
        """Return what is left of the heads without gated content.

        Their projections are then smaller by σ(λ).
        """
        if self.gated is None:
            return self
        gated, weight = self.gated, self.projections[0]
        scaled = self.memo.get(
            "share of positions",
            [gated.gate, weight],
            lambda: weight * gated.share_of_positions().to(weight.dtype),
            differentiable=True,
        )
        if self.output_weight is None:
            return replace(self, gated=None, value_weight=scaled)
        return replace(self, gated=None, output_weight=scaled)

    @property
    def projections(self) -> list[Float[Tensor, "groups rows columns heads"]]:
        """The projections that are not the identity, the outermost first."""
        both = (self.output_weight, self.value_weight)
        return [weight for weight in both if weight is not None]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the layer; α, Δ and tables may be wider."""
        return self.projections[0].dtype

    @property
    def groups(self) -> int:
        """Number of blocks of channels."""
        return self.projections[0].shape[0]

    @property
    def value_width(self) -> int:
        """Numbers that one head carries per token, over all groups."""
        inner = self.projections[-1]
        rows_or_columns = 2 if self.value_weight is None else 1
        return self.groups * inner.shape[rows_or_columns]

    @property
    def out_channels(self) -> int:
        """Number of output channels, over all groups."""
        return self.groups * self.projections[0].shape[1]

    def matrices(self) -> Float[Tensor, "heads groups outputs channels"]:
        """Return W_outᵀ W_valᵀ of every head, the matrix of its tap, in blocks."""
        return reduce(torch.matmul, (w.movedim(-1, 0) for w in self.projections))
