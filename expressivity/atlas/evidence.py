"""The evidence for a verdict, computed live: an error, or a bound that is attacked."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from expressivity.atlas.family import Family, Sample, Size, in_float64
from expressivity.atlas.witness import Witness
from expressivity.checks import Progress, check_progress
from expressivity.convolutions import plain_convolution
from expressivity.errors import ArgumentError, InputError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.machine.memory import process_bytes

_LOG = logging.getLogger(__name__)

_IMAGES = 4
_COPIES = 6  # of the probabilities of every head, at the most, in any family
_BYTES, _GIB = 8, 2**30
_PARTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)  # of a family's strength
STEPS = 120
# Relative errors that count as rounding: of weights, and of a symmetry.
LARGEST_ERROR, LARGEST_VIOLATION = 1e-9, 1e-9
BELOW = 0.8  # of the bound: a control that stays above says nothing
_PATIENCE = (1, 4)  # times the steps that a control gets to come below


@dataclass(frozen=True)
class Weights:
    """How far a constructed layer is from the convolution.

    Attributes:
        strength: Of the construction; ``None`` where that is exact up to rounding.
        error: The largest error on random inputs within ±1, over the largest output of
            the convolution, float64.
        sample: The convolution, and the size of the inputs.
        curve: Pairs of a smaller strength, where the family takes it, and its error.
    """

    strength: float | None
    error: float
    sample: Sample
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Attack:
    """How close attacks on a witness come.

    Attributes:
        bound: No setting of the parameters errs less on the inputs of the witness.
            Absolute, as are the errors below.
        reached: The least error so far after each step of an attack.
        control: The same with the missing condition restored; empty if there is none
            for the convolution.
        violation: How far random layers are from the symmetry, relative.
        witness: The witness.
        sample: The convolution, and the size of the inputs.
        remark: Why the control says nothing; empty if it does, or if there is none.
    """

    bound: float
    reached: tuple[float, ...]
    control: tuple[float, ...]
    violation: float
    witness: Witness
    sample: Sample
    remark: str = ""


@dataclass(frozen=True)
class Evidence:
    """The evidence for one family.

    Attributes:
        family: The family.
        weights: For what it can do; ``None`` where there are no weights.
        attack: For what it cannot do; ``None`` where there is no witness.
        remarks: Why a given convolution was not the one that was used, and what the
            evidence leaves open.
    """

    family: Family
    weights: Weights | None
    attack: Attack | None
    remarks: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether what was measured agrees with the verdict.

        A control that stays above the bound is no evidence against it. The attack then
        says less, which is a remark.
        """
        can = self.weights is None or self.weights.error <= LARGEST_ERROR
        attack = self.attack
        cannot = attack is None or (
            attack.reached[-1] >= attack.bound * (1 - LARGEST_VIOLATION)
            and attack.violation <= LARGEST_VIOLATION
        )
        return can and cannot and not (self.weights is None and attack is None)

    def figures(self) -> list[str]:
        """Return the error of weights and the bound of a witness, a line each."""
        lines = []
        if self.weights is not None:
            error = self.weights.error
            lines.append(f"error {error:.0e}" if error else "no difference")
        if self.attack is not None:
            lines.append(f"error ≥ {self.attack.bound:.2g}")
        return lines

    def to_dict(self) -> dict[str, object]:
        """Return the evidence as plain data, ready for JSON."""
        family, weights, attack = self.family, self.weights, self.attack
        return {
            "family": family.name,
            "title": family.title,
            "verdict": family.verdict,
            "statement": family.claim.statement,
            "conditions": list(family.conditions),
            "heads": family.heads,
            "source": family.source,
            "holds": self.holds,
            "strength": _named(family, weights),
            "error": None if weights is None else weights.error,
            "bound": None if attack is None else attack.bound,
            "input_bound": None if attack is None else attack.witness.input_bound,
            "attack": None if attack is None else attack.reached[-1],
            "control": attack.control[-1] if attack and attack.control else None,
            "witness": None if attack is None else attack.witness.kind,
            "symmetry": None if attack is None else attack.witness.symmetry,
            "remarks": list(self.remarks),
        }


def _named(family: Family, weights: Weights | None) -> dict[str, float]:
    """Return the strength of a construction by its name, as an option is given."""
    if weights is None or weights.strength is None or family.strength is None:
        return {}
    return {family.strength.name: weights.strength}


