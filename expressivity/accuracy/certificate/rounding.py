"""What rounding adds to an attention layer and to a convolution, at most.

Both are sums of products of stored numbers. Each product takes part in a known number
of rounded operations, so that an output is off by at most

    M · ((1 + u)^casts (1 + u')^terms − 1),    M = Σ_h |W_out| |W_val| B + |b|,

u of the dtype for what is written to memory, u' of the accumulator for what is added
up. Attention comes on top, as Σ_k |p̂_k − p_k| of every head; what a strategy neglects
as well. The counts are in ``models``. What is smaller than the smallest normal number
may be flushed to zero, on both sides of a product.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.certificate.arithmetic import Arithmetic
from expressivity.accuracy.certificate.models import MODELS, Counts, Setting
from expressivity.accuracy.certificate.ranges import (
    products,
    require_in_range,
    require_values,
    subnormal,
)
from expressivity.accuracy.snapshot import Snapshot
from expressivity.errors import CertificateError
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.numbers.precision import compute_dtype


@dataclass(frozen=True)
class Sizes:
    """What an output is a sum of, by size, for inputs within ±1; a row per channel.

    Attributes:
        of_inputs: Σ |W_out| |W_val|, by head.
        of_values: Σ |W_out|: what a number in between is multiplied by.
        flushed: What of the first is due to numbers that may be taken for zero.
        entries: Entries of matrices that are composed beforehand.
    """

    of_inputs: Float[Tensor, "out_channels heads"]
    of_values: Float[Tensor, " out_channels"]
    flushed: Float[Tensor, " out_channels"]
    entries: int

    @classmethod
    def of_heads(cls, heads: Heads, counts: Counts, tiny: float) -> "Sizes":
        """Add the parameters of a layer up; ``tiny`` is the smallest normal number."""
        absolute = [w.detach().double().cpu().abs() for w in heads.projections]
        small = [subnormal(w, tiny) for w in absolute]
        flushed = [
            products([*absolute[:place], small[place], *absolute[place + 1 :]])
            for place in range(len(absolute))
            if bool(small[place].any())
        ]
        of_inputs = products(absolute)
        entries = math.prod(heads.projections[-1].shape[2:]) if counts.composed else 0
        return cls(
            of_inputs,
            absolute[0].sum(dim=(2, 3)).flatten(),
            sum(flushed, torch.zeros_like(of_inputs)).sum(1),
            entries,
        )

    @classmethod
    def of_kernel(cls, weight: Tensor, tiny: float) -> "Sizes":
        """Add the kernel of a convolution up, as if it were one head."""
        size = weight.detach().double().cpu().abs().flatten(1)
        total = size.sum(1)
        return cls(
            total[:, None], torch.zeros_like(total), subnormal(size, tiny).sum(1), 0
        )


def layer_rounding(
    layer: Snapshot,
    grid: Grid,
    strategy: str,
    bound: float,
    *,
    smaller_too: bool = False,
) -> Float[Tensor, " out_channels"]:
    """Return how far the computed output of a layer is from its exact one, at most.

    Args:
        layer: A layer without content terms.
        grid: Canvas and queries, the largest of interest.
        strategy: Name of the strategy that evaluates it.
        bound: Largest ‖x‖_∞.
        smaller_too: Whether all smaller canvases are meant as well.

    Returns:
        One number per output channel, in float64, rounded upward.

    Raises:
        CertificateError: If nothing is known of the strategy, or numbers may leave the
            range of the dtype.
    """
    if strategy not in MODELS:
        raise CertificateError(
            f"nothing is known of how strategy {strategy!r} rounds: use one of "
            f"{', '.join(MODELS)}"
        )
    heads, dtype = layer.heads, layer.heads.dtype
    setting = Setting(
        heads,
        grid,
        dtype,
        tuple(layer.alpha.tolist()),
        tuple(map(tuple, layer.centers.tolist())),
        smaller_too,
    )
    counts = MODELS[strategy](setting)
    carried = compute_dtype(dtype) if strategy == "dense" else dtype
    require_values(heads, bound, counts.lost, carried)
    sizes = Sizes.of_heads(heads, counts, Arithmetic.of(dtype).stored_tiny)
    tokens = math.prod(grid.canvas_size)
    return _rounded(sizes, bound, heads.bias, counts, dtype, tokens=tokens)


def convolution_rounding(
    conv: Convolution, bound: float
) -> Float[Tensor, " out_channels"]:
    """Bound |computed − exact| of torch's convolution, per output channel."""
    dtype = conv.weight.dtype
    counts = Counts(3, conv.weight[0].numel() + 1, (0.0,))
    sizes = Sizes.of_kernel(conv.weight, Arithmetic.of(dtype).stored_tiny)
    return _rounded(sizes, bound, conv.bias, counts, dtype)


def _rounded(
    sizes: Sizes,
    bound: float,
    bias: Tensor | None,
    counts: Counts,
    dtype: torch.dtype,
    *,
    tokens: int = 0,
) -> Tensor:
    """Put sizes of what is summed and the counts of its roundings together."""
    arithmetic = Arithmetic.of(dtype)
    losses = torch.tensor(counts.lost, dtype=torch.float64, device="cpu")
    summed = sizes.of_inputs @ (1 + losses) * bound
    lost = sizes.of_inputs @ losses * bound
    if bias is not None:
        bias_sizes = bias.detach().double().cpu().abs()
        summed, lost = summed + bias_sizes, lost + counts.lost_of_bias * bias_sizes
    require_in_range("outputs", float(summed.max()), dtype)
    growth = arithmetic.growth(casts=counts.casts, terms=counts.terms)
    # A result that underflows is off by a tiny number, and is then multiplied like the
    # rest; an operand that is taken for zero takes all with it that it would add.
    accumulated = (counts.terms + tokens) * arithmetic.computed_tiny
    tiny = counts.casts * arithmetic.stored_tiny + accumulated
    inputs = sizes.of_inputs.sum(1)
    gain = len(losses) + inputs + sizes.of_values + bound * sizes.entries
    below = tiny * gain + sizes.flushed * bound + arithmetic.stored_tiny * inputs
    below = below * (1 + growth) * (1 + float(losses.max()))
    return (summed * growth + lost + below) * (1 + 1e-9)
