"""What the raw numbers say: the figures beside their targets, and how time grows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expressivity.bench import contenders as of
from expressivity.bench import suites
from expressivity.bench.document import BASELINE, Document, Measurement

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
    layers = [
        (of.SATURATED, 1.1, "saturated"),
        (of.HARD, 1.5, "α = 4"),
        (of.SOFT, 1.5, "α = 1"),
    ]
    kind = f"{document.dtype} on {document.device}"
    if document.device == "cuda":
        rows = _ratios(document, suites.RESNET, [of.HARD])
        statement = f"ResNet-50 layers, batch 32, {kind}, α = 4: geometric mean"
        return [Target(statement, times, 1.5, _geometric_mean(rows))]
    means = [
        Target(
            f"ResNet-50 layers at 224², {words}: geometric mean",
            times,
            goal,
            _geometric_mean(_ratios(document, suites.RESNET, [name])),
        )
        for name, goal, words in layers
    ]
    names = [name for name, _, _ in layers]
    worst = max((r for r, _ in _ratios(document, suites.RESNET, names)), default=None)
    network, training = (
        next((m.ratio for m in document.of(suite, of.SATURATED)), None)
        for suite in (suites.NETWORK, suites.TRAINING)
    )
    return [
        *means,
        Target("worst of these layers, any α", times, 2.5, worst),
        Target("ResNet-50, default α: forward", times, 1.2, network),
        Target("ResNet-50, default α: forward and backward", times, 1.4, training),
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
    dense, hard, plain = (
        next(document.of(suites.NINE_HEADS, name), None)
        for name in (of.DENSE, of.HARD, of.SATURATED)
    )
    soft, materialised = (
        next(document.of(suites.UNEQUAL, name), None)
        for name in (of.UNEQUAL, f"{of.DENSE}, unequal α, off-grid")
    )
    at_56 = "against dense at 56×56×64, nine heads"
    return [
        Target(f"{at_56}, saturated", "× faster", 300, _faster(plain, dense), True),
        Target(f"{at_56}, α = 4", "× faster", 300, _faster(hard, dense), True),
        Target(f"{at_56}, α = 4", "× less memory", 50, _smaller(hard, dense), True),
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
    peak = max((m.bytes for m in large if m.bytes is not None), default=None)
    gib = None if peak is None else (peak + bytes_of_input) / GIB
    return [*exponents, Target("1024×1024×16, soft: memory", "GiB", 1.0, gib)]


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
