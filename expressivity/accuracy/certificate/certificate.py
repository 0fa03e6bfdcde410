"""What is certified about a layer, in words and as JSON, and how to check it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from expressivity.accuracy.certificate import spot_check
from expressivity.accuracy.certificate.arithmetic import ASSUMPTIONS
from expressivity.accuracy.certificate.document import PARTS
from expressivity.accuracy.certificate.ranges import below_float64, require_finite
from expressivity.accuracy.certificate.rounding import (
    convolution_rounding,
    layer_rounding,
)
from expressivity.accuracy.certificate.statement import ALIKE, UP, Statement, are_alike
from expressivity.accuracy.certificate.subject import (
    fingerprint,
    in_words,
    require_rigour,
)
from expressivity.accuracy.certificate.worst_input import WorstInput
from expressivity.accuracy.snapshot import Snapshot
from expressivity.attention import RelativeSelfAttention
from expressivity.checks import Progress, check_positive, check_progress, check_size
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError, CertificateError, InputError
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid
from expressivity.stock import multihead
from expressivity.stock.multihead import ImageMultihead
from expressivity.strategies import AUTO, select
from expressivity.version import __version__

_LOG = logging.getLogger(__name__)

Layer = RelativeSelfAttention | ImageMultihead

# A certificate for every size speaks of rounding on canvases of up to so many pixels.
LARGEST_AXIS = 4096
# What is compared as it stands; the numbers follow from the box, size and strategy.
_STATEMENTS = ("layer", "convolution", "dtype", "made_by")


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Statement):
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
        >>> import torch
        >>> from expressivity import attention_from_conv, certify
        >>> conv = torch.nn.Conv1d(1, 1, 3, padding=1, dtype=torch.float64)
        >>> attention = attention_from_conv(conv, alpha=4.0, strategy="dense")
        >>> certificate = certify(attention, conv, size=(9,))
        >>> x = certificate.worst_input
        >>> error = (attention(x) - conv(x)).abs().max()
        >>> bool(0.99 * certificate.exact_part < error <= certificate.bound)
        True
    """

    _subject: tuple[Layer, Convolution] | None = field(default=None, repr=False)

    def check(
        self,
        attention: Layer | None = None,
        conv: Convolution | None = None,
    ) -> None:
        """Compute the certificate again, and compare all that it states.

        Args:
            attention: The layer; by default the one that was certified.
            conv: The convolution; by default the one that was certified.

        Raises:
            CertificateError: If the parameters are not those that were certified, or
                something comes out otherwise than it is stated.
            ArgumentError: If only one of the two is given.
            UnsupportedModuleError: As :func:`certify`.
        """
        if (attention is None) != (conv is None):
            raise ArgumentError(
                "check needs the layer and the convolution, check(attention, conv), or "
                "neither for those that were certified; got one of them"
            )
        if attention is None or conv is None:
            if self._subject is None:
                raise CertificateError(
                    "a certificate that was read from a file needs the layer and the "
                    "convolution to be checked: check(attention, conv)"
                )
            attention, conv = self._subject
        layer, kernel = _read(attention), Kernel.of(conv)
        if fingerprint(layer.layer, kernel.conv) != self.fingerprint:
            raise CertificateError(
                "the certificate needs the parameters that were certified, got others: "
                f"sha256 {self.fingerprint[:16]}… is stated"
            )
        if _strategy_of(attention) not in (AUTO, self.strategy) or (
            isinstance(attention, ImageMultihead) and attention.size != self.size
        ):
            raise CertificateError(
                f"strategy is stated as {self.strategy!r}, the layer is evaluated by "
                f"{_strategy_of(attention)!r}: certify again"
            )
        again = _certified(layer, kernel, self.input_bound, self.size, self.strategy)
        self._compare(again)
        self._check_worst(layer, kernel, again.worst)

    def _compare(self, again: "Certificate") -> None:
        """Refuse words and bounds that come out otherwise."""
        for name in _STATEMENTS:
            stated, result = getattr(self, name), getattr(again, name)
            if stated != result:
                raise CertificateError(
                    f"{name} is stated as {stated!r}, it is {result!r}: certify again"
                )
        if not _same_assumptions(self.assumptions, again.assumptions):
            raise CertificateError(
                f"assumptions are stated as {self.assumptions!r}, they are "
                f"{again.assumptions!r}: certify again"
            )
        for name in PARTS:
            stated, result = getattr(self, name), getattr(again, name)
            smaller = stated.shape != result.shape or bool((result > stated * UP).any())
            if smaller or not are_alike(stated, result):
                raise CertificateError(
                    f"{name} is stated as up to {float(stated.max()):.6g}, computed "
                    f"again it is {float(result.max()):.6g}"
                )

    def _check_worst(self, layer: Snapshot, kernel: Kernel, again: WorstInput) -> None:
        """Evaluate the worst input that is stated, which may be one of several."""
        stated = self.worst.attained
        reached = self.worst.reached(
            layer.minus(kernel),
            offset=layer.bias_minus(kernel),
            groups=kernel.conv.groups,
            bound=self.input_bound,
            like=again,
        )
        if not again.attained * (1 - ALIKE) <= stated <= reached * (1 + ALIKE):
            raise CertificateError(
                f"the worst input is stated to attain {stated:.6g}, it attains "
                f"{reached:.6g}, and another attains {again.attained:.6g}"
            )


