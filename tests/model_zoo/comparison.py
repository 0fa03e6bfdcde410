"""Whether a converted network equals the original, by float32's own measure."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

import expressivity as ex
from expressivity.conversion.network import Conversion
from tests.model_zoo.network import tensors

CONVOLUTIONS = nn.modules.conv._ConvNd  # transposed ones too

# Two ways of rounding the same sums differ by a few units in the last place of each
# layer. In a deep network they grow as the original's own rounding grows, which float64
# shows; the larger of both is allowed, with room for the luck of the draw.
_UNITS = 64
_TIMES = 16
# More than that is a choice, of a mask or a box, that goes another way in float64. The
# reference is then the original in float32, and rounding what another order of sums
# makes of it.
_CHOICE = 1e-2


@dataclass(frozen=True)
class Comparison:
    """A network, what became of it, and how far apart their outputs are.

    Attributes:
        conversion: The conversion.
        deviation: Of the converted network in float32 from the reference, relative to
            the scale of each output; the largest.
        rounding: Of the original in float32 from the reference, likewise; where there
            is none in float64, of the original on inputs that differ by an ulp; where
            it chooses otherwise in float64, of the original with other kernels.
        effect: Of exchanging the channels of the converted convolutions, likewise. What
            only scales them would vanish in a normalisation.
        independent: Whether halving all parameters of the original left the outputs of
            the converted network alone, bit for bit.
    """

    conversion: Conversion
    deviation: float
    rounding: float
    effect: float
    independent: bool

    @property
    def tolerance(self) -> float:
        """The largest deviation that rounding explains."""
        return max(_UNITS * torch.finfo(torch.float32).eps, _TIMES * self.rounding)


def compare(network: nn.Module, inputs: Mapping[str, Any]) -> Comparison:
    """Convert a network and compare; its weights are then halved.

    Args:
        network: In float32 and evaluation mode.
        inputs: Its arguments by name.

    Returns:
        The comparison.
    """
    conversion = ex.convert(network, inputs=inputs)
    original = _run(network, inputs)
    converted = _run(conversion.model, inputs)
    reference = _reference(network, inputs, original)
    rounding = relative(original, reference)
    if reference is original:
        rounding = relative(_run(network, _next_to(inputs)), original)
    if rounding > _CHOICE and reference is not original:
        reference, rounding = original, relative(_otherwise(network, inputs), original)
        if rounding > _CHOICE:  # then no two ways to compute it agree
            rounding = 0.0
    with torch.no_grad():
        for record in conversion.converted:
            conv = network.get_submodule(record.name)
            exchanged_weight = -conv.weight.roll(1, 0)
            if parametrize.is_parametrized(conv):
                conv.weight = exchanged_weight
            else:
                conv.weight.copy_(exchanged_weight)
        exchanged = _run(network, inputs)
        for parameter in network.parameters():
            parameter.mul_(0.5)
    again = _run(conversion.model, inputs)
    return Comparison(
        conversion,
        relative(converted, reference),
        rounding,
        relative(exchanged, original),
        all(
            torch.equal(one.nan_to_num(), other.nan_to_num())
            for one, other in zip(again, converted, strict=True)
        ),
    )


def relative(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Return the largest deviation of any output, relative to its scale."""
    largest = 0.0
    for pair in zip(found, wanted, strict=True):
        one, other = (each.double() for each in pair)
        if one.shape != other.shape:  # a choice went another way
            return math.inf
        finite = other.isfinite()
        if not torch.equal(one.isfinite(), finite):
            return math.inf
        if finite.any():
            scale = float(other[finite].abs().max())
            difference = float((one - other)[finite].abs().max())
            largest = max(largest, difference / scale if scale else difference)
    return largest


def _run(network: nn.Module, inputs: Mapping[str, Any]) -> list[Tensor]:
    torch.manual_seed(0)
    with torch.no_grad():
        return list(tensors(network(**copy.deepcopy(dict(inputs)))))


def _otherwise(network: nn.Module, inputs: Mapping[str, Any]) -> list[Tensor]:
    """Return the outputs of the same network with sums in another order."""
    with torch.backends.mkldnn.flags(enabled=False):
        return _run(network, inputs)


def _next_to(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return inputs that differ by one unit in the last place."""
    near: dict[str, Any] = pytree.tree_map_only(
        Tensor,
        lambda t: torch.nextafter(t, t + 1) if t.is_floating_point() else t,
        dict(inputs),
    )
    return near


def _reference(
    network: nn.Module, inputs: Mapping[str, Any], original: list[Tensor]
) -> list[Tensor]:
    """Return the outputs in float64; those in float32 where the code insists on it."""
    precise = pytree.tree_map_only(
        Tensor, lambda t: t.double() if t.is_floating_point() else t, dict(inputs)
    )
    try:
        return _run(copy.deepcopy(network).double(), precise)
    except RuntimeError:  # the network mixes in a float32 of its own
        return original
