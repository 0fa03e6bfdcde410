"""A family of layers, and what is claimed about it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from expressivity.atlas.strength import Strength, locality
from expressivity.atlas.witness import Witness
from expressivity.convolutions import plain_convolution
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

Verdict = Literal["yes", "no", "conditional"]
Constructor = Callable[..., nn.Module]
Refuter = Callable[[Convolution, tuple[int, ...]], Witness]


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
    """A convolution, and the size of the inputs it is looked at on.

    Attributes:
        conv: The convolution.
        size: Pixels per axis.
    """

    conv: Convolution
    size: tuple[int, ...]


def in_float64(conv: Convolution) -> Convolution:
    """Return a copy of a convolution in float64, on the CPU.

    Args:
        conv: Any plain convolution.

    Returns:
        The copy.
    """
    wide: Convolution = copy.deepcopy(plain_convolution(conv)).cpu().double()
    return wide


def default_sample() -> Sample:
    """Return a random 3×3 convolution on a small image, the same every time.

    Returns:
        Two channels to three, zero padding, stride 1, with a bias.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv2d(2, 3, 3, padding=1, dtype=torch.float64, device="cpu")
        return Sample(conv, (4, 6))


@dataclass(frozen=True)
class Family:
    """A family of layers with the evidence for what is claimed about it.

    Attributes:
        name: A short name, as the command line spells it.
        title: A name for tables.
        verdict: ``"yes"``, ``"no"``, or ``"conditional"`` where both can be shown.
        claim: What is claimed.
        strength: What makes the construction as exact as one likes; ``None`` where it
            is exact up to rounding.
        heads: Heads that the construction needs, in words; empty without heads.
        constructor: Fills the layer with weights, from a convolution, a size and the
            strength if there is one; ``None`` where there are none.
        refuter: Finds inputs that the layer cannot tell apart; ``None`` without.
        takes: An example of what the constructor takes.
        fails: An example of what the layer cannot do.
    """

    name: str
    title: str
    verdict: Verdict
    claim: Claim
    strength: Strength | None = field(default_factory=locality)
    heads: str = ""
    constructor: Constructor | None = None
    refuter: Refuter | None = None
    takes: Callable[[], Sample] = default_sample
    fails: Callable[[], Sample] = default_sample

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
