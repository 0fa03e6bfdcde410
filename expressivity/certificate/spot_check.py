"""Evaluate the worst input of a certificate, here and now.

A certificate assumes an arithmetic. Whether this processor, with its libraries and
settings, has that arithmetic cannot be known in general, but one evaluation shows
the worst of what is wrong: the layer and the convolution are compared with each other,
and each with itself in float64.

Nothing of the layer changes: parameters are used as they are, nothing is kept, no
random number is drawn, no hook runs.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from types import EllipsisType

import torch
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.errors import CertificateError, InputError, StrategyError
from expressivity.geometry import Convolution
from expressivity.grid import Grid
from expressivity.strategies import Heads, Memo, select
from expressivity.strategies.dense import bytes_needed

# Evaluations that need more are left out, and the certificate says so.
LARGEST_BYTES = 2**30
NOT_EVALUATED = (
    "arithmetic here is as said: evaluating the worst input to see takes more than "
    f"{LARGEST_BYTES // 2**30} GiB, and was left out"
)
# Some libraries compute otherwise from two images on, others from 16 on.
_MOST_IMAGES = 16
_CHEAP = 2**26  # multiplications
# Float64 has its own rounding, which is smaller by far.
_MARGIN = 1 + 2.0**-20


def fits(
    attention: RelativeSelfAttention, size: tuple[int, ...], strategy: str
) -> bool:
    """Return whether evaluating an input takes little enough memory.

    It does not depend on the memory that is free, so that a certificate says the same
    on every machine.

    Args:
        attention: The layer.
        size: Pixels per axis.
        strategy: The strategy that evaluates it.

    Returns:
        Whether it is evaluated.
    """
    grid = Grid.of(attention.geometry, size)
    heads = attention.heads()
    x = attention.alpha.new_empty((), dtype=torch.float64)
    x = x.expand(1, attention.in_channels, *size)
    if strategy == "dense":
        return bytes_needed(heads, grid, x) <= LARGEST_BYTES
    return _numbers(heads, grid, x) * 8 <= LARGEST_BYTES


def inputs_for(
    attention: RelativeSelfAttention, worst: Tensor, *, every_size: bool
) -> list[Tensor]:
    """Return what is evaluated: the worst input, and its corner.

    Args:
        attention: The layer.
        worst: The worst input, (1, in_channels, *size).
        every_size: Whether other sizes are certified, too. Libraries have code of
            their own for a single output pixel.

    Returns:
        One input, or two.
    """
    geometry = attention.geometry
    fewest = [
        max(1, extent - before - after)
        for extent, (before, after) in zip(
            geometry.extent, geometry.padding, strict=True
        )
    ]
    if not every_size:
        return [worst]
    try:
        Grid.of(geometry, fewest)
    except InputError:  # padding by reflection or around needs more pixels
        return [worst]
    corner: tuple[EllipsisType | slice, ...] = (..., *map(slice, fewest))
    return [worst, worst[corner]]


def require_bound(
    attention: RelativeSelfAttention,
    conv: Convolution,
    x: Tensor,
    strategy: str,
    *,
    layer: Tensor,
    convolution: Tensor,
    both: Tensor,
) -> None:
    """Refuse a certificate that its own worst input exceeds.

    Args:
        attention: The layer.
        conv: A plain convolution.
        x: The worst input, (1, in_channels, *size), in the dtype of the layer.
        strategy: The strategy that evaluates the layer.
        layer: What rounding adds to the layer, at most, per output channel.
        convolution: What it adds to the convolution, at most.
        both: How far one is from the other, at most.

    Raises:
        CertificateError: If one of the three is exceeded, or the strategy cannot
            evaluate the input here.
    """
    heads = replace(attention.heads(), memo=Memo(), placement=None)
    grid, dtype = Grid.of(attention.geometry, x.shape[2:]), attention.dtype
    with torch.no_grad():
        x = x.to(heads.alpha.device)
        many = x.expand(_images(heads, grid, strategy), *x.shape[1:]).contiguous()
        try:
            attended = _attended(heads, grid, many, strategy)
        except StrategyError as error:
            raise CertificateError(
                f"the worst input cannot be evaluated by {strategy!r} here: {error}"
            ) from error
        convolved = _convolved(conv, many, lambda p: p)
        _require("the layer and the convolution differ", attended, convolved, both)
        if dtype == torch.float64:
            return
        wide = x.double()
        exact = _attended(_double(heads), grid, wide, "separable")
        _require("the layer and the layer in float64 differ", attended, exact, layer)
        exact = _convolved(conv, wide, lambda p: p.double())
        said = "the convolution and the convolution in float64 differ"
        _require(said, convolved, exact, convolution)


def _require(said: str, one: Tensor, other: Tensor, bound: Tensor) -> None:
    gap = (one.double() - other.double()).abs().flatten(2).amax((0, 2)).cpu()
    within = gap <= bound * _MARGIN
    if not bool(within.all()):
        excess = (gap / bound).nan_to_num(nan=torch.inf)
        channel = int(excess.masked_fill(within, -1.0).argmax())
        raise CertificateError(
            f"on the worst input {said} by {float(gap[channel]):.3g} in channel "
            f"{channel}, at most {float(bound[channel]):.3g} can be certified: this "
            "processor, a library or a setting does not compute as certificates assume"
        )


def _attended(heads: Heads, grid: Grid, x: Tensor, strategy: str) -> Tensor:
    """Return what the layer computes, in the dtype of its input."""
    output = select(strategy, heads, grid, x).attend(heads, grid, x)
    return output.to(x.dtype)


def _convolved(
    conv: Convolution, x: Tensor, cast: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return what the convolution computes, without its hooks."""
    bias = None if conv.bias is None else cast(conv.bias)
    output: Tensor = conv._conv_forward(x, cast(conv.weight), bias)
    return output


def _double(heads: Heads) -> Heads:
    """Return the same parameters in float64."""

    def wide(parameter: Tensor | None) -> Tensor | None:
        return None if parameter is None else parameter.double()

    return replace(
        heads,
        alpha=heads.alpha.double(),
        centers=heads.centers.double(),
        value_weight=wide(heads.value_weight),
        output_weight=wide(heads.output_weight),
        bias=wide(heads.bias),
        memo=Memo(),
    )


def _images(heads: Heads, grid: Grid, strategy: str) -> int:
    """Return how many images are evaluated together: several where that is cheap."""
    queries = prod(map(len, grid.queries))
    keys = prod(grid.canvas_size)
    each = queries * sum(w.numel() for w in heads.projections)
    if strategy != "separable":
        each += len(heads.alpha) * queries * keys * heads.value_width
    return max(1, min(_MOST_IMAGES, _CHEAP // max(1, each)))


def _numbers(heads: Heads, grid: Grid, x: Tensor) -> int:
    """Return how many numbers are held at once, about: tokens, outputs, kernels."""
    tokens = prod(grid.canvas_size) * max(x.shape[1], heads.value_width)
    outputs = prod(map(len, grid.queries)) * heads.out_channels
    return 3 * (tokens + outputs)
