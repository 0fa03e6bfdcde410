"""A layer that is affine, as the matrix that it is: its worst case on one size.

A layer whose scores do not depend on the tokens is an affine map. Its values on the
unit images are the whole map and no sample of it. So two such layers can be compared
on every input, whatever their geometries are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

_UNIT = 2.0**-53


@dataclass(frozen=True)
class Affine:
    """A layer as x ↦ A x + b on inputs of one size.

    Attributes:
        matrix: A, (outputs, inputs), channels and pixels in row-major order.
        offset: b.
        output_size: Channels and pixels of the output.
    """

    matrix: Float[Tensor, "outputs inputs"]
    offset: Float[Tensor, " outputs"]
    output_size: tuple[int, ...]

    @classmethod
    def of(cls, layer: nn.Module, channels: int, size: Sequence[int]) -> "Affine":
        """Evaluate a layer on zeros and on every unit image, in float64.

        Args:
            layer: An affine layer in float64, on the CPU.
            channels: Channels of its input.
            size: Pixels per axis of its input.

        Returns:
            The map.
        """
        inputs = channels * math.prod(size)
        images = torch.cat([
            torch.zeros(1, inputs, dtype=torch.float64, device="cpu"),
            torch.eye(inputs, dtype=torch.float64, device="cpu"),
        ]).reshape(-1, channels, *size)
        with torch.no_grad():
            outputs = layer(images)
        rows = outputs.flatten(1)
        return cls((rows[1:] - rows[0]).mT, rows[0], tuple(outputs.shape[1:]))


@dataclass(frozen=True)
class WorstCase:
    """The largest difference of two layers over all inputs within a bound.

    Attributes:
        bound: No input exceeds it.
        attained: What the input attains.
        x: The input, (1, in_channels, *size), float64.
        output: The output position that shows it, per axis.
        basis: How the bound was found.
    """

    bound: float
    attained: float
    x: Float[Tensor, "one in_channels ..."]
    output: tuple[int, ...]
    basis: str


def worst_case(
    first: Affine,
    second: Affine,
    *,
    channels: int,
    size: Sequence[int],
    input_bound: float = 1.0,
) -> WorstCase:
    """Return the ℓ₁ norm of the worst row of a difference, and its signs.

    Args:
        first: A layer.
        second: Another, with outputs of the same size.
        channels: Channels of the input.
        size: Pixels per axis of the input.
        input_bound: Largest ‖x‖_∞.

    Returns:
        The worst case; its bound has a margin for the rounding of float64.

    Reference:
        Statement ``worst_case`` in ``proofs/``.
    """
    gap, offset = first.matrix - second.matrix, first.offset - second.offset
    sizes = gap.abs().sum(1) * input_bound + offset.abs()
    row = int(sizes.argmax())
    signs = gap[row].sign() * (-1.0 if offset[row] < 0 else 1.0)
    # Entries are sums over heads and keys of products below their sizes.
    scale = max(float(m.matrix.abs().sum(1).max()) for m in (first, second))
    margin = (
        64 * gap.shape[1] * _UNIT * (scale * input_bound + float(offset.abs().max()))
    )
    place = torch.unravel_index(torch.tensor(row, device="cpu"), first.output_size)
    return WorstCase(
        float(sizes[row]) + margin,
        max(0.0, float(sizes[row]) - margin),
        (input_bound * signs).reshape(1, channels, *size),
        tuple(int(index) for index in place[1:]),
        "exact worst case",
    )
