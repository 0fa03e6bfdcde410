"""The bound of a witness is a number that no rounding can have made."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.errors import ArgumentError

SIZE = (4, 3)


def exact_bound(conv: nn.Conv2d, witness: Witness) -> Fraction:
    """Return half the largest difference of a channel, in rational numbers."""
    outputs = [
        exact_outputs(conv, image, place)
        for image, place in zip(witness.inputs, witness.query, strict=True)
    ]
    return max(abs(a - b) for a, b in zip(*outputs, strict=True)) / 2


def exact_outputs(
    conv: nn.Conv2d, image: torch.Tensor, place: tuple[int, ...]
) -> list[Fraction]:
    """Return a zero-padded convolution of three by three pixels at one place."""
    padded = nn.functional.pad(image, (1, 1, 1, 1))
    row, column = place
    pixels = padded[:, row : row + 3, column : column + 3].flatten().tolist()
    return [
        sum(
            (
                Fraction(w) * Fraction(x)
                for w, x in zip(weights.flatten().tolist(), pixels, strict=True)
            ),
            Fraction(0),
        )
        for weights in conv.weight.detach()
    ]


@given(st.integers(0, 10**6), st.integers(0, 4), st.sampled_from(["content", "mixer"]))
def test_a_bound_is_not_above_the_truth(seed: int, ulps: int, name: str) -> None:
    """Weights may be alike but for their last digits: then there may be no witness."""
    generator = torch.Generator().manual_seed(seed)
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False).double()
    with torch.no_grad():
        near = torch.randint(0, ulps + 1, conv.weight.shape, generator=generator)
        if ulps < 4:
            conv.weight.copy_(1 + near * 2.0**-52)
            conv.weight[:, 1] *= -1
        else:
            conv.weight.copy_(
                torch.randn(conv.weight.shape, generator=generator).double()
            )
    try:
        witness = FAMILIES[name].refute(conv, SIZE)
    except ArgumentError:
        assert ulps < 4
        return
    truth = exact_bound(conv, witness)
    assert 0 < Fraction(witness.bound) <= truth
    if ulps == 4:
        assert Fraction(witness.bound) >= truth * (1 - Fraction(1, 10**12))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("mode", ["circular", "replicate", "reflect"])
def test_rounding_is_no_witness(mode: str, seed: int) -> None:
    """A constant moves all outputs alike unless zeros stand around the image."""
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode).double()
    with pytest.raises(ArgumentError, match="as zero padding does"):
        FAMILIES["feed-forward-only"].refute(conv, SIZE)


@pytest.mark.parametrize("name", ["content", "external", "augmented-attention", "rope"])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_equal_sums_of_other_terms_are_no_witness(name: str, scale: float) -> None:
    """All pixels weigh alike where a kernel is as large as the image."""
    conv = nn.Conv2d(2, 3, 5, padding=2).double()
    with torch.no_grad():
        conv.weight.copy_(scale * torch.randn(3, 2, 1, 1).double().expand(3, 2, 5, 5))
    with pytest.raises(ArgumentError, match="weighs differently"):
        FAMILIES[name].refute(conv, (3, 3))


@pytest.mark.parametrize("name", ["mixer", "vit-pre-ln"])
def test_a_single_pixel_is_no_witness(name: str) -> None:
    with pytest.raises(ArgumentError, match="a pixel beside the query's"):
        FAMILIES[name].refute(nn.Conv2d(2, 3, 3, padding=1), (1, 1))


@pytest.mark.parametrize("name", ["mixer", "feed-forward-only"])
def test_shifted_pixels_are_shifted_exactly(name: str) -> None:
    """Else the layer could tell the inputs apart, by their last digits."""
    witness = FAMILIES[name].refute(nn.Conv2d(2, 3, 3, padding=1), SIZE)
    moved = (witness.inputs[1] - witness.inputs[0]).flatten().tolist()
    first, second = (image.flatten().tolist() for image in witness.inputs[:2])
    for a, b, step in zip(first, second, moved, strict=True):
        assert Fraction(b) - Fraction(a) in (0, 1)
        assert step in (0, 1)


def test_a_witness_owns_the_seeds_and_the_scale() -> None:
    witness = FAMILIES["content"].refute(nn.Conv2d(2, 3, 3, padding=1), SIZE)
    first, again, other = (_numbers(witness.layer(seed)) for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)
    wide = replace(witness, scale=2 * witness.scale)
    torch.testing.assert_close(_numbers(wide.layer(0)), 2 * first)
    control = _numbers(witness.control(0))
    assert len(control) == len(first) + 9 * (6 * 5) ** 2  # a free bias of the scores


def _numbers(layer: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in layer.parameters()]).detach()
