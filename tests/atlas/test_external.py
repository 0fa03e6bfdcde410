"""External attention: pixels meet in sums only, which do not know their order."""

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.external import ExternalAttention
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot

EXTERNAL = FAMILIES["external"]


def conv(channels: int = 2, outputs: int = 3, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv2d(channels, outputs, **options).double()


@pytest.mark.parametrize("outputs", [3, 2], ids=["projected", "residual"])
def test_two_pixels_cannot_be_told_apart(outputs: int) -> None:
    witness = EXTERNAL.refute(conv(outputs=outputs), (4, 3))
    assert witness.layer(0).layer.residual == (outputs == 2)
    assert_cannot(witness)


@pytest.mark.parametrize(
    "convolution",
    [
        conv(1, 1, kernel_size=5, padding=2),
        conv(kernel_size=(1, 3), padding=(0, 1), bias=False),
        conv(kernel_size=2, padding=0, stride=2),
        conv(4, 2, groups=2, dilation=2, padding=2),
        nn.Conv1d(2, 3, 3, padding=1),
    ],
    ids=["5×5", "1×3", "stride", "groups", "one axis"],
)
def test_every_kind_of_convolution_is_refuted(convolution: nn.Module) -> None:
    size = (6, 5)[: convolution.weight.dim() - 2]
    witness = EXTERNAL.refute(convolution, size)
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(30)) <= 1e-9


def test_attention_is_what_the_paper_says() -> None:
    """Softmax over pixels, rows divided by their sums, times the values."""
    layer = ExternalAttention(3, 2, heads=1, head_dim=4, units=5).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    compared = (layer.query(x) @ layer.memory_key.mT).softmax(1)
    attention = compared / compared.sum(2, keepdim=True)
    expected = layer.output(attention @ layer.memory_value)
    torch.testing.assert_close(layer(x), expected)


def test_a_query_that_is_not_zero_changes_nothing() -> None:
    witness = EXTERNAL.refute(conv(2, 2), (4, 3))
    x = witness.inputs.clone()
    x[(slice(None), slice(None), *witness.query[0])] = 0.7
    for seed in range(20):
        out = witness.layer(seed)(x)[(slice(None), slice(None), *witness.query[0])]
        torch.testing.assert_close(out[0], out[1])


def test_a_box_filter_on_four_pixels_has_no_witness() -> None:
    box = conv()
    nn.init.constant_(box.weight, 0.25)
    with pytest.raises(ArgumentError, match="weighs differently"):
        EXTERNAL.refute(box, (2, 2))


def test_there_are_no_weights() -> None:
    with pytest.raises(ArgumentError, match="ask for the witness"):
        EXTERNAL.construct(conv())


def test_other_padding_is_refused() -> None:
    with pytest.raises(ArgumentError, match="needs zero padding"):
        EXTERNAL.refute(conv(padding_mode="reflect"), (4, 4))


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: here the query's own pixel differs."""
    honest = EXTERNAL.refute(conv(), (4, 3))
    inputs = honest.inputs.clone()
    inputs[(0, slice(None), *honest.query[0])] += 1
    wrong = Witness.of(
        conv(),
        inputs,
        honest.query,
        kind="swap",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
