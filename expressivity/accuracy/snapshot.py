"""An attention layer read once, for everything that judges it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.accuracy.deviation import Deviation
from expressivity.accuracy.table_kernel import TableKernel, table_kernel
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.gate import plain_attention
from expressivity.attention.inputs import with_checked_alpha
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError, InputError, NotOneHotError
from expressivity.heads.parameters import Heads

# A locality strength, 1/pixel², at which float64 sees nothing but the nearest pixel.
_ONE_HOT = 1e4


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The parameters of a layer as they were stored when it was read.

    Attributes:
        layer: The layer, which has passed its gate.
        heads: Its parameters, as the strategies take them.
        alpha: Locality strengths, 1/pixel², in float64 on the CPU.
        centers: Attention centers in pixels, likewise.
        matrices: W_outᵀ W_valᵀ of every head, on the CPU: in float64 if they had to be
            composed, else a view of the only projection.
        composition_error: What rounding may have added to Σ|·| of their rows; ``None``
            if nothing was composed.
    """

    layer: RelativeSelfAttention
    heads: Heads
    alpha: Float[Tensor, " heads"]
    centers: Float[Tensor, "heads axes"]
    matrices: Float[Tensor, "heads out_channels channels_of_group"]
    composition_error: Float[Tensor, "heads out_channels"] | None

    @classmethod
    def of(cls, attention: nn.Module) -> Self:
        """Read a layer.

        Args:
            attention: The layer.

        Returns:
            What it holds.

        Raises:
            ArgumentError: If some α is negative, infinite or NaN: its ``forward``
                refuses it, too.
            InputError: If it holds no numbers.
            UnsupportedModuleError: If it is no attention layer, or does not compute
                what its parameters say: hooks, a ``forward`` of its own.
        """
        layer = plain_attention(attention)
        heads = layer.heads()
        if heads.alpha.is_meta:
            raise InputError(
                "attention needs numbers, got a layer on the meta device, which holds "
                "none"
            )
        with_checked_alpha(heads)
        alpha, centers = (
            p.detach().double().cpu() for p in (heads.alpha, heads.centers)
        )
        composed = _composed([w.detach().cpu() for w in heads.projections])
        return cls(layer, heads, alpha, centers, *composed)

    def require_position_only(self) -> None:
        """Refuse a layer whose scores depend on the tokens."""
        if self.heads.gated is not None:
            raise NotOneHotError(
                "the heads of this layer attend to what tokens hold, too (it has a "
                "gate): no convolution does that. Take layer.without_content()"
            )
        content = self.heads.content
        if content is not None and bool(
            content.query_weight.any() or content.content_bias.any()
        ):
            raise NotOneHotError(
                "the scores of this layer depend on the tokens (query_weight or "
                "content_bias is not zero): no convolution does that"
            )

    @cached_property
    def table_kernel(self) -> TableKernel | None:
        """The kernel that tables compute; ``None`` for a layer without tables.

        Raises:
            NotOneHotError: If some query sees only a part of a table.
        """
        if self.heads.table is None:
            return None
        return table_kernel(
            self.heads,
            self.heads.table,
            self.layer.geometry,
            self.matrices,
            self.composition_error,
        )

    def minus(self, kernel: Kernel) -> Deviation:
        """Return attention − convolution as an operator, biases left out.

        Args:
            kernel: A convolution of the same geometry and channels.

        Returns:
            The operator.

        Raises:
            ArgumentError: If the two do not have the same geometry and channels.
            NotOneHotError: If the scores depend on the tokens, or some query sees only
                a part of a table.
        """
        self.require_position_only()
        taps, geometry = kernel.taps.cpu(), self.layer.geometry
        if geometry != kernel.geometry or self.matrices.shape[1:] != taps.shape[1:]:
            raise ArgumentError(
                "the layer and the convolution need the same geometry and channels, "
                f"got {self.layer} and {kernel.conv}"
            )
        table = self.table_kernel
        if table is None:
            error = self.composition_error
            return Deviation(
                self.alpha, self.centers, self.matrices, taps, geometry, error
            )
        centers = table.displacements.double()
        one_hot = torch.full_like(centers[:, 0], _ONE_HOT)
        return Deviation(
            one_hot, centers, table.matrices, taps, geometry, table.composition_error
        )

    def bias_minus(self, kernel: Kernel) -> Float[Tensor, " out_channels"]:
        """Return the difference of the biases in float64, a missing one being zero."""
        zeros = torch.zeros(self.layer.out_channels, dtype=torch.float64, device="cpu")
        bias, other = (
            zeros if b is None else b.detach().double().cpu()
            for b in (self.heads.bias, kernel.conv.bias)
        )
        return bias - other


def _composed(projections: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return W_outᵀ W_valᵀ of every head, and what rounding adds to their rows."""
    if len(projections) == 1:  # a view of the parameter
        return projections[0].movedim(-1, 0).flatten(1, 2), None
    output, value = (weight.double().movedim(-1, 0) for weight in projections)
    sizes = output.abs() @ value.abs().sum(-1, keepdim=True)
    error = 2 * (output.shape[-1] + 1) * torch.finfo(torch.float64).eps * sizes
    return (output @ value).flatten(1, 2), error.flatten(1)
