"""Numbers that a page quotes: computed by the package, sealed, shown as they are."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from expressivity.accuracy.certificate import certify
from expressivity.accuracy.first_order import first_order
from expressivity.accuracy.worst_case import converted, strength_for
from expressivity.conversion.head_count import HeadCount, Spectrum
from expressivity.conversion.options import Options
from expressivity.conversion.to_attention import build_attention
from expressivity.errors import ArgumentError, CertificateError
from expressivity.explorer.arrays import encoded
from expressivity.explorer.subject import Subject
from expressivity.machine.threads import one_thread
from expressivity.version import __version__

ALPHAS = (1.0, 2.0, 4.0, 8.0, 12.0, 18.0)
LEAST, MOST = 0.1, 24.0  # of α, in the page
_START = 2.0
_MOST_TAPS = 64  # taps and entries of a kernel whose heads a page holds
_MOST_ENTRIES = 4096


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a page quotes and starts.

    Attributes:
        alpha: Locality strength that the page starts at, 1/pixel²; quoted, too.
        tolerance: Instead: the largest error of any input within ±1, of any size.
        strategy: How the layer that is quoted is evaluated.
        alphas: Other strengths that are quoted.
    """

    alpha: float | None = None
    tolerance: float | None = None
    strategy: str = "auto"
    alphas: tuple[float, ...] = ALPHAS

    def __post_init__(self) -> None:
        Options(self.alpha, self.tolerance, strategy=self.strategy)
        if self.alpha is not None:
            _check_range("alpha", self.alpha, self.alpha)

    def start(self, subject: Subject) -> float:
        """Return the α that the page starts at for a layer.

        Args:
            subject: The whole layer.

        Returns:
            1/pixel²; for a tolerance rounded up to two decimals, as a reader types it.

        Raises:
            ArgumentError: If the tolerance needs an α that the page does not have.
        """
        if self.tolerance is None:
            return _START if self.alpha is None else float(self.alpha)
        needed = strength_for(subject.kernel, self.tolerance)
        _check_range("tolerance", self.tolerance, needed)
        return max(LEAST, math.ceil(100 * needed) / 100)


@dataclass(frozen=True)
class Quote:
    """What the package says of the whole layer at one α.

    Attributes:
        alpha: Locality strength, 1/pixel², as the layer holds it.
        measured: The largest error on the image, in the dtype of the layer.
        predicted: Its first order.
        worst: What no image of this size and largest magnitude exceeds.
        exact: Exact part of the certificate for ‖x‖_∞ ≤ 1, rounded outward.
        rounding: Its rounding part.
        bound: Their sum, rounded outward.
        strategy: How the layer is evaluated.
        fingerprint: sha256 of the parameters that were certified.
        reason: Why there is no certificate; empty if there is one.
    """

    alpha: float
    measured: float
    predicted: float
    worst: float
    exact: float | None = None
    rounding: float | None = None
    bound: float | None = None
    strategy: str = ""
    fingerprint: str = ""
    reason: str = ""


def quotes(subject: Subject, settings: Settings) -> tuple[Quote, ...]:
    """Measure and certify the conversion of a layer at several α.

    Args:
        subject: The whole layer and image.
        settings: Which α, and how the layer is evaluated.

    Returns:
        One quote for each, the softest first.
    """
    asked = sorted({*settings.alphas, settings.start(subject)})
    with one_thread() if subject.is_smooth else nullcontext():
        return tuple(_quote(subject, alpha, settings.strategy) for alpha in asked)


def seal() -> str:
    """Return what made the numbers."""
    return f"expressivity {__version__}"


def _check_range(name: str, value: float, alpha: float) -> None:
    if not LEAST <= alpha <= MOST:
        raise ArgumentError(
            f"{name} needs α between {LEAST:g} and {MOST:g}, which the page has, got "
            f"{name}={value:g}" + ("" if value == alpha else f" with α = {alpha:.4g}")
        )


def _quote(subject: Subject, asked: float, strategy: str) -> Quote:
    exact = subject.kernel.in_float64()
    attention = build_attention(subject.kernel, Options(asked, strategy=strategy))
    alpha = attention.alpha[0].item()
    x = subject.batch
    with torch.no_grad():
        gap = attention(x).double() - exact.conv(x.double())
    quote = Quote(
        alpha,
        float(gap.abs().max()),
        float(first_order(exact, x.double(), alpha).abs().max()),
        0.0,
    )
    loudest = float(x.double().abs().max())
    try:
        certificate = certify(attention, subject.conv, size=subject.size)
    except CertificateError as error:
        rows = converted(exact, alpha).largest(subject.size)
        return replace(
            quote, worst=float(rows.above.max()) * loudest, reason=str(error)
        )
    largest = float(certificate.exact_part.max())
    return replace(
        quote,
        worst=largest * loudest,
        exact=largest,
        rounding=float(certificate.rounding_part.max()),
        bound=float(certificate.bound.max()),
        strategy=certificate.strategy,
        fingerprint=certificate.fingerprint,
    )


def fewer_heads(subject: Subject) -> dict[str, Any] | None:
    """Return heads with free tables, from two to as many as are exact.

    Args:
        subject: A part that a page can hold.

    Returns:
        ρ, the taps, and for each number of heads its error, what no layer is below,
        tables and matrices; ``None`` for a kernel of zeros, or one that is too large.
    """
    conv = subject.conv
    taps = conv.weight[0, 0].numel()
    if taps > _MOST_TAPS or conv.weight.numel() > _MOST_ENTRIES * 2:
        return None
    spectrum = Spectrum.of(subject.kernel)
    counted = HeadCount(
        spectrum.factors.shape[1],
        spectrum.needed(),
        int(spectrum.taps.flatten(1).any(1).sum()),
        spectrum,
    )
    try:
        curve = counted.curve()
    except ArgumentError:  # a kernel of zeros
        return None
    rows = []
    for count, error, bound in zip(
        curve.heads, curve.errors, curve.bounds, strict=True
    ):
        heads = counted.minimal(count)
        rows.append({
            "heads": count,
            "error": error,
            "bound": bound,
            "tables": encoded(heads.tables),
            "matrices": encoded(heads.matrices.flatten(1)),
        })
    kernel = encoded(conv.weight.detach().double().flatten(2).flatten(0, 1))
    return {**counted.to_dict(), "rows": rows, "kernel": kernel}
