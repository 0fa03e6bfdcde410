"""Error against α as data: measured, predicted, and the worst that could happen.

Three curves of one conversion on one input x, and the level below which a dtype
cannot go:

    measured     max |attention_α(x) − conv(x)|, attention in its own dtype
    predicted    max |e^−α · Conv_W(∇²x)|, the first order of the error
    worst case   ‖x‖_∞ · max ‖row of (attention − convolution)‖₁
    floor        u · max (Σ|W||x| + |b|), u = eps / 2 the unit roundoff
"""

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from expressivity.accuracy.first_order import first_order
from expressivity.accuracy.worst_case import converted
from expressivity.checks import Progress, check_positive, check_progress, shown
from expressivity.conversion.options import Options
from expressivity.conversion.to_attention import build_attention
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError, InputError
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import saturation_alpha
from expressivity.listing import Listing
from expressivity.results import Result, as_text, plotted, plotted_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOFTEST, POINTS = 0.5, 30


@dataclass(frozen=True, repr=False)
class ErrorSweep(Result):
    """The error of a conversion at several locality strengths, on one input.

    All errors are absolute, the largest over every output.

    Attributes:
        alphas: Locality strengths as the layer holds them, 1/pixel².
        measured: What the attention layer, computed in ``dtype``, was off the
            convolution computed in float64.
        predicted: The first-order prediction, in float64.
        worst_case: What no input of this size and largest magnitude exceeds, in
            exact arithmetic; float64.
        rounding_floor: Size of one rounding of the largest output, see
            :func:`rounding_floor`.
        dtype: Dtype of the layer, such as ``"float32"``.
    """

    alphas: tuple[float, ...]
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    worst_case: tuple[float, ...]
    rounding_floor: float
    dtype: str

    def __repr__(self) -> str:
        first, last = self.alphas[0], self.alphas[-1]
        return (
            f"ErrorSweep({len(self.alphas)} values of α from {first:.4g} to "
            f"{last:.4g}, {self.dtype})"
        )

    def __str__(self) -> str:
        table = Listing("α [1/px²]", "measured", "first order", "worst case")
        columns = (self.alphas, self.measured, self.predicted, self.worst_case)
        for row in zip(*columns, strict=True):
            table.add_row(f"{row[0]:.4g}", *(f"{error:.3e}" for error in row[1:]))
        level = f"one rounding in {self.dtype}: {self.rounding_floor:.1e}"
        return as_text(table) + level

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>" + plotted_html(
            "plot_error_vs_alpha", self
        )

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the errors against α: :func:`expressivity.plots.plot_error_vs_alpha`."""
        return plotted("plot_error_vs_alpha", self, figure=figure)

    def to_dict(self) -> dict[str, Any]:
        """Return the sweep as JSON takes it.

        Returns:
            A dictionary of the attributes, with lists for tuples.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def error_sweep(
    conv: Convolution,
    x: Tensor,
    alphas: Iterable[float] | None = None,
    *,
    progress: Progress | None = None,
) -> ErrorSweep:
    """Measure, predict and bound the error of a conversion for every α.

    The reference is the convolution with the same weights in float64: exact, as far
    as a layer of a narrower dtype can tell. A layer in float64 rounds much as the
    reference does, so that errors below its floor, 0 included, mean little.

    Args:
        conv: The convolution.
        x: Input, (batch, in_channels, *size) or without the batch axis, in the dtype
            of the convolution.
        alphas: Locality strengths, 1/pixel²; by default 30 of them, evenly from 0.5
            to :func:`past_saturation`. A strength that the dtype does not hold is
            rounded up to one that it does.
        progress: Wraps the iterable of α, as ``tqdm`` does; by default nothing.

    Returns:
        The sweep.

    Raises:
        ArgumentError: If there is no α, or one is not positive and finite.
        InputError: If the input does not suit the convolution, is empty or holds
            numbers that are not finite.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Reference:
        Statements ``first_order`` and ``worst_case`` in ``proofs/``.

    Example:
        >>> conv = torch.nn.Conv1d(1, 1, 3).double()
        >>> sweep = error_sweep(conv, torch.rand(1, 1, 9).double(), [2.0, 4.0])
        >>> [m <= w for m, w in zip(sweep.measured, sweep.worst_case)]
        [True, True]
    """
    kernel = Kernel.of(conv)
    strengths = _checked_alphas(kernel.conv, alphas)
    x = _checked_input(kernel, x)
    progress = check_progress(progress)
    exact, wide = kernel.in_float64(), x.detach().double()
    reference, size, largest = exact.conv(wide), wide.shape[2:], float(wide.abs().max())
    points = []
    for strength in progress(strengths):
        attention = build_attention(kernel, Options(alpha=strength))
        with torch.no_grad():
            computed = attention(x).double()
        alpha = attention.alpha[0].item()
        worst = converted(exact, alpha).largest(size).above
        points.append((
            alpha,
            float((computed - reference).abs().max()),
            float(first_order(exact, wide, alpha).abs().max()),
            float(worst.max()) * largest,
        ))
    dtype = kernel.conv.weight.dtype
    stored, measured, predicted, worst_case = zip(*points, strict=True)
    return ErrorSweep(
        alphas=stored,
        measured=measured,
        predicted=predicted,
        worst_case=worst_case,
        rounding_floor=rounding_floor(exact.conv, wide, dtype),
        dtype=str(dtype).removeprefix("torch."),
    )


