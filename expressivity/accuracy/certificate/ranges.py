"""Whether a number on the way to an output can leave the range of its dtype.

Bounds speak of numbers that are finite. Infinity and NaN are ruled out by bounding
every intermediate of every strategy. Below the range, numbers are lost: what
that does to an output is bounded here, too.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.certificate.attention_error import Axis
from expressivity.errors import CertificateError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads

# Sums are rounded on the way up.
_MARGIN = 4


def require_in_range(what: str, largest: float, dtype: torch.dtype) -> None:
    """Refuse numbers of this size, at most, that may leave the range of a dtype."""
    if not largest < torch.finfo(dtype).max / _MARGIN:
        raise CertificateError(
            f"{what} up to {largest:.3g} may leave the range of {dtype}: certify a "
            "smaller input_bound, smaller parameters or a wider dtype"
        )


def require_scores(alpha: float, axes: Sequence[Axis], dtype: torch.dtype) -> None:
    """Refuse scores −α(k − t)² of which no softmax is known.

    Scores of far pixels may be minus infinity; some pixel needs a finite one.

    Args:
        alpha: Locality strength, 1/pixel².
        axes: The canvas, as one head sees it.
        dtype: What scores are computed in.

    Raises:
        CertificateError: If a softmax may have nothing finite, or an infinity above it.
    """
    farthest = [axis.tokens + axis.farthest for axis in axes]
    require_in_range("squared distances", sum(f * f for f in farthest), dtype)
    nearest = [axis.outside + axis.fraction for axis in axes]
    extents = nearest if alpha > 0 else farthest
    require_in_range("scores", abs(alpha) * sum(k * k for k in extents), dtype)


def require_products(heads: Heads, crowd: int, dtype: torch.dtype) -> None:
    """Refuse composed matrices, added up ``crowd`` at a time, that may overflow."""
    outer, *inner = (w.detach().double().cpu().abs() for w in heads.projections)
    if inner:
        outer = torch.einsum("godh,gdh->goh", outer, inner[0].amax(2))
    require_in_range("composed projections", crowd * float(outer.max()), dtype)


def require_values(
    heads: Heads, bound: float, lost: Sequence[float], dtype: torch.dtype
) -> None:
    """Refuse tokens, values and averages of values that may overflow."""
    value = heads.value_weight
    largest = 1.0
    if value is not None:  # with the identity on the other side, or narrow
        largest = max(1.0, float(value.detach().double().cpu().abs().sum(2).max()))
    require_in_range("values", largest * bound * (1 + max(lost, default=0.0)), dtype)


def subnormal(weight: Tensor, tiny: float) -> Tensor:
    """Return |w| where it is below the smallest normal number, else 0."""
    size = weight.abs()
    return torch.where(size < tiny, size, torch.zeros_like(size))


def require_readable(parameters: Iterable[Tensor]) -> None:
    """Refuse subnormal numbers if this process takes them for zeros."""
    tiny = torch.finfo(torch.float64).smallest_normal
    if float(torch.tensor(tiny, dtype=torch.float64, device="cpu") / 2) > 0:
        return
    if any(_holds_subnormals(parameter) for parameter in parameters):
        raise CertificateError(
            "some parameters are subnormal numbers, which this process takes for "
            "zeros: call torch.set_flush_denormal(False)"
        )


def _holds_subnormals(parameter: Tensor) -> bool:
    """Whether some exponent is the smallest, and the digits are not zero."""
    dtype = parameter.dtype
    if dtype == torch.float16:  # read as float32, in which its numbers are normal
        return False
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    bits = parameter.detach().contiguous().view(integers)
    normal = torch.tensor(torch.finfo(dtype).smallest_normal, dtype=dtype, device="cpu")
    first = int(normal.view(integers))  # 1 in the exponent, no digits
    size = bits & torch.iinfo(integers).max
    return bool(((size > 0) & (size < first)).any())


def products(absolute: Sequence[Tensor]) -> Float[Tensor, "out_channels heads"]:
    """Return Σ|W_out||W_val|: what every head multiplies inputs within ±1 by."""
    inner = absolute[-1].sum(2)  # (groups, rows, heads)
    if len(absolute) == 1:
        return inner.flatten(0, 1)
    return torch.einsum("godh,gdh->goh", absolute[0], inner).flatten(0, 1)


def below_float64(
    heads: Heads, weight: Tensor, grid: Grid, bound: float
) -> Float[Tensor, " out_channels"]:
    """Return what an exact part loses below the range of float64, at most."""
    taps = weight.detach().double().cpu().abs().flatten(1)
    layer = products([w.detach().double().cpu().abs() for w in heads.projections])
    sizes = layer.sum(1) + taps.sum(1)
    terms = len(heads.alpha) * math.prod(grid.canvas_size) * weight.shape[1]
    each = terms * (1 + sizes) * max(1.0, bound)
    return torch.finfo(torch.float64).tiny * (1 + each)


def require_finite(what: str, numbers: Tensor) -> None:
    """Refuse bounds that are infinite or NaN."""
    largest = float(numbers.max()) if numbers.numel() else 0.0
    if not math.isfinite(largest) or not bool(numbers.isfinite().all()):
        raise CertificateError(
            f"{what} comes out as {largest}: parameters or input_bound leave the range "
            "of float64, in which it is computed. Use smaller ones"
        )
