"""What is certified about a layer, in words and as JSON, and how to check it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import ROUND_CEILING, Decimal, localcontext
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.bounds.leak import check_positive
from expressivity.certificate.arithmetic import ASSUMPTIONS, reduced_precision
from expressivity.certificate.rounding import convolution_rounding, layer_rounding
from expressivity.certificate.worst_input import WorstInput
from expressivity.constructor.compare import bias_difference, deviation
from expressivity.convolutions import plain_convolution
from expressivity.errors import CertificateError, FileError
from expressivity.files import written_together
from expressivity.geometry import Convolution
from expressivity.grid import Grid
from expressivity.strategies import AUTO, select
from expressivity.version import __version__

FORMAT = "expressivity-certificate"
# A certificate for every size speaks of rounding on canvases of up to so many pixels.
LARGEST_AXIS = 4096
_PARTS = ("exact_part", "layer_rounding", "convolution_rounding")
# Sums of a few float64 numbers are right to more digits than that.
_UP = 1 + 2.0**-48


@dataclass(frozen=True, eq=False)
class Certificate:
    """A bound of |attention(x) − conv(x)| that holds for every input in a box.

    It speaks of the parameters as they are stored, floats being exact numbers. The
    exact part bounds the difference in exact arithmetic; for a given size the worst
    input attains it, up to rounding in float64. The rounding part bounds what
    evaluating both sides in floating point adds, under the assumptions that it names.

    Attributes:
        layer: The attention layer, in words.
        convolution: The convolution, in words.
        input_bound: The box: every input with ‖x‖_∞ at most this.
        size: Pixels per axis; ``None`` for every size (rounding: of up to 4096
            pixels an axis).
        dtype: Dtype of parameters and inputs.
        strategy: How the layer is evaluated.
        exact_part: Per output channel, absolute, rounded upward.
        layer_rounding: What rounding adds on the side of the layer, per channel.
        convolution_rounding: The same of the convolution.
        worst: The worst input that was found.
        assumptions: What the rounding part rests on.
        fingerprint: SHA-256 of the parameters and options of both.
        made_by: The package that computed it, with its version.

    Example:
        >>> from expressivity import attention_from_conv, certify
        >>> conv = torch.nn.Conv1d(1, 1, 3, padding=1, dtype=torch.float64)
        >>> attention = attention_from_conv(conv, alpha=4.0, strategy="dense")
        >>> certificate = certify(attention, conv, size=(9,))
        >>> x = certificate.worst_input
        >>> error = (attention(x) - conv(x)).abs().max()
        >>> bool(0.99 * certificate.exact_part < error <= certificate.bound)
        True
    """

    layer: str
    convolution: str
    input_bound: float
    size: tuple[int, ...] | None
    dtype: str
    strategy: str
    exact_part: Float[Tensor, " out_channels"]
    layer_rounding: Float[Tensor, " out_channels"]
    convolution_rounding: Float[Tensor, " out_channels"]
    worst: WorstInput
    assumptions: tuple[str, ...]
    fingerprint: str
    made_by: str
    _subject: tuple[RelativeSelfAttention, Convolution] | None = field(
        default=None, repr=False
    )

    @property
    def rounding_part(self) -> Float[Tensor, " out_channels"]:
        """What rounding adds on both sides, per output channel."""
        return (self.layer_rounding + self.convolution_rounding) * _UP

    @property
    def bound(self) -> Float[Tensor, " out_channels"]:
        """The certified bound, per output channel, absolute."""
        return (self.exact_part + self.rounding_part) * _UP

    @property
    def attained(self) -> float:
        """What the worst input attains in exact arithmetic, rounded downward."""
        return self.worst.attained

    @property
    def worst_input(self) -> Float[Tensor, "one in_channels ..."]:
        """The worst input, in the dtype of the layer."""
        dtype = getattr(torch, self.dtype)
        value = torch.tensor(self.input_bound, dtype=dtype, device="cpu")
        if value.double() > self.input_bound:
            value = torch.nextafter(value, torch.zeros_like(value))
        return self.worst.tensor(value.double().item(), dtype)

    def __str__(self) -> str:
        size, worst = self.size, self.worst
        inputs = "any size" if size is None else f"{'×'.join(map(str, size))} pixels"
        exact = float(self.exact_part[worst.channel])
        part = f"{self.attained / exact:.4%} of it" if exact else "it"
        return (
            f"For every input x of {inputs} with ‖x‖_∞ ≤ {self.input_bound:g}, "
            f"{self.layer} and {self.convolution}, in {self.dtype} and evaluated by "
            f"{self.strategy!r}, differ by at most {_up(self.bound)} in any output. In "
            f"exact arithmetic it is at most {_up(self.exact_part)} (the worst input "
            f"that was found attains {part}, in channel {worst.channel} at output "
            f"{worst.output}); rounding adds at most {_up(self.layer_rounding)} to the "
            f"layer and {_up(self.convolution_rounding)} to the convolution, provided "
            f"that {'; '.join(self.assumptions)}. Parameters: sha256 "
            f"{self.fingerprint[:16]}…"
        )

    def to_dict(self) -> dict[str, object]:
        """Return the certificate as JSON has it.

        Returns:
            Numbers, strings, lists and dictionaries only.
        """
        fields = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        for name in _PARTS:
            fields[name] = fields[name].tolist()
        fields["worst"] = asdict(self.worst)
        summary = {"bound": self.bound.tolist(), "attained": self.attained}
        return {"format": FORMAT, **fields, **summary}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Build a certificate from what :meth:`to_dict` returned.

        Args:
            document: The dictionary.

        Returns:
            The certificate, without the layer and the convolution.

        Raises:
            FileError: If it is no certificate.
        """
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise FileError(f"a certificate needs the format {FORMAT!r}")
        try:
            fields = {
                name: document[name]
                for name in cls.__dataclass_fields__
                if not name.startswith("_")
            }
            for name in _PARTS:
                fields[name] = torch.tensor(
                    fields[name], dtype=torch.float64, device="cpu"
                )
            if fields["size"] is not None:
                fields["size"] = tuple(fields["size"])
            fields["assumptions"] = tuple(fields["assumptions"])
            worst: dict[str, Any] = {
                name: _tuples(value) for name, value in fields["worst"].items()
            }
            return cls(**{**fields, "worst": WorstInput(**worst)})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(
                f"the certificate is incomplete or damaged: {type(error).__name__}: "
                f"{error}"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the certificate as JSON, whole or not at all.

        Args:
            path: The file; replaced if it exists.

        Raises:
            FileError: If it cannot be written.
        """
        with written_together([Path(path)], force=True) as [draft]:
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
            draft.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a certificate.

        Args:
            path: A file that :meth:`save` wrote.

        Returns:
            The certificate; :meth:`check` then needs the layer and the convolution.

        Raises:
            FileError: If it cannot be read or is no certificate.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be read as JSON: {error}") from error
        return cls.from_dict(document)

    def check(
        self,
        attention: RelativeSelfAttention | None = None,
        conv: Convolution | None = None,
    ) -> None:
        """Compute the certificate again, and compare.

        Args:
            attention: The layer; by default the one that was certified.
            conv: The convolution; by default the one that was certified.

        Raises:
            CertificateError: If the parameters are not those that were certified, or
                a bound comes out larger than it is stated.
        """
        if attention is None or conv is None:
            if self._subject is None:
                raise CertificateError(
                    "a certificate that was read from a file needs the layer and the "
                    "convolution to be checked: check(attention, conv)"
                )
            attention, conv = self._subject
        if fingerprint(attention, plain_convolution(conv)) != self.fingerprint:
            raise CertificateError(
                "the certificate needs the parameters that were certified, got others: "
                f"sha256 {self.fingerprint[:16]}… is stated"
            )
        again = _certified(attention, conv, self.input_bound, self.size, self.strategy)
        for name in _PARTS:
            stated, found = getattr(self, name), getattr(again, name)
            if stated.shape != found.shape or not bool((found <= stated * _UP).all()):
                raise CertificateError(
                    f"{name} is stated as up to {float(stated.max()):.6g}, computed "
                    f"again it is {float(found.max()):.6g}"
                )
        if not self.attained <= again.attained * _UP:
            raise CertificateError(
                f"the worst input is stated to attain {self.attained:.6g}, it attains "
                f"{again.attained:.6g}"
            )


def certify(
    attention: RelativeSelfAttention,
    conv: Convolution,
    input_bound: float = 1.0,
    *,
    size: Sequence[int] | None = None,
) -> Certificate:
    """Bound |attention(x) − conv(x)| over every input with ‖x‖_∞ ≤ input_bound.

    Any position-only layer can be compared with any convolution of the same shape:
    converted, trained, perturbed, with unequal α. The parameters are taken as they are
    stored; what follows from them is computed in ball arithmetic and rounded outward.

    Args:
        attention: The layer; its strategy decides the rounding part (``"auto"``: the
            one that runs).
        conv: A convolution of the same geometry, channels and dtype.
        input_bound: Largest absolute value of any input, positive.
        size: Pixels per axis of the input, for an exact part that the worst input
            attains; without it the bound holds for every size.

    Returns:
        The certificate.

    Raises:
        CertificateError: Where no rigorous statement is possible: content terms,
            tables, numbers that are not finite or may leave the range of the dtype,
            settings of torch that compute in less than the dtype's precision.
        ArgumentError: If the bound is not positive and finite, or the two do not have
            the same geometry and channels.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If ``conv`` is no plain convolution.

    Reference:
        DESIGN 2.5; the assumptions on rounding are part of the certificate.

    Example:
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv2d(3, 4, 3, padding=1)
        >>> certificate = certify(attention_from_conv(conv), conv)
        >>> certificate.check()
        >>> bool(certificate.bound.max() < 1e-4)
        True
    """
    input_bound = check_positive("input_bound", input_bound)
    return _certified(attention, conv, input_bound, size, attention.strategy)


def _certified(
    attention: RelativeSelfAttention,
    conv: Convolution,
    bound: float,
    size: Sequence[int] | None,
    strategy: str,
) -> Certificate:
    conv, geometry = plain_convolution(conv), attention.geometry
    _require_rigour(attention, conv)
    difference = deviation(attention, conv)
    offset = bias_difference(attention, conv).expand(attention.out_channels)
    sample = size or difference.characteristic_size() or difference.sample_size()
    rows = difference.largest(sample)
    norms = difference.any_size() if size is None else rows.above
    if strategy == AUTO:
        x = attention.alpha.new_zeros((), dtype=attention.dtype)
        x = x.expand(1, attention.in_channels, *sample)
        strategy = select(AUTO, attention.heads(), Grid.of(geometry, sample), x).name
    canvas = Grid.of(geometry, size or (LARGEST_AXIS,) * geometry.axes)
    return Certificate(
        layer=f"RelativeSelfAttention({attention.extra_repr()})",
        convolution=str(conv),
        input_bound=bound,
        size=None if size is None else tuple(size),
        dtype=str(conv.weight.dtype).removeprefix("torch."),
        strategy=strategy,
        exact_part=(norms * bound + offset.abs()) * _UP,
        layer_rounding=layer_rounding(attention, canvas, strategy, bound),
        convolution_rounding=convolution_rounding(conv, bound),
        worst=WorstInput.of(
            difference,
            rows,
            sample,
            offset=offset,
            groups=attention.groups,
            bound=bound,
        ),
        assumptions=ASSUMPTIONS,
        fingerprint=fingerprint(attention, conv),
        made_by=f"expressivity {__version__}",
        _subject=(attention, conv),
    )


def _require_rigour(attention: RelativeSelfAttention, conv: Convolution) -> None:
    """Refuse what nothing rigorous can be said about."""
    if attention.heads().content is not None:
        raise CertificateError(
            "the layer has content terms: its attention depends on the input, and no "
            "bound holds for all of them"
        )
    if attention.heads().table is not None:
        raise CertificateError(
            "the layer has a table: how its attention rounds is not modelled. "
            "conversion_error bounds it in exact arithmetic"
        )
    parameters = [*attention.parameters(), *conv.parameters()]
    # Positions are kept in a dtype of their own.
    biases = [] if attention.bias is None else [attention.bias]
    others = (*attention.heads().projections, *biases, *conv.parameters())
    dtypes = {p.dtype for p in others}
    devices = {p.device.type for p in parameters}
    if len(dtypes) != 1 or len(devices) != 1:
        raise CertificateError(
            "the layer and the convolution need one dtype and one device, got "
            f"{', '.join(sorted(map(str, dtypes)))} on {', '.join(sorted(devices))}"
        )
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise CertificateError("all parameters need to be finite, got NaN or infinity")
    reason = reduced_precision(parameters[0].device)
    if reason is not None:
        raise CertificateError(reason)


def fingerprint(attention: RelativeSelfAttention, conv: Convolution) -> str:
    """Return what tells parameters and options of a pair from all others.

    Args:
        attention: The layer.
        conv: The convolution.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    digest = hashlib.sha256()
    digest.update(f"{attention.extra_repr()}|{conv}".encode())
    for module in (attention, conv):
        state = module.state_dict()
        # Positions first, as in the certificates that there are.
        for name in sorted(state, key=lambda name: name not in ("alpha", "centers")):
            tensor = state[name]
            digest.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tuples(value: object) -> object:
    """Turn lists into tuples, as JSON does not know them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _up(numbers: Tensor) -> str:
    """Write the largest of some bounds in three digits, rounded upward."""
    with localcontext(prec=3, rounding=ROUND_CEILING):
        return f"{+Decimal(float(numbers.max())):.3g}"
