"""Numbers that a page quotes: computed by the package, sealed, shown as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from expressivity.accuracy.certificate import certify
from expressivity.conversion.head_count import HeadCount, Spectrum
from expressivity.conversion.options import Options
from expressivity.conversion.to_attention import build_attention
from expressivity.errors import ArgumentError, CertificateError
from expressivity.explorer.arrays import encoded
from expressivity.explorer.subject import Subject
from expressivity.sweep import error_sweep
from expressivity.version import __version__

ALPHAS = (1.0, 2.0, 4.0, 8.0, 12.0, 18.0)
_MOST_TAPS = 64  # taps and entries of a kernel whose heads a page holds
_MOST_ENTRIES = 4096


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


def quotes(subject: Subject, alphas: Sequence[float] = ALPHAS) -> tuple[Quote, ...]:
    """Sweep and certify the conversion of a layer at several α.

    Args:
        subject: The whole layer and image.
        alphas: Locality strengths, 1/pixel².

    Returns:
        One quote for each.
    """
    sweep = error_sweep(subject.conv, subject.batch, alphas)
    columns = (sweep.alphas, sweep.measured, sweep.predicted, sweep.worst_case)
    return tuple(_quote(subject, point) for point in zip(*columns, strict=True))


def seal() -> str:
    """Return what made the numbers."""
    return f"expressivity {__version__}"


def _quote(subject: Subject, point: tuple[float, float, float, float]) -> Quote:
    alpha, measured, predicted, worst = point
    quote = Quote(alpha, measured, predicted, worst)
    attention = build_attention(subject.kernel, Options(alpha=alpha))
    try:
        certificate = certify(attention, subject.conv, size=subject.size)
    except CertificateError as error:
        return replace(quote, reason=str(error))
    return replace(
        quote,
        exact=float(certificate.exact_part.max()),
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
