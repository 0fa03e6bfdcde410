"""Exercises that ask for a witness: inputs that a family cannot tell apart."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from expressivity.atlas import FAMILIES, Witness
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import exact_conv
from expressivity.coursework.verdict import Verdict
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

_BASIS = "witness of the atlas"
_LAYERS, _ROUNDING = 5, 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class FindWitness(Exercise):
    """Find two inputs that every layer of a family treats alike at one output.

    The convolution has to tell them apart. Half of the difference is then a bound that
    no layer of the family gets below.

    Attributes:
        family: The family, by its name in the atlas.
        conv: The convolution.
        size: Pixels per axis of the inputs.
        share: How much of the bound of the atlas's own witness is asked for.
    """

    kind: ClassVar[str] = "break it"

    family: str
    conv: Convolution
    size: tuple[int, ...]
    share: float = 0.5

    @cached_property
    def _own(self) -> Witness:
        return FAMILIES[self.family].refute(self.conv, self.size)

    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge (first input, second input, output position).

        Args:
            answer: Two tensors, (in_channels, *size), and a position per axis.

        Returns:
            The verdict; the bound is the grade.
        """
        inputs, query, problem = self._parsed(answer)
        if inputs is None:
            return self.verdict(False, problem, _BASIS)
        own = self._own
        try:
            witness = Witness.of(
                exact_conv(self.conv),
                inputs,
                (query, query),
                kind=own.kind,
                symmetry=own.symmetry,
                make=own.make,
                scale=own.scale,
            )
        except ArgumentError:
            return self.verdict(
                False,
                "the convolution gives the same output for both inputs there, as a "
                "layer of the family may.",
                _BASIS,
                gap=0.0,
                counterexample=inputs,
                output=query,
            )
        violation = max(witness.violation(seed) for seed in range(_LAYERS))
        if violation > _ROUNDING:
            return self.verdict(
                False,
                f"layers of the family do tell the inputs apart: with random weights "
                f"by {violation:.2%} of their outputs.",
                _BASIS,
                gap=violation,
                counterexample=inputs,
                output=query,
            )
        needed = self.share * own.bound
        passed = witness.bound >= needed
        reached = f"every layer of the family errs by {witness.bound:.3g} at least"
        asked = "enough" if passed else f"{needed:.3g} is asked for"
        return self.verdict(
            passed,
            f"{reached}: {asked}.",
            _BASIS,
            gap=witness.bound,
            counterexample=None if passed else inputs,
            output=query,
        )

    def _parsed(self, answer: object) -> tuple[Tensor | None, tuple[int, ...], str]:
        """Return the two inputs and the position, or what is wrong with them."""
        shape = (self.conv.in_channels, *self.size)
        wanted = f"the answer needs (first, second, output), inputs of shape {shape}"
        if not isinstance(answer, (tuple, list)) or len(answer) != 3:
            return None, (), f"{wanted}, got {type(answer).__name__}."
        first, second, place = answer
        for x in (first, second):
            if not isinstance(x, Tensor) or tuple(x.shape) != shape:
                return None, (), f"{wanted}, got another shape."
        inputs = torch.stack([first, second]).detach().double().cpu()
        if not bool(inputs.isfinite().all()) or float(inputs.abs().max()) > 1.0:
            return None, (), "entries need to be within ±1."
        outputs = ConvGeometry.from_conv(self.conv).output_size(self.size)
        try:
            query = tuple(int(index) for index in place)
        except TypeError:
            return None, (), f"{wanted}, and one integer an axis, got {place!r}."
        if len(query) != len(outputs) or not all(
            0 <= index < n for index, n in zip(query, outputs, strict=True)
        ):
            return None, (), f"the output needs to be within {outputs}, got {query}."
        return inputs, query, ""