def rounding_floor(conv: Convolution, x: Tensor, dtype: torch.dtype) -> float:
    """Return the error that one rounding in a dtype makes, whatever α is.

    An output is a sum of terms W x and a bias. Rounding a number to a dtype moves it
    by at most u = eps / 2 of itself, so rounding every term once moves the output by
    at most u (Σ|W||x| + |b|). It is a level, not a bound: a sum that also rounds at
    every step may lose a few times more, one that is kept in a wider dtype less.

    Args:
        conv: A plain convolution in float64.
        x: Input with a batch axis, in float64.
        dtype: The dtype that the layer is computed in.

    Returns:
        u · max (Σ|W||x| + |b|) over all outputs, absolute.

    Example:
        >>> conv = torch.nn.Conv1d(1, 1, 2, bias=False).double()
        >>> _ = torch.nn.init.constant_(conv.weight, -3.0)
        >>> x = torch.ones(1, 1, 4).double()
        >>> rounding_floor(conv, x, torch.float32) == 6 * 2.0**-24
        True
    """
    magnitudes = copy.deepcopy(conv)
    with torch.no_grad():
        for parameter in magnitudes.parameters():
            parameter.abs_()
        largest = magnitudes(x.abs()).max()
    return torch.finfo(dtype).eps / 2 * float(largest)


def spread_alphas(smallest: float, largest: float, points: int) -> list[float]:
    """Return so many evenly spread locality strengths, ascending."""
    return torch.linspace(
        smallest, largest, points, dtype=torch.float64, device="cpu"
    ).tolist()


def past_saturation(conv: Convolution) -> float:
    """Return 1.35 times the α at which attention in this dtype is one-hot."""
    return 1.35 * saturation_alpha(conv.weight.dtype, len(conv.kernel_size))


def _checked_alphas(conv: Convolution, alphas: Iterable[float] | None) -> list[float]:
    if alphas is None:
        return spread_alphas(SOFTEST, past_saturation(conv), POINTS)
    if isinstance(alphas, Tensor) and alphas.dim() == 1:
        alphas = alphas.tolist()
    if not isinstance(alphas, Iterable) or isinstance(alphas, (Tensor, nn.Module)):
        raise ArgumentError(f"alphas needs numbers, got {shown(alphas)}: pass [alpha]")
    strengths = [check_positive("alpha", alpha) for alpha in alphas]
    if not strengths:
        raise ArgumentError("alphas needs at least one number, got none")
    return strengths


def _checked_input(kernel: Kernel, x: Tensor) -> Tensor:
    """Return the input with a batch axis if it suits the convolution."""
    batch = kernel.batched(x)
    if not batch.numel() or not bool(batch.isfinite().all()):
        raise InputError(
            "x needs at least one image of finite numbers, got "
            f"{int((~batch.isfinite()).sum())} that are not finite among "
            f"{batch.numel()}"
        )
    return batch
