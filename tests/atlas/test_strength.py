"""How exact constructed layers are, over the whole range of what decides it."""

import copy

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Family
from expressivity.atlas.strength import third_of_digits
from expressivity.errors import ArgumentError
from tests import oracles

MADE = [family for family in FAMILIES.values() if family.constructor is not None]
STRONG = [family for family in MADE if family.strength is not None]
WEAKEST = 1e-3
per_made = pytest.mark.parametrize("family", MADE, ids=lambda family: family.name)
per_strong = pytest.mark.parametrize("family", STRONG, ids=lambda family: family.name)
per_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def error_of(
    family: Family, dtype: torch.dtype, conv: nn.Module | None = None, **strength: float
) -> float:
    """Return the largest error of an output channel, relative to its own terms."""
    sample = family.takes()
    conv = copy.deepcopy(sample.conv if conv is None else conv).to(dtype)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, conv.in_channels, *sample.size, generator=generator)
    x = x.clamp(-3, 3).to(dtype)
    wide = copy.deepcopy(conv).double()
    with torch.no_grad():
        outputs = family.construct(conv, sample.size, **strength)(x).double()
        gap = (outputs - oracles.exact_convolution(conv, x)).abs()
        for parameter in wide.parameters():
            parameter.abs_()
        sizes = wide(x.double().abs())
    spread = [dim for dim in range(gap.dim()) if dim != 1]
    return float((gap.amax(spread) / sizes.amax(spread)).max())


def accuracy(family: Family, dtype: torch.dtype) -> float:
    """Return what a default promises: two thirds of the digits with constants."""
    rounding = 100 * torch.finfo(dtype).eps
    constants = "float32 or wider" in family.conditions
    least = 10 * third_of_digits(dtype) ** -2 if constants else rounding
    return max(1e-9, least) if dtype == torch.float64 else least


@per_dtype
@per_made
def test_the_default_suits_the_dtype(family: Family, dtype: torch.dtype) -> None:
    assert error_of(family, dtype) <= accuracy(family, dtype)


@per_dtype
@per_strong
def test_no_strength_fails_in_silence(family: Family, dtype: torch.dtype) -> None:
    """Every strength is refused, or weak, or as exact as the default."""
    strength = family.strength
    least, most = WEAKEST, strength.largest(dtype)
    default = strength.default(dtype)
    refused, taken = [], 0
    for part in torch.linspace(0, 1, 25, dtype=torch.float64).tolist():
        value = least * (most / least) ** part * (1 - 1e-12)
        try:
            error = error_of(family, dtype, **{strength.name: value})
        except ArgumentError:
            refused.append(value)
            continue
        taken += 1
        assert error <= (accuracy(family, dtype) if value >= default else 2.0)
    assert taken > 5
    assert all(value < default for value in refused)
    for beyond in (most * 1.01, 2 * most, 1e300):
        with pytest.raises(ArgumentError, match=f"{strength.name} needs to be at most"):
            error_of(family, dtype, **{strength.name: beyond})


@per_made
def test_other_strengths_are_refused(family: Family) -> None:
    other = "anchor" if family.strength and family.strength.name == "alpha" else "alpha"
    message = f"takes {family.strength.name}=" if family.strength else "no strength"
    sample = family.takes()
    with pytest.raises(ArgumentError, match=f"{message}, got {other}: leave it out"):
        family.construct(sample.conv, sample.size, **{other: 60.0})


@per_made
@pytest.mark.parametrize("smallest", [1.0, 1e-9, 1e-25])
def test_every_output_channel_keeps_its_digits(family: Family, smallest: float) -> None:
    conv = copy.deepcopy(family.takes().conv)
    scales = torch.linspace(1, 0, conv.out_channels, dtype=torch.float64)
    with torch.no_grad():
        for parameter in conv.parameters():
            shape = (-1, *[1] * (parameter.dim() - 1))
            parameter.mul_((smallest ** (1 - scales)).reshape(shape))
    assert error_of(family, torch.float64, conv) <= accuracy(family, torch.float64)


@pytest.mark.parametrize("smallest", [1.0, 1e-9, 1e-25])
@pytest.mark.parametrize("name", ["vit", "rope", "sink", "tables", "standalone"])
def test_taps_of_low_rank_keep_them_too(name: str, smallest: float) -> None:
    family = FAMILIES[name]
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, padding=1).double()
    with torch.no_grad():
        reads = torch.randn(2, 4, dtype=torch.float64)
        writes = torch.randn(4, 2, 3, 3, dtype=torch.float64)
        writes[2:] *= smallest
        conv.weight.copy_(torch.einsum("orhw,rc->ochw", writes, reads))
        conv.bias[2:] *= smallest
    assert error_of(family, torch.float64, conv) <= 1e-9
