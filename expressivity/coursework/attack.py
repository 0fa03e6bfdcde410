"""Exercises with the roles reversed: find an input on which a layer fails."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from expressivity.attention import RelativeSelfAttention
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import (
    attained,
    exact_conv,
    exact_layer,
    judged,
)
from expressivity.coursework.verdict import Verdict
from expressivity.geometry.convolution import Convolution


@dataclass(frozen=True, eq=False, kw_only=True)
class Break(Exercise):
    """Find an input that is nearly as bad as the certified bound.

    Attributes:
        layer: A layer that somebody believes to be the convolution.
        conv: The convolution.
        size: Pixels per axis of the input.
        share: How much of the bound the input has to attain.
    """

    kind: ClassVar[str] = "break it"

    layer: RelativeSelfAttention
    conv: Convolution
    size: tuple[int, ...]
    share: float = 0.9

    @cached_property
    def _bound(self) -> float:
        layer, conv = exact_layer(self.layer), exact_conv(self.conv)
        return judged(layer, conv, self.size).bound

    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge an input by what it attains over what is certified."""
        basis = "attained over certified"
        shape = (1, self.conv.in_channels, *self.size)
        if isinstance(answer, Tensor) and tuple(answer.shape) == shape[1:]:
            answer = answer[None]
        if not isinstance(answer, Tensor) or tuple(answer.shape) != shape:
            got = tuple(answer.shape) if isinstance(answer, Tensor) else answer
            return self.verdict(
                False,
                f"the answer needs a tensor of shape {shape}, got {got!r}.",
                basis,
            )
        x = answer.detach().double().cpu()
        largest = float(x.abs().max())
        if not bool(torch.isfinite(x).all()) or largest > 1.0:
            return self.verdict(
                False,
                f"entries need to be within ±1, got one of size {largest:.3g}.",
                basis,
                counterexample=x.nan_to_num(0.0).clamp(-1, 1),
            )
        layer, conv = exact_layer(self.layer), exact_conv(self.conv)
        gap, output = attained(layer, conv, x)
        share = gap / self._bound
        passed = share >= self.share
        finding = (
            f"the input attains {gap:.3g}, {share:.1%} of what is certified; "
            f"{self.share:.0%} is asked for."
        )
        return self.verdict(
            passed, finding, basis, gap=gap, counterexample=x, output=output
        )
