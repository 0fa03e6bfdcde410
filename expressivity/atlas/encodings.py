"""Absolute encodings of positions in which heads find their targets.

A head needs to know where it is, so its query is the encoding of its target. Any
encoding p will do in which that is an affine map of p itself and in which no other p
has as large an inner product with it as the target's. The quadratic one is

    −α‖k − t‖² = (2αt, −α) · (k, ‖k‖²) − α‖t‖²:

the last term is the same for all keys. It needs axes + 1 channels and a query bias.
Statement ``absolute_factorisation`` in ``proofs/``.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from expressivity.atlas.canvas import token_positions
from expressivity.geometry.grid import Grid


@dataclass(frozen=True)
class Encoding:
    """An encoding of positions, and the scores (W p_q + b) · p_k of every head.

    Attributes:
        position: p of every token.
        query: W of every head.
        query_bias: b of every head.
    """

    position: Float[Tensor, "tokens code"]
    query: Float[Tensor, "heads code code"]
    query_bias: Float[Tensor, "heads code"]

    def in_units(self, unit: Float[Tensor, " code"]) -> "Encoding":
        """Return the same scores from an encoding whose channels are in given units."""
        return Encoding(
            self.position / unit,
            unit[:, None] * self.query * unit,
            unit * self.query_bias,
        )


def quadratic_encoding(grid: Grid, alpha: float) -> Encoding:
    """Return p = (k, ‖k‖²), for scores of −α‖k − t‖² + α‖t‖².

    Args:
        grid: The canvas.
        alpha: Locality strength, 1/pixel².

    Returns:
        The encoding; positions are counted from the middle, for small numbers.
    """
    tokens = token_positions(grid.canvas_size)
    tokens = tokens - tokens.mean(0)
    centers = grid.geometry.centers().double()
    axes = centers.shape[1]
    eye = 2 * alpha * torch.eye(axes, dtype=torch.float64, device="cpu")
    query = functional.pad(eye, (0, 1, 0, 1)).repeat(len(centers), 1, 1)
    bias = alpha * torch.cat([2 * centers, -torch.ones_like(centers[:, :1])], 1)
    squares = tokens.square().sum(1, keepdim=True)
    return Encoding(torch.cat([tokens, squares], 1), query, bias)


def class_encoding(grid: Grid, alpha: float) -> Encoding:
    """Return the quadratic encoding with one channel more, for a class token.

    The class token scores halfway between the target and the next best token, so heads
    attend to it if the target is not there.

    Args:
        grid: A canvas without padding tokens.
        alpha: Locality strength, 1/pixel².

    Returns:
        p = (k, ‖k‖², 0), after that of the class token, (0, 0, 1), whose score is
        α‖t‖² − α/2.
    """
    plain, centers = quadratic_encoding(grid, alpha), grid.geometry.centers().double()
    code = plain.position.shape[1]
    position = functional.pad(plain.position, (0, 1, 1, 0))
    position[0, code] = 1
    query = functional.pad(plain.query, (0, 1, 0, 1))
    # ‖t‖² = ‖q‖² + 2 q · Δ + ‖Δ‖²
    query[:, code, : code - 1], query[:, code, code - 1] = 2 * alpha * centers, alpha
    logit = alpha * (centers.square().sum(1, keepdim=True) - 0.5)
    return Encoding(position, query, torch.cat([plain.query_bias, logit], 1))