def gather(
    family: Family,
    sample: Sample | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    curve: bool = False,
    progress: Progress | None = None,
) -> Evidence:
    """Construct, measure, refute and attack, as far as the verdict goes.

    Args:
        family: The family.
        sample: A convolution and an input size; by default, and where the family does
            not take it, the family's own example.
        steps: Steps of each attack.
        seed: Decides all random numbers.
        curve: Whether to measure constructions of smaller strength, too.
        progress: Wraps the iterable of steps of each attack, as ``tqdm`` does; by
            default nothing.

    Returns:
        The evidence.

    Raises:
        ArgumentError: If ``progress`` cannot be called.
        InputError: If a layer for the sample would not fit in the memory that is free.
    """
    progress = check_progress(progress)
    if sample is not None:
        _check_memory(sample)
    remarks: list[str] = []
    weights = attack = None
    if family.constructor is not None:
        computed = _chosen(sample, family.takes, family.construct, remarks)
        _LOG.info("%s: weights for %s", family.name, computed.conv)
        weights = measure(family, computed, seed=seed)
        _LOG.info("%s: relative error %.2g", family.name, weights.error)
        if curve and weights.strength is not None:
            strengths = [part * weights.strength for part in _PARTS]
            weights = replace(weights, curve=_curve(family, computed, strengths, seed))
    if family.refuter is not None:

        def attempt(conv: Convolution, size: Size) -> None:
            # There may be a witness, and yet no layer for such a convolution.
            family.refute(conv, size).layer(seed)

        refuted = _chosen(sample, family.fails, attempt, remarks)
        _LOG.info("%s: %d steps against its bound", family.name, steps)
        attack = attacked(family, refuted, steps=steps, seed=seed, progress=progress)
        reached = attack.reached[-1]
        _LOG.info("%s: error %.4g ≥ %.4g", family.name, reached, attack.bound)
        remarks += [attack.remark] if attack.remark else []
    return Evidence(family, weights, attack, tuple(remarks))


def _check_memory(sample: Sample) -> None:
    """Refuse a sample whose layers, evaluated densely, would not fit in memory."""
    # The largest layers hold one probability for every head, image and pair of tokens;
    # those without heads hold one number for every pair of an input and an output.
    conv, size = plain_convolution(sample.conv), sample.size
    geometry = ConvGeometry.from_conv(conv)
    geometry.check_input(size)
    tokens = math.prod(geometry.canvas_size(size))
    taps = math.prod(geometry.kernel_size)
    pairs = conv.in_channels * conv.out_channels * math.prod(size) ** 2
    needed = _COPIES * _BYTES * max(_IMAGES * taps * tokens**2, pairs)
    free = process_bytes()
    if needed > free:
        raise InputError(
            f"the layers of the atlas need up to {needed / _GIB:.3g} GiB for {conv} on "
            f"{'×'.join(map(str, size))} pixels and {free / _GIB:.3g} GiB are free: "
            "take a smaller kernel or size"
        )


def _curve(
    family: Family, sample: Sample, strengths: list[float], seed: int
) -> tuple[tuple[float, float], ...]:
    """Return strengths that the family takes, and the error at each."""
    points = []
    for strength in strengths:
        try:
            point = measure(family, sample, strength=strength, seed=seed)
        except ArgumentError:  # too weak for this convolution
            continue
        points.append((strength, point.error))
    return tuple(points)


def _chosen(
    sample: Sample | None,
    own: Callable[[], Sample],
    attempt: Callable[[Convolution, Size], object],
    remarks: list[str],
) -> Sample:
    """Return the sample if the family takes it, else the family's own example."""
    if sample is None:
        return own()
    try:
        attempt(in_float64(sample.conv), sample.size)
    except (ArgumentError, InputError) as error:
        remarks.append(str(error))
        return own()
    return sample


def measure(
    family: Family, sample: Sample, *, strength: float | None = None, seed: int = 0
) -> Weights:
    """Measure a constructed layer against the convolution, in float64.

    Args:
        family: A family with weights.
        sample: The convolution and the input size.
        strength: Of the construction; by default the family's own.
        seed: Decides the inputs.

    Returns:
        The measurement.
    """
    conv, size = in_float64(sample.conv), sample.size
    own, options = family.strength, {}
    if own is not None:
        strength = own.checked(strength, conv.weight.dtype)
        options = {own.name: strength}
    layer = family.construct(conv, size, **options)
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (_IMAGES, conv.in_channels, *size)
    with torch.device("cpu"):
        x = (
            2
            * torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
            - 1
        )
    with torch.no_grad():
        expected = conv(x)
        gap = float((layer(x) - expected).abs().max())
    # The outputs of a convolution of zeros have no size.
    return Weights(strength, gap / (float(expected.abs().max()) or 1.0), sample)


def attacked(
    family: Family,
    sample: Sample,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = iter,
) -> Attack:
    """Attack the witness of a family, and its control with as many steps.

    Args:
        family: A family with a witness.
        sample: The convolution and the input size.
        steps: Steps of each attack; more if the control needs more.
        seed: Decides where they start.
        progress: Wraps the iterable of steps of each.

    Returns:
        How close they come.
    """
    witness = family.refute(in_float64(sample.conv), sample.size)
    control, remark = _controlled(witness, steps, seed, progress)
    return Attack(
        witness.bound,
        witness.trace(max(steps, len(control) - 1), seed=seed, progress=progress),
        control,
        max(witness.violation(s) for s in range(seed, seed + 5)),
        witness,
        sample,
        remark,
    )


def _controlled(
    witness: Witness, steps: int, seed: int, progress: Progress
) -> tuple[tuple[float, ...], str]:
    """Return an attack with the condition restored, and why it says nothing."""
    trace: tuple[float, ...] = ()
    for times in _PATIENCE:
        try:
            trace = witness.trace(
                times * steps, seed=seed, control=True, progress=progress
            )
        except ArgumentError as error:
            return (), f"the attack has no control: {error}"
        if trace[-1] < BELOW * witness.bound:
            return trace, ""
    share = trace[-1] / witness.bound
    return trace, (
        f"the control came to {share:.2g} of the bound in {len(trace) - 1} steps, so "
        "that the attack says little: take more steps"
    )
