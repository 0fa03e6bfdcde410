"""What the raw numbers say: the figures beside their targets, and how time grows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expressivity.bench import contenders as of
from expressivity.bench import suites
from expressivity.bench.document import BASELINE, Document, Measurement
from expressivity.bench.trained import (
    FROZEN,
    FROZEN_GOAL,
    MIB,
    OWN,
    SHAPES,
    TIED,
    TIED_GOAL,
)

GIB = 2**30
SMALLEST_OF_GROWTH, LARGEST_OF_GROWTH = 64**2, 1024**2


@dataclass(frozen=True)
class Target:
    """A figure, and the goal for it.

    Attributes:
        statement: What is measured.
        unit: Its unit, such as ``"× nn.Conv2d"``.
        goal: The largest value that meets the target, or the smallest.
        value: The figure; ``None`` if it was not measured.
        at_least: Whether a larger figure is better.
    """

    statement: str
    unit: str
    goal: float
    value: float | None
    at_least: bool = False

    @property
    def is_met(self) -> bool | None:
        """Whether the figure reaches the goal; ``None`` if there is no figure."""
        if self.value is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def bound(self) -> str:
        """Return the goal in words, such as ``"≤ 1.5"``."""
        return f"{'≥' if self.at_least else '≤'} {self.goal:g}"

    def figure(self) -> str:
        """Return the figure in words, such as ``"1.28 × nn.Conv2d"``."""
        if self.value is None:
            return "not measured"
        return f"{self.value:.3g} {self.unit}".rstrip()


def targets(document: Document) -> list[Target]:
    """Compare a run with the targets.

    Args:
        document: The raw numbers.

    Returns:
        The targets of the device that the run used.
    """
    times = f"× {BASELINE}"
    kind = f"{document.dtype} on {document.device}"
    if document.device == "cuda":
        rows = _ratios(document, suites.RESNET, [of.HARD])
        statement = f"ResNet-50 layers, batch 32, {kind}, α = 4: geometric mean"
        return [Target(statement, times, 1.5, _geometric_mean(rows))]
    network, training = (
        next((m.ratio for m in document.of(suite, of.SATURATED)), None)
        for suite in (suites.NETWORK, suites.TRAINING)
    )
    return [
        *_of_layers(document, suites.RESNET, "ResNet-50 layers at 224²"),
        *_of_layers(document, suites.RESNET_LAST, "the same, channels last"),
        Target("ResNet-50, default α: forward", times, 1.2, network),
        Target("ResNet-50, default α: forward and backward", times, 1.4, training),
        *_of_trained(document),
        *_against_dense(document),
        *_growing(document),
        Target(
            "converting 53 layers",
            "s",
            2.0,
            document.facts.get(suites.CONVERT_SECONDS),
        ),
        Target(
            "converting 53 layers: peak memory",
            "× the weights",
            2.0,
            document.facts.get(suites.CONVERT_MEMORY),
        ),
    ]


def _of_layers(document: Document, suite: str, title: str) -> list[Target]:
    """Return the figures of the layers of a network, in one memory format."""
    times = f"× {BASELINE}"
    layers = [
        (of.SATURATED, 1.1, "saturated"),
        (of.HARD, 1.25, "α = 4"),
        (of.SOFT, 1.35, "α = 1"),
    ]
    ratios = [_ratios(document, suite, [name]) for name, _, _ in layers]
    worst = max((ratio for some in ratios for ratio, _ in some), default=None)
    return [
        *(
            Target(f"{title}, {words}: geometric mean", times, goal, mean)
            for (_, goal, words), mean in zip(
                layers, map(_geometric_mean, ratios), strict=True
            )
        ),
        Target(f"{title}: worst, any α", times, 2.0, worst),
    ]


def _of_trained(document: Document) -> list[Target]:
    """Return the figures of training steps; a step passes forward and backward."""
    times, rows = f"× {BASELINE}", list[Target]()
    for shape in SHAPES:
        own = _of_case(document, OWN, str(shape))
        limit = f"multiplications allow {shape.limit:.1f}"
        rows.append(
            Target(
                f"step with α and Δ trained, {shape} ({limit})",
                times,
                shape.goal,
                None if own is None else own.ratio,
            )
        )
        if shape.goal_bytes is not None:
            peak = None if own is None or own.bytes is None else own.bytes / MIB
            goal = shape.goal_bytes / MIB
            rows.append(Target(f"the same, {shape}: memory", "MiB", goal, peak))
    for name, goal in ((TIED, TIED_GOAL), (FROZEN, FROZEN_GOAL)):
        worst = max(
            (r for r, _ in _ratios(document, suites.TRAINED, [name])), default=None
        )
        rows.append(Target(f"step with {name}: worst shape", times, goal, worst))
    return rows


def _of_case(document: Document, contender: str, case: str) -> Measurement | None:
    """Return the measurement of a training step, if it was made."""
    found = (m for m in document.of(suites.TRAINED, contender) if m.case == case)
    return next(found, None)


def growth_exponent(document: Document, contender: str) -> float | None:
    """Return p of time ∝ tokens^p, from 64² to 1024² tokens.

    Args:
        document: The raw numbers.
        contender: The name of a contender.

    Returns:
        The slope between both ends; ``None`` if one of them was not measured.
    """
    seconds = {m.tokens: m.seconds for m in document.of(suites.GROWTH, contender)}
    ends = seconds.get(SMALLEST_OF_GROWTH), seconds.get(LARGEST_OF_GROWTH)
    if ends[0] is None or ends[1] is None:
        return None
    return math.log(ends[1] / ends[0]) / math.log(
        LARGEST_OF_GROWTH / SMALLEST_OF_GROWTH
    )


def _against_dense(document: Document) -> list[Target]:
    dense, hard = (
        next(document.of(suites.NINE_HEADS, name), None) for name in (of.DENSE, of.HARD)
    )
    soft, materialised = (
        next(document.of(suites.UNEQUAL, name), None)
        for name in (of.UNEQUAL, f"{of.DENSE}, unequal α, off-grid")
    )
    return [
        Target(
            "against dense at 56×56×64, nine heads, α = 4",
            "× less memory",
            50,
            _smaller(hard, dense),
            at_least=True,
        ),
        Target(
            "unequal α, off-grid centers, 32×32×64, nine heads, against dense",
            "× faster",
            20,
            _faster(soft, materialised),
            at_least=True,
        ),
    ]


def _growing(document: Document) -> list[Target]:
    exponents = [
        Target(
            f"time ∝ tokens^p from 64² to 1024², {words}: p",
            "",
            1.1,
            growth_exponent(document, name),
        )
        for name, words in ((of.HARD, "α = 4"), (of.SOFT, "α = 1"))
    ]
    large = [
        m
        for name in (of.HARD, of.SOFT)
        for m in document.of(suites.LARGE, name)
        if m.tokens == LARGEST_OF_GROWTH
    ]
    # Input, output and everything temporary.
    bytes_of_input = 16 * LARGEST_OF_GROWTH * 4
    hard = next((m.ratio for m in large if m.contender == of.HARD), None)
    peak = max((m.bytes for m in large if m.bytes is not None), default=None)
    gib = None if peak is None else (peak + bytes_of_input) / GIB
    return [
        *exponents,
        Target("1024×1024×16, α = 4", f"× {BASELINE}", 1.4, hard),
        Target("1024×1024×16, soft: memory", "GiB", 1.0, gib),
    ]


def _ratios(
    document: Document, suite: str, names: Iterable[str]
) -> list[tuple[float, int]]:
    """Return the ratios of some contenders, each with the count of its layer."""
    return [
        (m.ratio, m.times_in_network)
        for name in names
        for m in document.of(suite, name)
        if m.ratio is not None
    ]


def _geometric_mean(ratios: Sequence[tuple[float, int]]) -> float | None:
    """Return the mean over all layers of the network, repeated layers counted."""
    if not ratios:
        return None
    total = sum(count for _, count in ratios)
    return math.exp(sum(count * math.log(ratio) for ratio, count in ratios) / total)


def _faster(one: Measurement | None, other: Measurement | None) -> float | None:
    if one is None or other is None or one.seconds is None or other.seconds is None:
        return None
    return other.seconds / one.seconds


def _smaller(one: Measurement | None, other: Measurement | None) -> float | None:
    if one is None or other is None or not one.bytes or other.bytes is None:
        return None
    return other.bytes / one.bytes
