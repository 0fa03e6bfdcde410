"""Quadratic relative positional encoding: scores before the softmax.

Lemma 2 of the paper: with the encoding r_δ = (‖δ‖², δ) of a displacement δ = k − q
and the vector v_h = −α_h (1, −2Δ_h) of a head,

    v_h · r_δ = −α_h (‖δ − Δ_h‖² − ‖Δ_h‖²).

The term α_h ‖Δ_h‖² is the same for every key and drops out of the softmax. Scores
are therefore computed as −α_h ‖δ − Δ_h‖², a sum over axes that loses no digits: it
is exactly 0 at the target. :func:`relative_encoding` and :func:`head_vectors` are
the paper's own factors.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from expressivity.geometry.positions import positions


def relative_encoding(
    displacement: Shaped[Tensor, "*grid axes"],
) -> Shaped[Tensor, "*grid axes_plus_1"]:
    """Return r_δ = (‖δ‖², δ₁, …, δ_d) for displacements in pixels (equation 9).

    Example:
        >>> relative_encoding(torch.tensor([[3.0, -4.0]])).tolist()
        [[25.0, 3.0, -4.0]]
    """
    squares = displacement.square().sum(-1, keepdim=True)
    return torch.cat([squares, displacement], dim=-1)


def head_vectors(
    alpha: Float[Tensor, " heads"], centers: Float[Tensor, "heads axes"]
) -> Float[Tensor, "heads axes_plus_1"]:
    """Return v_h = −α_h (1, −2Δ_h), α in 1/pixel² and Δ in pixels (equation 9).

    Example:
        >>> head_vectors(torch.tensor([2.0]), torch.tensor([[1.0, 0.0]])).tolist()
        [[-2.0, 4.0, 0.0]]
    """
    ones = torch.ones_like(centers[:, :1])
    return -alpha[:, None] * torch.cat([ones, -2 * centers], dim=-1)


def axis_scores(
    targets: Shaped[Tensor, "*targets"],
    keys: Shaped[Tensor, "*targets_or_1 keys"],
    alpha: Float[Tensor, "..."],
) -> Float[Tensor, "*targets keys"]:
    """Return −α (k − t)² along one axis: its share in the scores.

    Args:
        targets: Positions t = q + Δ, in pixels, on the canvas or off it.
        keys: Positions k in pixels, the same for all targets or some for each.
        alpha: Locality strength, 1/pixel², broadcast against ``targets``.
    """
    gap = keys.to(alpha.dtype) - targets.to(alpha.dtype)[..., None]
    return -alpha[..., None] * gap.square()


def displacement_scores(
    displacements: Shaped[Tensor, "displacements axes"],
    centers: Float[Tensor, "heads axes"],
    alpha: Float[Tensor, " heads"],
) -> Float[Tensor, "heads displacements"]:
    """Return −α_h ‖δ − Δ_h‖² for given displacements δ, in pixels."""
    gaps = displacements.to(alpha.dtype) - centers[:, None]
    return -alpha[:, None] * gaps.square().sum(-1)


def positional_scores(
    alpha: Float[Tensor, " heads"],
    centers: Float[Tensor, "heads axes"],
    queries: Sequence[range],
    canvas_size: Sequence[int],
) -> Float[Tensor, "heads queries keys"]:
    """Return −α_h ‖k − q − Δ_h‖² for every head, query and key.

    That is v_h · r_δ up to the constant α_h ‖Δ_h‖² of each head. Queries and keys are
    flattened in row-major order.

    Args:
        alpha: Locality strengths, 1/pixel².
        centers: Attention centers, in pixels.
        queries: Query positions along each axis.
        canvas_size: Tokens along each axis.
    """
    axes, heads = len(canvas_size), len(alpha)
    shape = [heads] + [len(query) for query in queries] + list(canvas_size)
    scores = alpha.new_zeros(())
    for axis, (query, keys) in enumerate(zip(queries, canvas_size, strict=True)):
        targets = positions(query, alpha.device) + centers[:, axis, None]
        tokens = positions(range(keys), alpha.device, alpha.dtype)
        share = axis_scores(targets, tokens, alpha[:, None])
        view = [heads] + [1] * (2 * axes)
        view[1 + axis], view[1 + axes + axis] = len(query), keys
        scores = scores + share.reshape(view)
    return scores.expand(shape).flatten(1 + axes).flatten(1, axes)
