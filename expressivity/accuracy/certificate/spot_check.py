"""Evaluate the worst input of a certificate, here and now.

A certificate assumes an arithmetic. Whether this processor, with its libraries and
settings, has that arithmetic cannot be known in general, but one evaluation shows
the worst of what is wrong: the layer and the convolution are compared with each other,
and each with itself in float64.

Nothing of the layer changes: parameters are used as they are, nothing is kept, no
random number is drawn, no hook runs.
"""

from dataclasses import replace
from math import prod
from types import EllipsisType

import torch
from torch import Tensor

from expressivity.accuracy.snapshot import Snapshot
from expressivity.errors import CertificateError, InputError, StrategyError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid
from expressivity.heads.memo import Memo
from expressivity.heads.parameters import Heads
from expressivity.stock import multihead
from expressivity.strategies import select
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


def fits(layer: Snapshot, size: tuple[int, ...], strategy: str) -> bool:
    """Return whether evaluating an input takes little enough memory.

    It does not depend on the memory that is free, so that a certificate says the same
    on every machine.

    Args:
        layer: The layer.
        size: Pixels per axis.
        strategy: The strategy that evaluates it.

    Returns:
        Whether it is evaluated.
    """
    heads, grid = layer.heads, Grid.of(layer.layer.geometry, size)
    x = heads.alpha.new_empty((), dtype=torch.float64)
    x = x.expand(1, layer.layer.in_channels, *size)
    if strategy == "dense":
        return bytes_needed(heads, grid, x) <= LARGEST_BYTES
    return _numbers(heads, grid, x) * 8 <= LARGEST_BYTES


def _corner(geometry: ConvGeometry, worst: Tensor) -> Tensor | None:
    """Return as much of an input as yields one output, if the layer takes that."""
    fewest = [
        max(1, extent - before - after)
        for extent, (before, after) in zip(
            geometry.extent, geometry.padding, strict=True
        )
    ]
    try:
        Grid.of(geometry, fewest)
    except InputError:  # padding by reflection or around needs more pixels
        return None
    corner: tuple[EllipsisType | slice, ...] = (..., *map(slice, fewest))
    return worst[corner]


def require_bounds(
    layer: Snapshot,
    conv: Convolution,
    worst: Tensor,
    strategy: str,
    *,
    every_size: bool,
    layer_bound: Tensor,
    conv_bound: Tensor,
    difference_bound: Tensor,
) -> None:
    """Refuse a certificate that its own worst input exceeds.

    Args:
        layer: The layer.
        conv: A plain convolution.
        worst: The worst input, (1, in_channels, *size), in the dtype of the layer.
        strategy: The strategy that evaluates the layer.
        every_size: Whether other sizes are certified, too: then a corner of the input
            is evaluated as well, since libraries have code of their own for a single
            output pixel.
        layer_bound: What rounding adds to the layer, at most, per output channel.
        conv_bound: What it adds to the convolution, at most.
        difference_bound: How far one is from the other, at most.

    Raises:
        CertificateError: If one of the three is exceeded, or the strategy cannot
            evaluate the input here.
    """
    geometry = layer.layer.geometry
    corner = _corner(geometry, worst) if every_size else None
    heads = replace(layer.heads, memo=Memo(), placement=None)
    for some in (worst, corner):
        if some is None:
            continue
        x = some.to(heads.alpha.device)
        images = _images(heads, Grid.of(geometry, x.shape[2:]), strategy)
        many = x.expand(images, *x.shape[1:]).contiguous()
        with torch.no_grad():
            try:
                attended, convolved = _computed(heads, geometry, conv, many, strategy)
            except StrategyError as error:
                raise CertificateError(
                    f"the worst input cannot be evaluated by {strategy!r} here: {error}"
                ) from error
            claim = "the layer and the convolution differ"
            _require(claim, attended, convolved, difference_bound)
            if x.dtype == torch.float64:
                continue
            exact = _computed(_double(heads), geometry, conv, x.double(), "separable")
            claim = "the layer and the layer in float64 differ"
            _require(claim, attended, exact[0], layer_bound)
            claim = "the convolution and the convolution in float64 differ"
            _require(claim, convolved, exact[1], conv_bound)


def _computed(
    heads: Heads,
    geometry: ConvGeometry,
    conv: Convolution,
    x: Tensor,
    strategy: str,
) -> tuple[Tensor, Tensor]:
    """Return what both compute, in the dtype of the input, without any hooks."""
    grid = Grid.of(geometry, x.shape[2:])
    bias = None if conv.bias is None else conv.bias.to(x.dtype)
    convolved = conv._conv_forward(x, conv.weight.to(x.dtype), bias)
    if strategy == multihead.NAME:
        return multihead.evaluated(heads, grid, x), convolved
    runner = select(strategy, heads, grid, x)
    return runner.attend(heads, grid, x).to(x.dtype), convolved


def _require(claim: str, one: Tensor, other: Tensor, bound: Tensor) -> None:
    gap = (one.double() - other.double()).abs().flatten(2).amax((0, 2)).cpu()
    within = gap <= bound * _MARGIN
    if not bool(within.all()):
        excess = (gap / bound).nan_to_num(nan=torch.inf)
        channel = int(excess.masked_fill(within, -1.0).argmax())
        raise CertificateError(
            f"on the worst input {claim} by {float(gap[channel]):.3g} in channel "
            f"{channel}, at most {float(bound[channel]):.3g} can be certified: this "
            "processor, a library or a setting does not compute as certificates assume"
        )


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
