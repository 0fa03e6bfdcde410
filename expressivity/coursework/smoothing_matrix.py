"""Exercises that ask for the smoothing of one axis, entry by entry."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from flint import arb
from torch import Tensor

from expressivity.coursework.exercise import Exercise
from expressivity.coursework.verdict import Verdict
from expressivity.numbers.balls import above, in_balls

_BASIS = "exact worst case, in ball arithmetic"


@dataclass(frozen=True, eq=False, kw_only=True)
class BuildSmoothing(Exercise):
    """Build R(t, k) = softmax_k(−α (k − t)²) for every token of an axis.

    Attributes:
        alpha: Locality strength, 1/pixel².
        tokens: Tokens along the axis.
        tolerance: Largest error of a smoothed signal within ±1.
    """

    kind: ClassVar[str] = "construct"

    alpha: float
    tokens: int
    tolerance: float

    @in_balls
    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge a matrix by the ℓ₁ norm of its worst row, beside the softmax."""
        shape = (self.tokens, self.tokens)
        if not isinstance(answer, Tensor) or tuple(answer.shape) != shape:
            got = tuple(answer.shape) if isinstance(answer, Tensor) else answer
            return self.verdict(
                False,
                f"the answer needs a tensor of shape {shape}, got {got!r}.",
                _BASIS,
            )
        given = answer.detach().double().cpu()
        if not bool(given.isfinite().all()):
            rows = (~given.isfinite()).any(1)
            return self.verdict(
                False,
                "entries need to be finite: a signal of ones is not smoothed.",
                _BASIS,
                counterexample=torch.ones_like(given[:1])[None],
                output=(int(rows.nonzero()[0]),),
            )
        worst, signs, place = arb(-1), [0.0] * self.tokens, 0
        for token, entries in enumerate(given.tolist()):
            gaps = [
                arb(entry) - exact
                for entry, exact in zip(entries, self._row(token), strict=True)
            ]
            norm = sum((abs(gap) for gap in gaps), arb(0))
            if float(norm.mid()) > float(worst.mid()):
                worst, place = norm, token
                signs = [1.0 if gap.mid() > 0 else -1.0 for gap in gaps]
        passed = worst <= arb(self.tolerance)
        if passed:
            finding = (
                f"no signal within ±1 is smoothed with an error above "
                f"{above(worst):.3g}."
            )
            return self.verdict(True, finding, _BASIS, gap=above(worst))
        signal = torch.tensor(signs, dtype=torch.float64, device="cpu")
        return self.verdict(
            False,
            f"a signal within ±1 is smoothed with an error of {float(worst.mid()):.3g} "
            f"at token {place}, {self.tolerance:.3g} is allowed.",
            _BASIS,
            gap=float(worst.mid()),
            counterexample=signal.reshape(1, 1, -1),
            output=(place,),
        )

    def _row(self, token: int) -> list[arb]:
        weights = [
            (-arb(self.alpha) * (key - token) ** 2).exp() for key in range(self.tokens)
        ]
        total = sum(weights, arb(0))
        return [weight / total for weight in weights]
