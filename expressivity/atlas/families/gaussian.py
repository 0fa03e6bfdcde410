"""Gaussian attention: any covariance does whose inverse grows in all directions.

A key n pixels off the center loses ½ nᵀΣ⁻¹n ≥ ½ λ_min ‖n‖² of score, λ_min the smallest
eigenvalue of Σ⁻¹. So no head leaks more than the isotropic one with Σ⁻¹ = λ_min I, of
locality strength α = λ_min / 2.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import OnTokens, bare_grid, require, token_grid
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.gaussian import GaussianScores
from expressivity.atlas.taps import one_head_a_tap
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution


def construct(
    conv: Convolution,
    size: Size,
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
    spans = spans.expand(len(centers), -1, -1).clone()
    scores = GaussianScores(centers, spans, grid.canvas_size)
    return OnTokens(one_head_a_tap(conv, scores, content=False), grid)


FAMILIES = (
    Family(
        name="gaussian",
        title="full-covariance Gaussian encoding",
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
