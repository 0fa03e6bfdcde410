"""A family of layers, and what is claimed about it.

A file of :mod:`expressivity.atlas.families` has one or both of

- ``construct(conv, size, strength)``, the layer that computes a convolution: any that
  its name does not exclude, on inputs of that size. The strength, an α in 1/pixel² or
  a B, is left out where a family has none.
- ``refute(conv, size)``, the :class:`~expressivity.atlas.witness.Witness` against all
  layers, from a convolution in float64.

Both raise ``ArgumentError`` with the condition that a convolution does not meet. Their
docstrings say only what is special about a family.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import torch
from torch import nn

from expressivity.atlas.strength import Strength, locality
from expressivity.atlas.witness import Witness
from expressivity.convolutions import plain_convolution
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.results import Result, card, plotted_html

Verdict = Literal["yes", "no", "conditional"]
Size = tuple[int, ...]
Constructor = Callable[..., nn.Module]
Refuter = Callable[[Convolution, Size], Witness]


@dataclass(frozen=True)
class Claim:
    """What is claimed: can one layer compute an arbitrary convolution?

    Attributes:
        statement: What the family can, or cannot, express.
        conditions: Under which conditions; each is a short noun phrase.
        source: Paper that defines the layer.
    """

    statement: str
    conditions: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Sample:
    """A convolution, and the size of its inputs.

    Attributes:
        conv: The convolution.
        size: Pixels per axis.
    """

    conv: Convolution
    size: Size


def in_float64(conv: Convolution) -> Convolution:
    """Return a copy of a convolution in float64, on the CPU.

    Args:
        conv: Any plain convolution.

    Returns:
        The copy.
    """
    wide: Convolution = copy.deepcopy(plain_convolution(conv)).cpu().double()
    return wide


def sample(
    kind: Callable[..., Convolution],
    *channels_and_kernel: int,
    size: Size,
    dtype: torch.dtype = torch.float64,
    **options: Any,  # noqa: ANN401 - those of a convolution
) -> Sample:
    """Return a random convolution in float64, the same every time.

    Args:
        kind: Its class.
        channels_and_kernel: Channels in, channels out, kernel size.
        size: Pixels per axis of the input.
        dtype: In which the weights are drawn.
        options: Those of ``kind``.

    Returns:
        The convolution and the size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = kind(*channels_and_kernel, dtype=dtype, device="cpu", **options)
        return Sample(conv.double(), size)


def default_sample() -> Sample:
    """Return a 3×3 convolution with zero padding on a small image."""
    return sample(nn.Conv2d, 2, 3, 3, padding=1, size=(4, 6))


@dataclass(frozen=True, repr=False)
class Family(Result):
    """A family of layers with the evidence for what is claimed about it.

    Attributes:
        name: A short name, as the command line spells it.
        title: A name for tables.
        claim: What is claimed.
        strength: What makes the construction as exact as one likes; ``None`` where it
            is exact up to rounding.
        heads: Heads that the construction needs, in words; empty without heads.
        constructor: Returns the layer that computes a convolution; or ``None``.
        refuter: Returns a witness against all layers; or ``None``.
        takes: Returns an example of what the constructor takes.
        fails: Returns an example of what the layer cannot do.
    """

    name: str
    title: str
    claim: Claim
    strength: Strength | None = field(default_factory=locality)
    heads: str = ""
    constructor: Constructor | None = None
    refuter: Refuter | None = None
    takes: Callable[[], Sample] = default_sample
    fails: Callable[[], Sample] = default_sample

    def __repr__(self) -> str:
        return f"Family({self.name!r}, {self.verdict!r}: {self.title})"

    def __str__(self) -> str:
        conditions = "; ".join(self.conditions)
        return f"{self.title}: {self.verdict}. {self.claim.statement} ({conditions})"

    def _repr_html_(self) -> str:
        rows = [
            ("can it compute every convolution?", self.verdict),
            ("statement", self.claim.statement),
            ("conditions", "; ".join(self.conditions)),
            ("heads", self.heads),
            ("defined by", self.source),
        ]
        shown = card(self.title, [row for row in rows if row[1]])
        if self.refuter is None:
            return shown
        failing = self.fails()
        witness = self.refute(failing.conv, failing.size)
        text = f"{witness.symmetry} Every setting of the parameters errs by at least "
        text += f"{witness.bound:.2g} on one of these inputs, for {failing.conv}."
        return f"{shown}<p>{escape(text)}</p>" + plotted_html("plot_witness", witness)

    @property
    def verdict(self) -> Verdict:
        """``"yes"``, ``"no"``, or ``"conditional"`` where both can be shown."""
        if self.refuter is None:
            return "yes"
        return "no" if self.constructor is None else "conditional"

    @property
    def source(self) -> str:
        """Paper that defines the layer."""
        return self.claim.source

    @property
    def conditions(self) -> tuple[str, ...]:
        """Under which conditions the statement holds."""
        return self.claim.conditions

    def construct(
        self,
        conv: Convolution,
        size: Sequence[int] = (8, 8),
        **strength: float,
    ) -> nn.Module:
        """Return a layer of the family that computes a convolution.

        Args:
            conv: The convolution; zero padding that keeps the size unless the family
                takes others.
            size: Pixels per axis of the input.
            strength: The family's strength by its name, ``alpha=`` for most; by default
                one that suits the dtype of the convolution.

        Returns:
            A module that maps the convolution's input to its output, in its dtype.

        Raises:
            ArgumentError: If the family has no such layer, or no such strength; if the
                strength is out of range; if the family does not take the convolution,
                with the condition that is not met.
            UnsupportedModuleError: If ``conv`` is no plain convolution.
        """
        if self.constructor is None:
            raise ArgumentError(
                f"{self.title} computes no arbitrary convolution: ask for the witness "
                "with refute()"
            )
        conv, size = plain_convolution(conv), tuple(size)
        ConvGeometry.from_conv(conv).check_input(size)
        own = self.strength
        if other := strength.keys() - ({own.name} if own else set()):
            raise ArgumentError(
                f"{self.title} takes {f'{own.name}=' if own else 'no strength'}, got "
                f"{', '.join(sorted(other))}: leave it out"
            )
        values = []
        if own is not None:
            values.append(own.checked(strength.get(own.name), conv.weight.dtype))
        with torch.device("cpu"):  # where layers make their own parameters
            return self.constructor(conv, size, *values)

    def refute(self, conv: Convolution, size: Sequence[int] = (8, 8)) -> Witness:
        """Return inputs on which every layer of the family fails a convolution.

        Args:
            conv: The convolution.
            size: Pixels per axis of the input.

        Returns:
            The witness.

        Raises:
            ArgumentError: If the family has no witness, or none for this convolution:
                it may be one that the family does compute.
            UnsupportedModuleError: If ``conv`` is no plain convolution.
        """
        if self.refuter is None:
            raise ArgumentError(
                f"{self.title} computes every convolution under its conditions: ask "
                "for the layer with construct()"
            )
        ConvGeometry.from_conv(plain_convolution(conv)).check_input(size)
        with torch.device("cpu"):
            return self.refuter(in_float64(conv), tuple(size))
