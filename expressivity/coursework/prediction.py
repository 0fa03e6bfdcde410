"""Exercises that ask for a number before it is computed, as an interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flint import arb
from jaxtyping import Float
from torch import Tensor

from expressivity.checks import shown
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.verdict import Verdict
from expressivity.numbers.balls import in_balls

_FACTORS = (1.01, 1.1, 1.5, 2.0, 3.0, 10.0, 100.0, 1e3, 1e6)
_BASIS = "ball arithmetic"


@dataclass(frozen=True, eq=False, kw_only=True)
class Predict(Exercise):
    """Predict a positive number by an interval that is not too wide.

    Attributes:
        quantity: What is to be predicted, with its unit.
        given: What the quantity depends on, by name.
        widest: The largest ratio of the ends of the interval.
    """

    kind: ClassVar[str] = "predict"

    quantity: str
    widest: float
    given: Mapping[str, Any] = field(default_factory=dict)
    _truth: Callable[[], arb] = field(repr=False)
    _input: Callable[[], Float[Tensor, "inputs in_channels ..."]] | None = field(
        default=None, repr=False
    )

    @in_balls
    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge an interval, (low, high), by whether it contains a ball."""
        ends = _ends(answer)
        if ends is None:
            return self.verdict(
                False,
                "the answer needs two positive numbers (low, high), low first, got "
                f"{shown(answer)}.",
                _BASIS,
            )
        low, high = ends
        if high / low > self.widest * (1 + 1e-9):
            return self.verdict(
                False,
                f"the interval from {low:.4g} to {high:.4g} spans a factor of "
                f"{high / low:.3g}, at most {self.widest:g} is allowed: commit "
                "yourself.",
                _BASIS,
                gap=high / low,
            )
        truth = self._truth()
        if arb(low) <= truth and truth <= arb(high):
            return self.verdict(
                True,
                f"{self.quantity} lies between {low:.4g} and {high:.4g}.",
                _BASIS,
            )
        above = bool(arb(low) > truth)
        ratio = arb(low) / truth if above else truth / arb(high)
        factor = max((f for f in _FACTORS if ratio >= f), default=1.0)
        by = f"by a factor of {factor:g} at least" if factor > 1 else "by a little"
        return self.verdict(
            False,
            f"the interval from {low:.4g} to {high:.4g} is too "
            f"{'high' if above else 'low'}, {by}.",
            _BASIS,
            gap=factor,
            counterexample=None if self._input is None else self._input(),
        )


def between(low: float, high: float) -> arb:
    """Return a ball that contains two numbers and all that lies between them."""
    middle, radius = (arb(low) + arb(high)) / 2, (arb(high) - arb(low)) / 2
    return arb(middle.mid(), middle.rad() + radius.upper())


def ball(number: float, digits: int = 14) -> arb:
    """Return a ball around a number that is right to so many digits."""
    return between(number * (1 - 10.0**-digits), number * (1 + 10.0**-digits))


def _ends(answer: object) -> tuple[float, float] | None:
    """Return two numbers 0 < low ≤ high, or ``None``."""
    if not isinstance(answer, Sequence) or len(answer) != 2:
        return None
    try:
        low, high = float(answer[0]), float(answer[1])
    except (TypeError, ValueError):
        return None
    return (low, high) if 0 < low <= high < float("inf") else None
