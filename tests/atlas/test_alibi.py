"""Linear biases: both sides alike."""

import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.canvas import OnTokens, padded_grid
from expressivity.atlas.layers.alibi import LinearBias
from expressivity.atlas.layers.biased import BiasedAttention
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot, relative_error

ALIBI = FAMILIES["alibi"]


def conv(**options: object) -> nn.Conv1d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "padding": 1} | options
    return nn.Conv1d(2, 3, **options).double()


def even(**options: object) -> nn.Conv1d:
    layer = conv(**options)
    with torch.no_grad():
        layer.weight.copy_((layer.weight + layer.weight.flip(2)) / 2)
    return layer


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": 5, "padding": 2, "stride": 2, "bias": False}, 6),
        ({"padding": 2, "dilation": 2}, 6),
    ],
    ids=str,
)
def test_both_sides_are_alike(options: dict[str, int], size: int) -> None:
    witness = ALIBI.refute(conv(**options), (size,))
    assert witness.kind == "mirror"
    assert_cannot(witness, settings=20)


def test_three_hundred_settings() -> None:
    assert_cannot(ALIBI.refute(conv(), (4,)))


def test_even_kernels_are_an_exception() -> None:
    with pytest.raises(ArgumentError, match="weighs differently"):
        ALIBI.refute(even(), (6,))
    with pytest.raises(ArgumentError, match="weighs differently"):
        ALIBI.refute(even(kernel_size=5, padding=2), (7,))
    with pytest.raises(ArgumentError, match="weighs differently"):
        ALIBI.refute(conv(), (1,))  # no two tokens beside the query


@pytest.mark.parametrize("alpha", [6.0, 9.0])
def test_even_kernels_are_computed_in_the_limit(alpha: float) -> None:
    """Two heads: e^α (soft − hard) is the Laplacian, up to e^−α."""
    kernel = even()
    grid = padded_grid(kernel, (6,))
    bias = LinearBias(8, 2)
    layer = BiasedAttention(
        2, 3, position_bias=bias, heads=2, head_dim=2, content=False, bias=False
    ).double()
    side, center = kernel.weight[..., 0], kernel.weight[..., 1]
    with torch.no_grad():
        bias.slopes[:, 0] = torch.tensor([alpha, 800.0])
        layer.value.weight.copy_(torch.eye(2).repeat(2, 1))
        soft = math.exp(alpha) * side
        layer.output.weight.copy_(torch.cat([soft, center + 2 * side - soft], 1))
        layer.output.bias.copy_(kernel.bias)
    error = relative_error(OnTokens(layer, grid), kernel, (6,))
    assert error < 4 * math.exp(-alpha)


def test_slopes_are_those_of_the_paper() -> None:
    bias = LinearBias(3, 8)
    assert bias.slopes[:, 0].tolist() == [2.0**-h for h in range(1, 9)]
    wanted = torch.tensor([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]])
    torch.testing.assert_close(bias()[1], -wanted.double() / 4)


def test_there_are_no_weights() -> None:
    with pytest.raises(ArgumentError, match="ask for the witness"):
        ALIBI.construct(conv(), (5,))


def test_what_it_does_not_take() -> None:
    with pytest.raises(ArgumentError, match="needs one axis"):
        ALIBI.refute(nn.Conv2d(1, 1, 3, padding=1), (4, 4))
    with pytest.raises(ArgumentError, match="zero padding"):
        ALIBI.refute(conv(padding_mode="circular"), (5,))


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: these two are at different distances."""
    honest = ALIBI.refute(conv(), (5,))
    inputs = torch.zeros_like(honest.inputs)
    inputs[0, :, 3], inputs[1, :, 4] = 1, 1
    wrong = Witness.of(
        conv(),
        inputs,
        ((2,), (2,)),
        kind="mirror",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
