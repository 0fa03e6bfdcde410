"""What a layer adds to its positions: attention by what the tokens hold."""

import copy
from typing import Self

import torch
from torch import Tensor, nn

from expressivity.attention.convolution_attributes import ConvolutionAttributes
from expressivity.checks import check_finite, check_integer
from expressivity.heads.parameters import ContentTerms, GatedContent

# More dimensions than this have no memory anywhere.
_MOST = 2**31 - 1
DEFAULT_GATE = 4.0
"""λ of a new gate: content has a share of 1.8 %, and λ a derivative of as much."""


class ContentParameters(ConvolutionAttributes):
    """The parameters of attention by content: in the softmax, or beside it."""

    in_channels: int
    alpha: nn.Parameter
    query_weight: nn.Parameter | None
    key_weight: nn.Parameter | None
    position_weight: nn.Parameter | None
    content_bias: nn.Parameter | None
    gate: nn.Parameter | None
    output_weight: nn.Parameter | None

    def _without_content(self) -> None:
        """Drop all content, of either kind."""
        self.query_weight = self.key_weight = self.gate = None
        self.position_weight = self.content_bias = None

    def add_content(self, key_dim: int, gate: float | None = DEFAULT_GATE) -> Self:
        """Let heads attend to what tokens hold, beside their positions.

        Head h then attends with σ(λ_h) · positional + (1 − σ(λ_h)) · content
        probabilities, each a softmax of its own. Content scores are
        x_q W_qry W_keyᵀ x_k / √key_dim; W_qry and W_key start at random. The positional
        part stays as cheap as it was. Content costs one attention over all tokens,
        whatever its share. λ has a gradient at every α, and :math:`1 − σ(λ)`, the share
        of content, can be read.

        Args:
            key_dim: Dimension of queries and keys.
            gate: The initial λ of every head. By default 4: content then has 1.8 % of
                the attention, which hardly changes what the layer computes, and λ
                still has a derivative of 1.8 % of the difference. ``None`` puts the
                terms of equation 8 into the one softmax instead, see
                :meth:`add_content_terms`.

        Returns:
            The layer itself.

        Raises:
            ArgumentError: If ``key_dim`` is below 1 or ``gate`` is not finite.

        Reference:
            d'Ascoli et al. (2021), ConViT, equation 7.

        Example:
            >>> from expressivity import attention_from_conv
            >>> layer = attention_from_conv(nn.Conv2d(4, 4, 3, padding=1), alpha=4.0)
            >>> layer = layer.add_content(8)
            >>> round(layer.gate.neg().sigmoid().max().item(), 3)
            0.018
            >>> layer.explain(torch.rand(1, 4, 6, 6)).chosen
            'separable'
        """
        if gate is None:
            return self.add_content_terms(key_dim)
        key_dim = check_integer("key_dim", key_dim, most=_MOST)
        gate = check_finite("gate", gate)
        self._without_content()
        self.gate = nn.Parameter(torch.full_like(self.alpha, gate))
        self.query_weight = nn.Parameter(self._new_projection(key_dim))
        self.key_weight = nn.Parameter(self._new_projection(key_dim))
        for weight in (self.query_weight, self.key_weight):
            draw(weight)
        return self

    def add_content_terms(self, key_dim: int) -> Self:
        """Add the score terms that look at the tokens, without changing the output.

        They enter the softmax of the positions. At an α that saturates, their gradients
        vanish with its own: lower α, or see :meth:`add_content`. W_qry and u start at
        zero, which makes all three terms vanish, W_key and Ŵ_key at random, so that
        W_qry and u receive gradients.

        Args:
            key_dim: Dimension of queries and keys.

        Returns:
            The layer itself.

        Raises:
            ArgumentError: If ``key_dim`` is below 1.
        """
        key_dim = check_integer("key_dim", key_dim, most=_MOST)
        self._without_content()
        self.query_weight = nn.Parameter(self._new_projection(key_dim).zero_())
        self.content_bias = nn.Parameter(self.query_weight.detach()[..., 0].clone())
        self.key_weight = nn.Parameter(self._new_projection(key_dim))
        encoding = self.geometry.axes + 1
        self.position_weight = nn.Parameter(
            self.key_weight.new_empty(*self.content_bias.shape, encoding)
        )
        for weight in (self.key_weight, self.position_weight):
            draw(weight)
        return self

    def without_content(self) -> Self:
        """Return a copy that attends by positions alone.

        Gated heads keep their share σ(λ) in their projections, so that the copy
        computes exactly what the positional part of the layer does. It can be certified
        and converted back.

        Returns:
            The copy; terms inside the softmax are dropped, whatever they are.

        Example:
            >>> from expressivity import attention_from_conv, conv_from_attention
            >>> conv = nn.Conv2d(2, 3, 3)
            >>> layer = attention_from_conv(conv).add_content(4, gate=0.0)
            >>> half = conv_from_attention(layer.without_content())
            >>> torch.equal(2 * half.weight, conv.weight)
            True
        """
        twin = copy.deepcopy(self)
        outermost = "value_weight" if self.output_weight is None else "output_weight"
        with torch.no_grad():
            scaled = self.heads().positional().projections[0]
            getattr(twin, outermost).copy_(scaled)
        twin._without_content()
        return twin

    def _content_terms(self) -> ContentTerms | None:
        """Return the terms inside the softmax, if there are any."""
        if (
            self.query_weight is None
            or self.key_weight is None
            or self.position_weight is None
            or self.content_bias is None
        ):
            return None
        return ContentTerms(
            self.query_weight, self.key_weight, self.position_weight, self.content_bias
        )

    def _gated_content(self) -> GatedContent | None:
        """Return the content beside the positions, if there is any."""
        if self.query_weight is None or self.key_weight is None or self.gate is None:
            return None
        return GatedContent(self.query_weight, self.key_weight, self.gate)

    def _new_projection(self, key_dim: int) -> Tensor:
        """Return room for W_qryᵀ or W_keyᵀ."""
        heads = self.alpha.shape[0]
        like = self.heads().projections[0]
        return like.detach().new_empty(heads, key_dim, self.in_channels)


def draw(weight: Tensor) -> None:
    """Draw a weight as Glorot and Bengio do, from its second and third dimension."""
    bound = (6 / (weight.shape[1] + weight.shape[2])) ** 0.5
    nn.init.uniform_(weight, -bound, bound)
