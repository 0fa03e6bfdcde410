"""Axis tables: rows plus columns of scores single out a target.

A convolution needs D_p / d ≥ 2 with quadratic tables, −α (δ − Δ)² up to a constant of
the head, and D_p / d ≥ K with two-valued ones, α where δ = Δ and 0 elsewhere. With
ε = e^−α quadratic tables leak 2dε however large the canvas, but their scores grow with
its square (:func:`quadratic_leak`). The scores of two-valued tables stay within dα, but
they leak to every token in the row and the column of the target
(:func:`two_valued_leak`).
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expressivity.atlas.canvas import OnTokens, token_grid
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.layers.tables import AxisTables
from expressivity.atlas.taps import one_head_a_tap
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

Tables = Literal["two-valued", "quadratic"]
Shifts = Int[Tensor, " shifts"]
Centers = Int[Tensor, " heads"]
Factors = tuple[Float[Tensor, "shifts width"], Float[Tensor, "heads width"]]


def two_valued_leak(alpha: float, canvas_size: Sequence[int]) -> float:
    """Return the probability off the target of a head with two-valued tables.

    Args:
        alpha: The value of the target above the other, in each table.
        canvas_size: Tokens per axis.

    Returns:
        1 − Π 1 / (1 + (tokens − 1) e^−α): the same for every target on the canvas.

    Example:
        >>> round(two_valued_leak(math.log(2), (3, 2)), 12)  # 1 − 1 / (2 · 1.5)
        0.666666666667
    """
    others = sum(math.log1p((tokens - 1) * math.exp(-alpha)) for tokens in canvas_size)
    return -math.expm1(-others)


def quadratic_leak(alpha: float, canvas_size: Sequence[int]) -> float:
    """Return the largest probability off the target of a head with quadratic tables.

    Args:
        alpha: Locality strength, 1/pixel².
        canvas_size: Tokens per axis.

    Returns:
        That of the token in the middle: 2d e^−α to first order, once the canvas has
        three tokens an axis, however many more.

    Example:
        >>> round(quadratic_leak(20.0, (9, 7)) / (4 * math.exp(-20.0)), 6)
        1.0
    """
    others = 0.0
    for tokens in canvas_size:
        middle = tokens // 2
        steps = (k - middle for k in range(tokens) if k != middle)
        others += math.log1p(sum(math.exp(-alpha * n * n) for n in steps))
    return -math.expm1(-others)


def construct(
    conv: Convolution, size: Size, alpha: float, tables: Tables = "two-valued"
) -> nn.Module:
    """Return attention by axis tables that computes a convolution.

    Args:
        conv: Any convolution whose padding is tokens.
        size: Pixels per axis of the input, for which the tables are made.
        alpha: Score of the target above that of its neighbour.
        tables: What the tables hold, ``"two-valued"`` or ``"quadratic"``.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the convolution pads by replication, or ``tables`` is
            another word.
    """
    grid = token_grid(conv, size)
    centers = ConvGeometry.from_conv(conv).centers()
    fill = {"two-valued": _two_valued, "quadratic": _quadratic}.get(tables)
    if fill is None:
        raise ArgumentError(f"tables needs 'two-valued' or 'quadratic', got {tables!r}")
    parts = [
        fill(torch.arange(1 - tokens, tokens, device="cpu"), center)
        for tokens, center in zip(grid.canvas_size, centers.mT, strict=True)
    ]
    width = max(encoding.shape[1] for encoding, _ in parts)
    scores = AxisTables(grid.canvas_size, heads=len(centers), encoding_dim=width)
    scores.double()
    with torch.no_grad():
        scores.head_vectors.zero_()
        for axis, (encoding, vectors) in enumerate(parts):
            used = vectors.shape[1]
            scores.encodings[axis].zero_()[:, :used] = encoding
            start = axis * width
            scores.head_vectors[:, start : start + used] = alpha * vectors
    return OnTokens(one_head_a_tap(conv, scores, content=False), grid)


def _two_valued(shifts: Shifts, centers: Centers) -> Factors:
    """Return 1[δ = Δ] as a product of an encoding of δ and a vector of the head."""
    kinds = centers.unique()
    return (shifts[:, None] == kinds).double(), (centers[:, None] == kinds).double()


def _quadratic(shifts: Shifts, centers: Centers) -> Factors:
    """Return −(δ − Δ)² + Δ² as such a product."""
    shifts, centers = shifts.double(), centers.double()
    vectors = torch.stack([-torch.ones_like(centers), 2 * centers], 1)
    return torch.stack([shifts.square(), shifts], 1), vectors


FAMILIES = (
    Family(
        name="tables",
        title="learned axis-additive tables",
        claim=Claim(
            "Computes every convolution: two-valued tables leak "
            "1 − 1/((1 + (H − 1)ε)(1 + (W − 1)ε)), quadratic ones 4ε, ε = e^−α.",
            (
                "padding tokens",
                "a fixed canvas",
                "one head a tap",
                "head dimension no less than the rank of a tap",
                "K numbers of encoding an axis, two for quadratic tables",
            ),
            "Cordonnier, Loukas, Jaggi (2020)",
        ),
        heads="K²",
        constructor=construct,
    ),
)