def certify(
    attention: Layer,
    conv: Convolution,
    input_bound: float = 1.0,
    *,
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Bound |attention(x) − conv(x)| over every input with ‖x‖_∞ ≤ input_bound.

    Any position-only layer can be compared with any convolution of the same shape:
    converted, trained, perturbed, with unequal α. The parameters are taken as they are
    stored; what follows from them is computed in ball arithmetic and rounded outward.

    Args:
        attention: The layer; its strategy decides the rounding part (``"auto"``: the
            one that runs). Or what :func:`expressivity.stock.to_multihead` made of one,
            whose bound is for the size that it was made for.
        conv: A convolution of the same geometry, channels and dtype.
        input_bound: Largest absolute value of any input, positive.
        size: Pixels per axis of the input, for an exact part that the worst input
            attains; without it the bound holds for every size.
        progress: Wraps the iterable of rows of outputs, as ``tqdm`` does; by default
            nothing.

    Returns:
        The certificate.

    Raises:
        CertificateError: Where no rigorous statement is possible: content terms,
            tables, numbers that are not finite or may leave the range of the dtype,
            settings of torch that compute in less than the dtype's precision. Or
            if the worst input, evaluated here and now, exceeds what is certified.
        ArgumentError: If the bound is not positive and finite, the two do not have the
            same geometry and channels, or ``progress`` cannot be called.
        InputError: If the size does not suit the layer, or is too large: an axis of
            more than a million pixels.
        UnsupportedModuleError: If ``conv`` is no plain convolution, or the layer does
            not compute what its parameters say: hooks, a ``forward`` of its own.

    Reference:
        Statement ``worst_case`` in ``proofs/``; what rounding is assumed to do is part
        of the certificate.

    Example:
        >>> import torch
        >>> from expressivity import attention_from_conv
        >>> conv = torch.nn.Conv2d(3, 4, 3, padding=1)
        >>> certificate = certify(attention_from_conv(conv), conv)
        >>> certificate.check()
        >>> bool(certificate.bound.max() < 1e-4)
        True
    """
    input_bound = check_positive("input_bound", input_bound)
    progress = check_progress(progress)
    size = None if size is None else check_size("size", size, least=0)
    layer, kernel = _read(attention), Kernel.of(conv)
    if isinstance(attention, ImageMultihead):
        if size not in (None, attention.size):
            raise InputError(
                f"the module takes inputs of size {attention.size} alone, got {size=}: "
                "leave it out"
            )
        size = attention.size
    strategy = _strategy_of(attention)
    certificate = _certified(layer, kernel, input_bound, size, strategy, progress)
    return replace(certificate, _subject=(attention, conv))


def _read(attention: nn.Module) -> Snapshot:
    """Read a layer, or the one that a stock module was made of."""
    if isinstance(attention, ImageMultihead):
        attention = attention.relative()
    return Snapshot.of(attention)


def _strategy_of(attention: Layer) -> str:
    if isinstance(attention, ImageMultihead):
        return multihead.NAME
    return attention.strategy


def _certified(
    layer: Snapshot,
    kernel: Kernel,
    bound: float,
    size: Sequence[int] | None,
    strategy: str,
    progress: Progress = iter,
) -> Certificate:
    """Certify two that have passed their gates."""
    geometry, heads, conv = kernel.geometry, layer.heads, kernel.conv
    require_rigour(layer, conv)
    difference, offset = layer.minus(kernel), layer.bias_minus(kernel)
    sample = size or difference.characteristic_size() or difference.sample_size()
    _LOG.info("%s: the worst case on %s pixels", conv, "×".join(map(str, sample)))
    rows = difference.largest(sample, progress)
    norms = difference.any_size() if size is None else rows.above
    if strategy == AUTO:
        x = heads.alpha.new_zeros((), dtype=heads.dtype)
        x = x.expand(1, conv.in_channels, *sample)
        strategy = select(AUTO, heads, Grid.of(geometry, sample), x).name
    canvas = Grid.of(geometry, size or (LARGEST_AXIS,) * geometry.axes)
    below = below_float64(heads, conv.weight, canvas, bound)
    exact = (norms * bound + offset.abs()) * UP + below
    require_finite("the exact part", exact)
    evaluated = spot_check.fits(layer, tuple(sample), strategy)
    _LOG.info("exact part %.3g; bounding the rounding of %s", exact.max(), strategy)
    certificate = Certificate(
        layer=in_words(layer.layer),
        convolution=str(conv),
        input_bound=bound,
        size=None if size is None else tuple(size),
        dtype=str(conv.weight.dtype).removeprefix("torch."),
        strategy=strategy,
        exact_part=exact,
        layer_rounding=layer_rounding(
            layer, canvas, strategy, bound, smaller_too=size is None
        ),
        convolution_rounding=convolution_rounding(conv, bound),
        worst=WorstInput.of(
            difference,
            rows,
            sample,
            offset=offset,
            groups=conv.groups,
            bound=bound,
            below=below,
        ),
        assumptions=(*ASSUMPTIONS, *(() if evaluated else (spot_check.NOT_EVALUATED,))),
        fingerprint=fingerprint(layer.layer, conv),
        made_by=f"expressivity {__version__}",
    )
    if evaluated:
        _LOG.info("bound %.3g; evaluating the worst input", certificate.bound.max())
        spot_check.require_bounds(
            layer,
            conv,
            certificate.worst_input,
            strategy,
            every_size=size is None,
            layer_bound=certificate.layer_rounding,
            conv_bound=certificate.convolution_rounding,
            difference_bound=certificate.bound,
        )
    return certificate


def _same_assumptions(stated: Sequence[str], result: Sequence[str]) -> bool:
    """Compare assumptions, but for what depends on the memory of a machine."""
    mine, others = (
        [each for each in assumptions if each != spot_check.NOT_EVALUATED]
        for assumptions in (stated, result)
    )
    return mine == others
