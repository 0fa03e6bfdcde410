"""Quadratic scores as inner products of a query and a key, in digits that lose nothing.

A quadratic score is an inner product of a vector of the query and one of the key, so
that any kernel for attention computes it: statement ``absolute_factorisation`` in
``proofs/``. The numbers are large and nearly cancel; :func:`absolute_factors` splits
them in digits that lose nothing.
"""

import math
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
        The digits, the largest first; the rest is below 2^−(bits · count) of the
        value. Derivatives go through the first digit.

    Example:
        >>> [d.item() for d in digits(torch.tensor(1001.0), bits=8, count=2)]
        [1000.0, 1.0]
    """
    first_to_last = []
    with torch.no_grad():
        rest = values
        for _ in range(count):
            digit = _rounded(rest, bits)
            first_to_last.append(digit)
            rest = rest - digit
    return [values + (first_to_last[0] - values).detach(), *first_to_last[1:]]


def _rounded(values: Tensor, bits: int) -> Tensor:
    """Round numbers to so many significant bits."""
    if torch.onnx.is_in_onnx_export():  # ONNX has no frexp
        # Veltkamp's splitting. A compiler that reorders sums would undo it.
        precision = 1 - math.log2(torch.finfo(values.dtype).eps)
        scaled = (2.0 ** max(precision - bits, 0.0) + 1) * values
        digit: Tensor = scaled - (scaled - values)
        return digit
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)


def factor_scale(size: int) -> float:
    """Return the power of two that multiplies factors of keys and divides queries'.

    It balances both, so that float16 holds them for α up to a thousand.

    Args:
        size: The largest of the keys' numbers.

    Example:
        >>> factor_scale(4095), factor_scale(1)
        (1.0, 2048.0)
    """
    return 2.0 ** (_KEY_BITS - size.bit_length())


def left_out(*, bits: int, levels: int) -> float:
    """Return what :func:`absolute_factors` leaves out of a product, at most.

    The number is relative to the product's size, and zero where one digit holds all of
    float64. Arguments are those of :func:`absolute_factors`.

    Example:
        >>> left_out(bits=8, levels=3) < 2**-21, left_out(bits=53, levels=1)
        (True, 0.0)
    """
    if bits >= torch.finfo(torch.float64).bits - 11:
        return 0.0
    # Digit i of either is at most 2^−bits·i (1 + 2^−bits) of its number. Left out
    # are pairs whose places add up to the levels or more, and the rest of each number.
    return (levels + 1) * 2.0 ** (-bits * levels) * (1 + 2.0 ** (3 - bits))


def factor_pairs(
    keys: Sequence[range], *, bits: int, levels: int
) -> list[tuple[int, int]]:
    """Return the pairs of a query's and a key's digit in :func:`absolute_factors`.

    The leading digits come first. Digits are numbered place by place, over all terms.
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

    Every number in them has few significant bits: a cast to a dtype with as many is
    exact, and so is every product of two in float32. The leading digits come first, so
    that large numbers have cancelled before small ones are added.

    Args:
        quadratic: a of each query, 1/pixel².
        linear: b, 1/pixel.
        constant: c.
        keys: Key positions k along each axis, in pixels, near the origin.
        bits: Significant bits of each number.
        levels: Digits of each product that are kept.

    Returns:
        Factors of the queries, and of the keys in row-major order. For −α ‖k − t‖² take
        a = −α, b = 2αt, c = −α ‖t‖².

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
    scaled_queries = [q / s for q, s in zip(queries, scales, strict=True)]
    scaled_tokens = [k * s for k, s in zip(tokens, scales, strict=True)]
    pairs = factor_pairs(keys, bits=bits, levels=levels)
    query_digits, token_digits = (
        torch.cat(digits(torch.stack(terms, -1), bits=bits, count=levels), -1)
        for terms in (scaled_queries, scaled_tokens)
    )
    by_query, by_token = query_digits.unbind(-1), token_digits.unbind(-1)
    return (
        torch.stack([by_query[i] for i, _ in pairs], -1),
        torch.stack([by_token[j] for _, j in pairs], -1),
    )
