"""What counts as evidence for a verdict, on any family."""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from expressivity.atlas import Family, Witness
from tests import oracles

# The invariance of a witness holds up to rounding in so many operations.
ROUNDING = 1e-9


def relative_error(
    layer: nn.Module, conv: nn.Module, size: Sequence[int], seed: int = 0
) -> float:
    """Return the largest error on random inputs, relative to conv(|x|, |W|) + |b|."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, conv.in_channels, *size)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).clamp(-3, 3)
    x = x.to(conv.weight.dtype)
    with torch.no_grad():
        gap = (layer(x).double() - oracles.exact_convolution(conv, x)).abs().max()
    return float(gap) / oracles.output_scale(conv, x)


def assert_computes(
    family: Family, conv: nn.Module, size: Sequence[int], *, tolerance: float = 1e-9
) -> None:
    """At its own strength the constructed layer is the convolution, in float64."""
    conv = copy.deepcopy(conv).double()
    layer = family.construct(conv, size)
    error = relative_error(layer, conv, size)
    assert error <= tolerance, f"{family.name}: {error:.3g}"


def assert_error_falls(
    family: Family,
    conv: nn.Module,
    size: Sequence[int],
    alphas: Sequence[float],
    *,
    rate: float,
    slack: float = 0.25,
) -> None:
    """The error falls like e^−rate·α between neighbouring strengths; B is e^(α/2)."""
    conv = copy.deepcopy(conv).double()
    errors = [
        relative_error(
            family.construct(conv, size, **_named(family, alpha)), conv, size
        )
        for alpha in alphas
    ]
    for (first, before), (second, after) in pairwise(zip(alphas, errors, strict=True)):
        slope = math.log(before / after) / (second - first)
        assert abs(slope / rate - 1) <= slack, (family.name, errors)


def _named(family: Family, alpha: float) -> dict[str, float]:
    anchored = family.strength.name == "anchor"
    return {"anchor": math.exp(alpha / 2)} if anchored else {"alpha": alpha}


def assert_cannot(
    witness: Witness, *, settings: int = 300, steps: int = 200, seed: int = 0
) -> None:
    """No setting tells the inputs apart, no attack gets below the bound."""
    assert witness.bound > 0
    worst = max(witness.violation(s) for s in range(settings))
    assert worst <= ROUNDING, worst
    for s in range(0, settings, 10):
        with torch.no_grad():
            error = float(witness.error(witness.layer(s)))
        assert error >= witness.bound * (1 - ROUNDING)
    reached = witness.attack(steps, seed=seed)
    assert reached >= witness.bound * (1 - ROUNDING), reached
    # An attack that could not succeed would say nothing.
    assert witness.attack(steps, seed=seed, control=True) < 0.8 * witness.bound
