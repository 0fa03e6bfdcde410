"""Token mixing by perceptrons: linear without stem, anything bounded with one."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Family, Witness
from expressivity.atlas.families.mixer import INPUT_BOUND, construct_mixer_with_stem
from expressivity.atlas.token_mixing import linear_mlp, spatial_factors, toothed_mlp
from expressivity.conversion import head_count
from expressivity.errors import ArgumentError
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)

BLOCKS = [FAMILIES["mixer"], FAMILIES["feed-forward-only"]]
STEMS = [FAMILIES["mixer-stem"], FAMILIES["feed-forward-only-stem"]]
NAME = {"ids": lambda family: family.name}

CONVOLUTIONS = {
    "square": (lambda: nn.Conv2d(2, 3, 3, padding=1), (3, 4)),
    "strided": (lambda: nn.Conv2d(3, 2, 5, padding=2, stride=2), (5, 6)),
    "dilated": (lambda: nn.Conv2d(1, 2, 3, padding=2, dilation=2), (5, 4)),
    "one axis of two": (lambda: nn.Conv2d(2, 1, (1, 3), padding=(0, 1)), (3, 4)),
    "grouped": (lambda: nn.Conv2d(4, 2, 3, padding=1, groups=2, bias=False), (4, 3)),
    "even": (lambda: nn.Conv2d(1, 1, 2), (3, 4)),
    "reflect": (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), (3, 4)),
    "replicate": (
        lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="replicate"),
        (3, 4),
    ),
    "one axis": (lambda: nn.Conv1d(2, 3, 3, padding=1), (7,)),
    "one tap": (lambda: nn.Conv2d(2, 3, 1), (3, 4)),
}


def random_conv() -> nn.Conv2d:
    return nn.Conv2d(2, 3, 3, padding=1).double()


def separable(conv: nn.Module) -> nn.Module:
    """Make all taps multiples of one matrix."""
    dtype = conv.weight.dtype
    matrix = torch.randn(conv.weight.shape[:2], dtype=dtype)
    kernel = torch.randn(conv.weight.shape[2:], dtype=dtype)
    with torch.no_grad():
        conv.weight.copy_(torch.einsum("oc,...->oc...", matrix, kernel))
    return conv


@pytest.mark.parametrize("family", STEMS, **NAME)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_stem_makes_it_any_convolution(family: Family, case: str) -> None:
    make, size = CONVOLUTIONS[case]
    assert_computes(family, make(), size)


@pytest.mark.parametrize("family", STEMS, **NAME)
def test_the_error_falls_with_the_constants(family: Family) -> None:
    assert_error_falls(family, random_conv(), (3, 4), (8.0, 12.0, 16.0), rate=1)


@pytest.mark.parametrize("family", STEMS, **NAME)
def test_other_dtypes(family: Family) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    layer = family.construct(conv, (3, 4))
    assert next(layer.parameters()).dtype == torch.float32
    assert relative_error(layer, conv, (3, 4)) < 1e-3
    with pytest.raises(ArgumentError, match="float32 or float64"):
        family.construct(conv.half(), (3, 4))


@pytest.mark.parametrize("family", STEMS, **NAME)
def test_on_all_inputs_no_setting_will_do(family: Family) -> None:
    """What a normalised token mixing adds is bounded, what a convolution sees not."""
    conv = random_conv()
    layer = family.construct(conv, (3, 4))
    x = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    within, beyond = x.clone(), x.clone()
    within[0, 0, 1, 1], beyond[0, 0, 1, 1] = INPUT_BOUND, 1e3 * INPUT_BOUND
    with torch.no_grad():
        errors = [
            float((layer(x) - conv(x))[0, :, 1, 2].abs().max())
            for x in (within, beyond)
        ]
    assert errors[0] < 1e-8
    assert errors[1] > 1


def test_the_bound_of_the_inputs_can_be_chosen() -> None:
    conv = random_conv()
    x = torch.full((1, 2, 3, 4), 50.0, dtype=torch.float64)
    layer = construct_mixer_with_stem(conv, (3, 4), 6e4, input_bound=50.0)
    with torch.no_grad():
        assert float((layer(x) - conv(x)).abs().max()) < 1e-7


def test_a_stem_has_as_many_channels_as_it_says() -> None:
    conv = random_conv()
    ranks = head_count(conv).rank
    assert ranks == 6 == len(spatial_factors(conv)[1])
    mixer, feed_forward = (family.construct(conv, (3, 4)).layer for family in STEMS)
    assert mixer.stem.out_features == (ranks + ranks % 2) * 2 + 2
    assert feed_forward.stem.out_features == ranks * 2
    assert mixer.class_tokens is None
    assert len(feed_forward.class_tokens) == 3
    for layer, tokens in ((mixer, 12), (feed_forward, 15)):
        assert layer.block.token_mixing.fc1.out_features == 4 * ranks * tokens
        assert isinstance(layer.block.token_norm, nn.LayerNorm)
        assert isinstance(layer.block.channel_norm, nn.LayerNorm)


@pytest.mark.parametrize("family", BLOCKS, **NAME)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_multiples_of_one_matrix_are_exact(family: Family, case: str) -> None:
    make, size = CONVOLUTIONS[case]
    if case == "grouped":  # block-diagonal matrices are multiples of one, too
        conv = make().double()
        with torch.no_grad():
            kernel = torch.randn(3, 3, dtype=torch.float64)
            conv.weight.copy_(torch.randn(2, 2, 1, 1, dtype=torch.float64) * kernel)
    else:
        conv = separable(make().double())
    assert_computes(family, conv, size, tolerance=1e-14)


@pytest.mark.parametrize("family", BLOCKS, **NAME)
def test_rounded_multiples_count_as_multiples(family: Family) -> None:
    conv = separable(nn.Conv2d(2, 3, 3, padding=1))
    assert relative_error(family.construct(conv, (3, 4)), conv, (3, 4)) < 1e-5


@pytest.mark.parametrize("family", BLOCKS, **NAME)
def test_zero_weights_are_multiples_of_one_matrix(family: Family) -> None:
    conv = nn.init.zeros_(nn.Conv2d(2, 3, 3, padding=1).weight)
    zero = nn.Conv2d(2, 3, 3, padding=1)
    zero.weight = nn.Parameter(conv)
    assert relative_error(family.construct(zero, (3, 4)), zero, (3, 4)) < 1e-6


@pytest.mark.parametrize("family", BLOCKS, **NAME)
def test_others_need_a_stem(family: Family) -> None:
    with pytest.raises(ArgumentError, match=r"multiples of one matrix .*ρ = 6"):
        family.construct(random_conv(), (3, 4))


@pytest.mark.parametrize("family", [*BLOCKS, *STEMS], **NAME)
def test_outputs_must_stand_on_pixels(family: Family) -> None:
    conv = separable(nn.Conv2d(1, 1, 3, padding=2).double())
    with pytest.raises(ArgumentError, match="outputs that stand on pixels"):
        family.construct(conv, (3, 4))


@pytest.mark.parametrize("family", BLOCKS, **NAME)
def test_a_normalised_block_cannot(family: Family) -> None:
    assert_cannot(family.refute(random_conv(), (3, 3)), steps=120)


@pytest.mark.parametrize("family", BLOCKS, **NAME)
def test_a_normalised_block_cannot_even_one_matrix(family: Family) -> None:
    """So the normaliser is what stands against it: without it they are exact."""
    witness = family.refute(separable(random_conv()), (4, 3))
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(20)) < 1e-12


@pytest.mark.parametrize("family", STEMS, **NAME)
def test_there_is_no_witness_against_a_stem(family: Family) -> None:
    with pytest.raises(ArgumentError, match="ask for the layer"):
        family.refute(random_conv(), (3, 4))


def test_weights_that_sum_to_zero_are_an_exception() -> None:
    conv = random_conv()
    with torch.no_grad():
        conv.weight[:, 1] = -conv.weight[:, 0]
    with pytest.raises(ArgumentError, match="sees the sum of another"):
        FAMILIES["mixer"].refute(conv, (4, 3))


def test_one_tap_is_an_exception() -> None:
    conv = nn.Conv2d(2, 3, 1).double()
    with pytest.raises(ArgumentError, match="sum of another pixel"):
        FAMILIES["mixer"].refute(conv, (4, 3))


@pytest.mark.parametrize("mode", ["circular", "replicate"])
def test_no_zero_padding_is_an_exception(mode: str) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode).double()
    with pytest.raises(ArgumentError, match="as zero padding does"):
        FAMILIES["feed-forward-only"].refute(conv, (4, 3))


def test_gelu_pairs_are_linear() -> None:
    x = torch.linspace(-30, 30, 101, dtype=torch.float64)[:, None]
    pair = linear_mlp(torch.tensor([[2.0]], dtype=torch.float64))
    assert torch.allclose(pair(x[None])[0], 2 * x, rtol=1e-15, atol=1e-15)


def test_a_tooth_is_the_identity_on_its_level_and_zero_on_others() -> None:
    ones = torch.ones(2, 1, 1, dtype=torch.float64)
    levels = torch.tensor([-9.0, 9.0], dtype=torch.float64)
    signs = torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None]
    tooth = toothed_mlp(signs * ones, levels, bound=3.0, tail=math.exp(-30))
    near = torch.linspace(-3, 3, 31, dtype=torch.float64)[:, None]
    tail = 3 * math.exp(-30)
    with torch.no_grad():
        assert float((tooth(near[None] - 9)[0] - near).abs().max()) < 6 * tail
        assert float(tooth(near[None] + 9).abs().max()) < 6 * tail


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: here one channel only is shifted."""
    honest = FAMILIES["mixer"].refute(random_conv(), (4, 3))
    inputs = honest.inputs.clone()
    inputs[1, 0] += 1
    wrong = Witness.of(
        copy.deepcopy(random_conv()),
        inputs,
        honest.query,
        kind="normaliser",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(100) < wrong.bound
