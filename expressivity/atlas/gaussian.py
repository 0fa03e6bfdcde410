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

Any covariance does as long as the smallest eigenvalue of Σ⁻¹ grows: a key n pixels
off the center loses ½ nᵀΣ⁻¹n ≥ ½ λ_min ‖n‖², so no head leaks more than the isotropic
one with Σ⁻¹ = λ_min I, of locality strength α = λ_min / 2.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.biased import one_head_a_tap
from expressivity.atlas.family import Claim, Family
from expressivity.atlas.tokens import (
    OnTokens,
    bare_grid,
    displacements,
    require,
    token_grid,
)
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution


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
        """Return the scores.

        Returns:
            Exactly zero where the key is the target: no digits are lost.
        """
        off = self.displacement - self.centers[:, None, None]
        return -(off @ self.spans[:, None]).square().sum(-1) / 2


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


def construct(
    conv: Convolution,
    size: tuple[int, ...],
    alpha: float,
    shape: Float[Tensor, "axes axes"] | None = None,
) -> nn.Module:
    """Return Gaussian attention that computes a convolution.

    Args:
        conv: Any convolution.
        size: Pixels per axis of the input.
        alpha: Locality strength, 1/pixel².
        shape: Σ⁻¹ / 2α, symmetric and positive definite; by default the identity, the
            isotropic limit: the quadratic encoding.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the convolution pads by replication and outputs stand beside
            the image or the axes of the Gaussian are not the image's: the nearest
            token to a target off the image is no longer its clamp.
    """
    geometry = ConvGeometry.from_conv(conv)
    shape = torch.eye(geometry.axes, device="cpu") if shape is None else shape
    if conv.padding_mode == "replicate":
        upright = bool((shape == shape.diagonal().diag()).all())
        require(upright, conv, "padding tokens, or a diagonal covariance")
        grid = bare_grid(conv, size)
    else:
        grid = token_grid(conv, size)
    centers = geometry.centers().double()
    spans = torch.linalg.cholesky(2 * alpha * shape.double())
    scores = GaussianScores(
        centers, spans.expand(len(centers), -1, -1).clone(), grid.canvas_size
    )
    return OnTokens(one_head_a_tap(conv, scores, content=False), grid)


FAMILIES = (
    Family(
        name="gaussian",
        title="full-covariance Gaussian encoding",
        verdict="yes",
        claim=Claim(
            "Computes every convolution as the smallest eigenvalue of Σ⁻¹ grows, "
            "isotropic or not; with Σ⁻¹ = 2αI the error is of order e^−α.",
            (
                "padding tokens, unless it is replicate padding and Σ is diagonal",
                "one head a tap",
                "head dimension no less than the rank of a tap",
            ),
            "Cordonnier, Loukas, Jaggi (2020), appendix",
        ),
        heads="K²",
        constructor=construct,
    ),
)
