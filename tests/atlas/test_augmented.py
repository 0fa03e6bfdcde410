"""Attention-augmented convolution: a copy, a branch, and a silent query."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.augmented import AugmentingAttention
from expressivity.errors import ArgumentError
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)
from tests.atlas.samples import PLANES
from tests.atlas.samples import plane as conv

WHOLE = FAMILIES["augmented"]
BRANCH = FAMILIES["augmented-attention"]
SIZE = (5, 4)
CASES = PLANES | {
    "many outputs": conv(1, 20),
    "no padding": conv(padding=0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_branch_computes_every_convolution(name: str) -> None:
    assert_computes(BRANCH, CASES[name], SIZE)


@pytest.mark.parametrize("name", ["3×3", "5×5", "dilation"])
def test_the_error_of_the_branch_falls(name: str) -> None:
    assert_error_falls(BRANCH, CASES[name], SIZE, (4.0, 8.0, 12.0), rate=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_branch_keeps_the_dtype(dtype: torch.dtype) -> None:
    convolution = conv().to(dtype)
    layer = BRANCH.construct(convolution, SIZE)
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    assert relative_error(layer, convolution, SIZE) < 4 * torch.finfo(dtype).eps


def test_scores_are_what_the_paper_says() -> None:
    """A literal loop over queries, keys and heads."""
    layer = AugmentingAttention(2, size=(2, 3), heads=2, key_dim=3, value_dim=2)
    for parameter in layer.double().parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64)
    query, key, value = (m(x)[0] for m in (layer.query, layer.key, layer.value))
    expected = torch.empty(4, 2, 3, dtype=torch.float64)
    pixels = [(i, j) for i in range(2) for j in range(3)]
    for head in range(2):
        keys, values = slice(3 * head, 3 * head + 3), slice(2 * head, 2 * head + 2)
        for qy, qx in pixels:
            logits = torch.stack([
                query[keys, qy, qx]
                @ (
                    key[keys, ky, kx]
                    + layer.relative_width[kx - qx + 2]
                    + layer.relative_height[ky - qy + 1]
                )
                / math.sqrt(3)
                for ky, kx in pixels
            ])
            expected[values, qy, qx] = value[values].flatten(1) @ logits.softmax(0)
    torch.testing.assert_close(layer(x), layer.output(expected[None]))


def test_three_dimensions_of_a_key_are_used_and_heads_share_encodings() -> None:
    branch = BRANCH.construct(CASES["5×5"], SIZE).layer.layer
    assert branch.heads == 25
    assert branch.relative_height.shape == (2 * (5 + 4) - 1, 3)
    assert branch.query.out_channels == 25 * 3


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (2, 3), (3, 3), (5, 4)])
def test_in_two_dimensions_heads_reach_few_taps(rows: int, columns: int) -> None:
    """K₁ + K₂ pairs at most: all of them for 2×2 only."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linspace(0, 2 * math.pi, 10_000)
    directions = torch.stack([turn.cos(), turn.sin()])
    most = 0
    for _ in range(50):
        height, width = (
            torch.randn(k, 2, generator=generator) for k in (rows, columns)
        )
        best = (height @ directions).argmax(0) * columns + (width @ directions).argmax(
            0
        )
        most = max(most, len(best.unique()))
    assert most <= rows + columns
    assert (most == rows * columns) == (rows == columns == 2)


@pytest.mark.parametrize("name", CASES)
def test_the_whole_layer_copies_the_convolution(name: str) -> None:
    convolution = CASES[name]
    layer = WHOLE.construct(convolution, SIZE)
    for parameter in layer.layer.attention.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, convolution.in_channels, *SIZE, dtype=torch.float64)
    assert torch.equal(layer(x), convolution(x))
    assert layer.layer(x).shape[1] == convolution.out_channels + 1


def test_the_copy_of_a_frozen_convolution_can_be_trained() -> None:
    frozen = copy.deepcopy(CASES["5×5"]).requires_grad_(False)
    layer = WHOLE.construct(frozen, SIZE)
    assert all(parameter.requires_grad for parameter in layer.parameters())
    with torch.no_grad():
        layer.layer.conv.weight.zero_()
    assert frozen.weight.equal(CASES["5×5"].weight)


def test_the_whole_layer_takes_any_padding() -> None:
    assert_computes(WHOLE, conv(padding_mode="reflect"), SIZE)
    assert_computes(WHOLE, conv(padding=3), SIZE)


def test_without_query_bias_two_pixels_cannot_be_told_apart() -> None:
    assert_cannot(BRANCH.refute(conv(), (4, 3)))


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_convolution_is_refuted_without_query_bias(name: str) -> None:
    witness = BRANCH.refute(CASES[name], SIZE)
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(5)) <= 1e-9


def test_a_box_filter_on_four_pixels_is_an_exception() -> None:
    box = conv()
    nn.init.constant_(box.weight, 0.25)
    with pytest.raises(ArgumentError, match="weighs differently"):
        BRANCH.refute(box, (2, 2))


def test_what_is_refused() -> None:
    one_axis = nn.Conv1d(1, 1, 3, padding=1)
    for ask in (WHOLE.construct, BRANCH.construct, BRANCH.refute):
        with pytest.raises(ArgumentError, match="needs two axes"):
            ask(one_axis, (4,))
    for ask in (BRANCH.construct, BRANCH.refute):
        with pytest.raises(ArgumentError, match="needs zero padding"):
            ask(conv(padding_mode="circular"), SIZE)
    with pytest.raises(ArgumentError, match="ask for the layer"):
        WHOLE.refute(conv(), SIZE)


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: here the query is not silent."""
    honest = BRANCH.refute(conv(), (4, 3))
    inputs = honest.inputs.clone()
    inputs[(slice(None), slice(None), *honest.query[0])] = 1
    wrong = Witness.of(
        conv(),
        inputs,
        honest.query,
        kind="silent query",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
