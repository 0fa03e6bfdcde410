"""Quadratic scores as inner products of a query and a key, in digits that lose nothing.

A quadratic score is an inner product of a vector of the query and one of the key
(DESIGN 2.7), so that any kernel for attention computes it. The numbers are large and
nearly cancel; :func:`absolute_factors` splits them in digits that lose nothing.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.positions import grid_positions

_KEY_BITS = 12  # of the factors of keys


def digits(values: Float[Tensor, "..."], *, bits: int, count: int) -> list[Tensor]:
    """Split numbers into a sum of numbers with few significant bits.

    Args:
        values: Any numbers.
        bits: Significant bits of a digit.
        count: Number of digits.

    Returns:
        The digits, the largest first; what is left over is below 2^−(bits · count)
        of the value. Derivatives go through the first.

    Example:
        >>> [d.item() for d in digits(torch.tensor(1001.0), bits=8, count=2)]
        [1000.0, 1.0]
    """
    found = []
    with torch.no_grad():
        left = values
        for _ in range(count):
            mantissa, exponent = torch.frexp(left)
            digit = torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
            found.append(digit)
            left = left - digit
    return [values + (found[0] - values).detach(), *found[1:]]


def factor_scale(size: int) -> float:
    """Return what the factors of keys are multiplied by, and those of queries divided.

    It is shared out between both, so that float16 holds them for α up to a thousand.

    Args:
        size: The largest of the keys' numbers.

    Returns:
        A power of two.

    Example:
        >>> factor_scale(4095), factor_scale(1)
        (1.0, 2048.0)
    """
    return 2.0 ** (_KEY_BITS - size.bit_length())


def left_out(*, bits: int, levels: int) -> float:
    """Return what :func:`absolute_factors` leaves out of a product, at most.

    Args:
        bits: Significant bits of a digit.
        levels: Digits of each product that are kept.

    Returns:
        Parts of the product's size. Nothing where one digit holds all of float64.

    Example:
        >>> left_out(bits=8, levels=3) < 2**-21, left_out(bits=53, levels=1)
        (True, 0.0)
    """
    if bits >= torch.finfo(torch.float64).bits - 11:
        return 0.0
    # Digit i of either is at most 2^−bits·i (1 + 2^−bits) of its number: those whose
    # places add up to the levels or more are left out, and what follows the last digit.
    return (levels + 1) * 2.0 ** (-bits * levels) * (1 + 2.0 ** (3 - bits))


def factor_pairs(
    keys: Sequence[range], *, bits: int, levels: int
) -> list[tuple[int, int]]:
    """Return which digits :func:`absolute_factors` multiplies.

    Args:
        keys: Key positions along each axis, in pixels.
        bits: Significant bits of a digit.
        levels: Digits of each product that are kept.

    Returns:
        Which digit of a query with which of a key, the leading ones first. Digits are
        counted over all terms, those of one place after the other.
    """
    sizes = _sizes(keys)
    # A whole number has no more digits than its bits fill.
    filled = [min(levels, 1 + size.bit_length() // bits) for size in sizes]
    return [
        (term + (level - place) * len(sizes), term + place * len(sizes))
        for level in range(levels)
        for term, count in enumerate(filled)
        for place in range(min(level + 1, count))
    ]


def _sizes(keys: Sequence[range]) -> list[int]:
    """Return the largest of the keys' numbers: k of each axis, ‖k‖², one."""
    reach = [max(abs(points[0]), abs(points[-1])) for points in keys]
    return [*reach, sum(extent * extent for extent in reach), 1]


def absolute_factors(
    quadratic: Float[Tensor, "*batch queries"],
    linear: Float[Tensor, "*batch queries axes"],
    constant: Float[Tensor, "*batch queries"],
    keys: Sequence[range],
    *,
    bits: int,
    levels: int,
) -> tuple[Float[Tensor, "*batch queries factors"], Float[Tensor, "keys factors"]]:
    """Return vectors whose inner products are a ‖k‖² + b · k + c.

    Every number in them has few significant bits, so that it survives a cast to a
    dtype that holds as many, and every product of two is exact in float32. The
    leading digits come first: what is large has cancelled before the rest is added.

    Args:
        quadratic: a of each query, 1/pixel².
        linear: b, 1/pixel.
        constant: c.
        keys: Key positions k along each axis, in pixels, near the origin.
        bits: Significant bits of each number.
        levels: Digits of each product that are kept.

    Returns:
        Factors of the queries, and of the keys in row-major order.

    Reference:
        DESIGN 2.7: −α ‖k − t‖² has a = −α, b = 2αt, c = −α ‖t‖².

    Example:
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> query, key = absolute_factors(
        ...     one, -4 * one[None], 4 * one, [range(1, 4)], bits=8, levels=2
        ... )  # (k − 2)²
        >>> (query @ key.mT).tolist()
        [[1.0, 0.0, 1.0]]
    """
    places = grid_positions(keys, linear.device, linear.dtype)
    scales = [factor_scale(size) for size in _sizes(keys)]
    squares = places.square().sum(-1)
    queries = [*linear.unbind(-1), quadratic, constant]
    tokens = [*places.unbind(-1), squares, torch.ones_like(squares)]
    asked = torch.stack([q / s for q, s in zip(queries, scales, strict=True)], -1)
    looked = torch.stack([k * s for k, s in zip(tokens, scales, strict=True)], -1)
    chosen = factor_pairs(keys, bits=bits, levels=levels)
    columns = [
        torch.cat(digits(numbers, bits=bits, count=levels), -1).unbind(-1)
        for numbers in (asked, looked)
    ]
    return (
        torch.stack([columns[0][i] for i, _ in chosen], -1),
        torch.stack([columns[1][j] for _, j in chosen], -1),
    )
