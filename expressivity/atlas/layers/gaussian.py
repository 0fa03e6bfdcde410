"""Gaussian attention with a full covariance: the quadratic encoding, generalised.

Cordonnier, Loukas, Jaggi (2020), appendix on generalised quadratic encodings. The
scores of a head with center Δ and covariance Σ are, δ = k − q,

    −½ (δ − Δ)ᵀ Σ⁻¹ (δ − Δ) = v · r_δ − ½ Δᵀ Σ⁻¹ Δ,

with r_δ the first and second powers of δ (:func:`second_order_encoding`) and v a
vector of the head (:func:`head_vector`); the constant drops out of the softmax.

======  =======================  ===================================================
Δ_h     ``centers``              attention center, in pixels
Σ_h⁻¹   ``precision``            S Sᵀ, never negative whatever S is, 1/pixel²
S_h     ``spans``                the parameter behind it
======  =======================  ===================================================
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import displacements


class GaussianScores(nn.Module):
    """−½ (δ − Δ_h)ᵀ Σ_h⁻¹ (δ − Δ_h) for all heads and pairs of tokens.

    Attributes:
        centers: Δ, (heads, axes), in pixels.
        spans: S with Σ⁻¹ = S Sᵀ, (heads, axes, axes), in 1/pixel.
    """

    displacement: Tensor

    def __init__(
        self,
        centers: Float[Tensor, "heads axes"],
        spans: Float[Tensor, "heads axes axes"],
        canvas_size: tuple[int, ...],
    ) -> None:
        """Create the scores of a canvas.

        Args:
            centers: Δ of each head.
            spans: S of each head.
            canvas_size: Tokens per axis.
        """
        super().__init__()
        self.centers, self.spans = nn.Parameter(centers), nn.Parameter(spans)
        self.register_buffer(
            "displacement", displacements(canvas_size), persistent=False
        )

    @property
    def precision(self) -> Float[Tensor, "heads axes axes"]:
        """Σ⁻¹ of each head."""
        return self.spans @ self.spans.mT

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the scores: exactly zero where the key is the target."""
        gap = self.displacement - self.centers[:, None, None]
        return -(gap @ self.spans[:, None]).square().sum(-1) / 2


def second_order_encoding(
    displacement: Float[Tensor, "*grid axes"],
) -> Float[Tensor, "*grid powers"]:
    """Return r_δ = (δ₁, …, δ_d, δ₁², …, δ_d², δ₁δ₂, …).

    Args:
        displacement: Key minus query, in pixels.

    Returns:
        The encodings, d + d (d + 1) / 2 numbers each: 5 in the plane.

    Example:
        >>> second_order_encoding(torch.tensor([3.0, -4.0])).tolist()
        [3.0, -4.0, 9.0, 16.0, -12.0]
    """
    axes = displacement.unbind(-1)
    mixed = [a * b for a, b in itertools.combinations(axes, 2)]
    return torch.stack([*axes, *(a.square() for a in axes), *mixed], -1)


def head_vector(
    precision: Float[Tensor, "axes axes"], center: Float[Tensor, " axes"]
) -> Float[Tensor, " powers"]:
    """Return v with v · r_δ the score up to a constant.

    Args:
        precision: Σ⁻¹, symmetric, 1/pixel².
        center: Δ, in pixels.

    Returns:
        v = (Σ⁻¹Δ, −½ diag Σ⁻¹, −(Σ⁻¹)₁₂, …).

    Example:
        >>> precision = torch.tensor([[2.0, 1.0], [1.0, 4.0]])
        >>> head_vector(precision, torch.tensor([1.0, 0.0])).tolist()
        [2.0, 1.0, -1.0, -2.0, -1.0]
    """
    axes = range(len(center))
    mixed = [precision[a, b] for a, b in itertools.combinations(axes, 2)]
    squares = precision.diagonal() / 2
    tail = [-torch.stack(mixed)] if mixed else []
    return torch.cat([precision @ center, -squares, *tail])
