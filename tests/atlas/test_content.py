"""Content only: any permutation of the other tokens goes unseen."""

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot

CONTENT = FAMILIES["content"]


def conv(channels: int = 2, outputs: int = 3, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv2d(channels, outputs, **options).double()


def test_two_pixels_cannot_be_told_apart() -> None:
    assert_cannot(CONTENT.refute(conv(), (4, 3)))


def test_a_box_filter_on_four_pixels_is_an_exception() -> None:
    box = conv()
    nn.init.constant_(box.weight, 0.25)
    with pytest.raises(ArgumentError, match="weighs differently"):
        CONTENT.refute(box, (2, 2))
    assert CONTENT.refute(box, (4, 4)).bound > 0  # there some pixels are not seen


def test_other_padding_is_refused() -> None:
    with pytest.raises(ArgumentError, match="needs zero padding"):
        CONTENT.refute(conv(padding_mode="reflect"), (4, 4))


def test_there_are_no_weights() -> None:
    with pytest.raises(ArgumentError, match="ask for the witness"):
        CONTENT.construct(conv())


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: here the query itself is exchanged."""
    honest = CONTENT.refute(conv(), (4, 3))
    inputs = honest.inputs.clone()
    inputs[:, :, 0, 0], inputs[:, :, 2, 1] = (
        honest.inputs[:, :, 2, 1],
        honest.inputs[:, :, 0, 0],
    )
    inputs[0, :, 2, 1] += 1
    wrong = Witness.of(
        conv(),
        inputs,
        ((2, 1), (2, 1)),
        kind="swap",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
