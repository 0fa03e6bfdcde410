"""Exercises that ask for a layer, or for the convolution that a layer computes."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import (
    ShapeError,
    exact_conv,
    exact_layer,
    judged,
)
from expressivity.coursework.verdict import Verdict
from expressivity.errors import ExpressivityError
from expressivity.geometry.convolution import Convolution


@dataclass(frozen=True, eq=False, kw_only=True)
class _Compare(Exercise):
    """Judge a layer beside a convolution, one of them the student's.

    Attributes:
        size: Pixels per axis of the input.
        tolerance: Largest absolute error allowed, in any output.
        input_bound: Largest ‖x‖_∞ that the tolerance is for.
    """

    size: tuple[int, ...]
    tolerance: float
    input_bound: float = 1.0

    def _compared(
        self, layer: RelativeSelfAttention, conv: Convolution, channels: int
    ) -> Verdict:
        ones = torch.ones(1, channels, *self.size, dtype=torch.float64, device="cpu")
        ones = self.input_bound * ones
        try:
            exact = exact_layer(layer), exact_conv(conv)
            worst = judged(*exact, self.size, self.input_bound)
        except ShapeError as error:
            shapes = "×".join(map(str, error.first)), "×".join(map(str, error.second))
            return self.verdict(
                False,
                f"attention returns {shapes[0]} numbers and the convolution "
                f"{shapes[1]} for the same input: the geometries differ.",
                "exact worst case",
                counterexample=ones,
            )
        except ExpressivityError as error:
            return self.verdict(
                False,
                f"{error}.",
                "the gate of the package",
                counterexample=ones if self._differ(layer, conv, ones) else None,
            )
        box = f"‖x‖∞ ≤ {self.input_bound:g}"
        if worst.bound <= self.tolerance:
            return self.verdict(
                True,
                f"no input with {box} makes a difference above {worst.bound:.3g}; "
                f"{self.tolerance:.3g} is allowed.",
                worst.basis,
                gap=worst.bound,
            )
        if worst.attained > self.tolerance:
            times = worst.attained / self.tolerance
            finding = (
                f"an input with {box} makes a difference of {worst.attained:.3g}, "
                f"{times:.3g} times the {self.tolerance:.3g} that is allowed."
            )
        else:
            finding = (
                f"the difference is below {worst.bound:.3g}, which is not below the "
                f"{self.tolerance:.3g} that is allowed; {worst.attained:.3g} was "
                "attained. Scores that depend on the tokens have no bound at all."
            )
        return self.verdict(
            False,
            finding,
            worst.basis,
            gap=worst.attained,
            counterexample=worst.x,
            output=worst.output,
        )

    def _differ(
        self, layer: nn.Module, conv: nn.Module, x: Float[Tensor, "1 channels ..."]
    ) -> bool:
        """Whether layers that cannot be judged for all inputs differ on this one."""
        try:
            with torch.no_grad():
                first, second = (
                    each(x.to(next(each.parameters()))).cpu().double()
                    for each in (layer, conv)
                )
            return not bool((first - second).abs().max() <= self.tolerance)
        except Exception:  # a student's code, or it takes no such input
            return True


@dataclass(frozen=True, eq=False, kw_only=True)
class Construct(_Compare):
    """Build an attention layer that computes a convolution.

    Attributes:
        conv: The convolution.
        most_heads: Heads that are allowed; ``None`` for any number.
    """

    kind: ClassVar[str] = "construct"

    conv: Convolution
    most_heads: int | None = None

    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge a layer by its worst input, see :func:`judged`."""
        if not isinstance(answer, RelativeSelfAttention):
            return self.verdict(
                False,
                "the answer needs to be a RelativeSelfAttention, got "
                f"{type(answer).__name__}.",
                "the gate of the package",
            )
        verdict = self._compared(answer, self.conv, self.conv.in_channels)
        if self.most_heads is None or answer.num_heads <= self.most_heads:
            return verdict
        return self.verdict(
            False,
            f"the layer has {answer.num_heads} heads, {self.most_heads} are allowed.",
            "a count of heads",
            gap=float(answer.num_heads - self.most_heads),
            counterexample=verdict.counterexample,
            output=verdict.output,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Recover(_Compare):
    """Find the convolution that an attention layer computes.

    Attributes:
        layer: The layer.
    """

    kind: ClassVar[str] = "construct"

    layer: RelativeSelfAttention

    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge a convolution by the input on which the layer differs most from it."""
        if not isinstance(answer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return self.verdict(
                False,
                f"the answer needs to be a convolution, got {type(answer).__name__}.",
                "the gate of the package",
            )
        return self._compared(self.layer, answer, self.layer.in_channels)
