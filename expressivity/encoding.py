"""Quadratic relative positional encoding: scores before the softmax.

Lemma 2 of the paper: with the encoding r_δ = (‖δ‖², δ) of a displacement δ = k − q
and the vector v_h = −α_h (1, −2Δ_h) of a head,

    v_h · r_δ = −α_h (‖δ − Δ_h‖² − ‖Δ_h‖²).

The term α_h ‖Δ_h‖² is the same for every key and drops out of the softmax. Scores
are therefore computed as −α_h ‖δ − Δ_h‖², a sum over axes that loses no digits: it
is exactly 0 at the target. :func:`relative_encoding` and :func:`head_vectors` are
the paper's own factors.

A quadratic score is an inner product of a vector of the query and one of the key as
well (DESIGN 2.7), so that any kernel for attention computes it. The numbers are large
and nearly cancel; :func:`absolute_factors` splits them in digits that lose nothing.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

_KEY_BITS = 12  # of the factors of keys


def positions(points: range, device: torch.device) -> Int[Tensor, " points"]:
    """Return positions along an axis as a tensor.

    Args:
        points: In pixels.
        device: Where to put the result.

    Returns:
        The same integers.
    """
    return torch.arange(points.start, points.stop, points.step, device=device)


def relative_encoding(
    displacement: Shaped[Tensor, "*grid axes"],
) -> Shaped[Tensor, "*grid axes_plus_1"]:
    """Return r_δ = (‖δ‖², δ₁, …, δ_d) (equation 9).

    Args:
        displacement: Key minus query, in pixels.

    Returns:
        The encodings, last dimension D_p = d + 1.

    Example:
        >>> relative_encoding(torch.tensor([[3.0, -4.0]])).tolist()
        [[25.0, 3.0, -4.0]]
    """
    squares = displacement.square().sum(-1, keepdim=True)
    return torch.cat([squares, displacement], dim=-1)


def head_vectors(
    alpha: Float[Tensor, " heads"], centers: Float[Tensor, "heads axes"]
) -> Float[Tensor, "heads axes_plus_1"]:
    """Return v_h = −α_h (1, −2Δ_h) (equation 9).

    Args:
        alpha: Locality strengths, 1/pixel².
        centers: Attention centers, in pixels.

    Returns:
        One vector a head.

    Example:
        >>> head_vectors(torch.tensor([2.0]), torch.tensor([[1.0, 0.0]])).tolist()
        [[-2.0, 4.0, 0.0]]
    """
    ones = torch.ones_like(centers[:, :1])
    return -alpha[:, None] * torch.cat([ones, -2 * centers], dim=-1)


def axis_scores(
    targets: Shaped[Tensor, "*targets"], keys: int, alpha: Float[Tensor, "..."]
) -> Float[Tensor, "*targets keys"]:
    """Return −α (k − t)² along one axis of the canvas.

    Args:
        targets: Positions t = q + Δ, in pixels of the canvas, on or off it.
        keys: Number of tokens of the axis, at positions 0, …, keys − 1.
        alpha: Locality strength, 1/pixel², broadcast against ``targets``.

    Returns:
        The share of this axis in the scores.
    """
    positions = torch.arange(keys, device=alpha.device, dtype=alpha.dtype)
    gap = positions - targets.to(alpha.dtype)[..., None]
    return -alpha[..., None] * gap.square()


def positional_scores(
    alpha: Float[Tensor, " heads"],
    centers: Float[Tensor, "heads axes"],
    queries: Sequence[range],
    canvas_size: Sequence[int],
) -> Float[Tensor, "heads queries keys"]:
    """Return −α_h ‖k − q − Δ_h‖² for every head, query and key.

    Args:
        alpha: Locality strengths, 1/pixel².
        centers: Attention centers, in pixels.
        queries: Query positions along each axis.
        canvas_size: Tokens along each axis.

    Returns:
        Scores v_h · r_δ up to the constant α_h ‖Δ_h‖² of each head; queries and
        keys are flattened in row-major order.
    """
    axes, heads = len(canvas_size), len(alpha)
    shape = [heads] + [len(query) for query in queries] + list(canvas_size)
    scores = alpha.new_zeros(())
    for axis, (query, keys) in enumerate(zip(queries, canvas_size, strict=True)):
        targets = positions(query, alpha.device) + centers[:, axis, None]
        share = axis_scores(targets, keys, alpha[:, None])
        view = [heads] + [1] * (2 * axes)
        view[1 + axis], view[1 + axes + axis] = len(query), keys
        scores = scores + share.reshape(view)
    return scores.expand(shape).flatten(1 + axes).flatten(1, axes)


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
    places = torch.cartesian_prod(*(positions(p, linear.device) for p in keys))
    places = places.reshape(-1, len(keys)).to(linear.dtype)
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
