"""Absolute encodings of positions in which heads find their targets.

A head needs to know where it is: it asks for the encoding of its target. Any encoding p
in which that is an affine map of p itself and has the largest inner product with p of
the target alone will do. Two are written out:

- quadratic, −α‖k − t‖² = (2αt, −α) · (k, ‖k‖²) − α‖t‖²: the last term is the same for
  all keys. It needs axes + 1 channels and a query bias.
- a circle on which the tokens stand in row-major order: a shift is a rotation. It
  needs two channels and no bias, and scores of α · tokens²/20.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.tokens import positions_of
from expressivity.geometry.grid import Grid


@dataclass(frozen=True)
class Encoding:
    """An encoding of positions, and what heads ask of it: (W p_q + b) · p_k.

    Attributes:
        position: p of every token.
        query: W of every head.
        query_bias: b of every head.
    """

    position: Float[Tensor, "tokens code"]
    query: Float[Tensor, "heads code code"]
    query_bias: Float[Tensor, "heads code"]

    def in_units(self, unit: Float[Tensor, " code"]) -> "Encoding":
        """Return the same scores from an encoding in other units.

        Args:
            unit: What each channel is divided by.

        Returns:
            The encoding.
        """
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
    places = positions_of(grid)
    places = places - places.mean(0)
    centers = grid.geometry.centers().double()
    heads, axes = centers.shape
    query = torch.zeros(heads, axes + 1, axes + 1, dtype=torch.float64, device="cpu")
    query[:, :axes, :axes] = (
        2 * alpha * torch.eye(axes, dtype=torch.float64, device="cpu")
    )
    bias = alpha * torch.cat([2 * centers, -torch.ones_like(centers[:, :1])], 1)
    squares = places.square().sum(1, keepdim=True)
    return Encoding(torch.cat([places, squares], 1), query, bias)


def class_encoding(grid: Grid, alpha: float) -> Encoding:
    """Return the quadratic encoding with one channel more, for a class token.

    Halfway between the target's score and the next best, heads look at the class
    token: when the target is not there.

    Args:
        grid: A canvas without padding tokens.
        alpha: Locality strength, 1/pixel².

    Returns:
        p = (k, ‖k‖², 0), for the class token (0, 0, 1), whose score is
        α‖t‖² − α/2; that comes first.
    """
    plain, centers = quadratic_encoding(grid, alpha), grid.geometry.centers().double()
    tokens, code = plain.position.shape
    position = torch.zeros(1 + tokens, code + 1, dtype=torch.float64, device="cpu")
    position[1:, :code], position[0, code] = plain.position, 1
    query = nn.functional.pad(plain.query, (0, 1, 0, 1))
    # ‖t‖² = ‖q‖² + 2 q · Δ + ‖Δ‖²
    query[:, code, : code - 1], query[:, code, code - 1] = 2 * alpha * centers, alpha
    logit = alpha * (centers.square().sum(1, keepdim=True) - 0.5)
    return Encoding(position, query, torch.cat([plain.query_bias, logit], 1))


def circle_encoding(grid: Grid, alpha: float) -> Encoding:
    """Return places on a circle, for scores whose gap at the target is α.

    Args:
        grid: The canvas; targets off it would be on the other side of it.
        alpha: The gap.

    Returns:
        p = (cos, sin) of an angle; heads turn it by that of their displacement.
    """
    tokens = math.prod(grid.canvas_size)
    steps = [math.prod(grid.canvas_size[a + 1 :]) for a in range(len(grid.size))]
    turn = 2 * math.pi / tokens
    angles = turn * torch.arange(tokens, dtype=torch.float64, device="cpu")
    turns = (
        turn
        * (grid.geometry.centers() * torch.tensor(steps, device="cpu")).sum(1).double()
    )
    cos, sin = turns.cos(), turns.sin()
    rotation = torch.stack([cos, -sin, sin, cos], 1).unflatten(1, (2, 2))
    # One token is its own neighbour: there is nothing to tell apart.
    scale = alpha / (1 - math.cos(turn)) if tokens > 1 else alpha
    return Encoding(
        torch.stack([angles.cos(), angles.sin()], 1),
        scale * rotation,
        torch.zeros(len(turns), 2, dtype=torch.float64, device="cpu"),
    )
