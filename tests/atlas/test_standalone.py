"""Stand-alone self-attention: exact with two things the paper leaves out."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.standalone import StandAloneAttention
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot, assert_computes, relative_error
from tests.atlas.samples import PLANES
from tests.atlas.samples import plane as conv

FAMILY = FAMILIES["standalone"]
LITERAL = FAMILIES["standalone-literal"]
SIZE = (6, 5)
CASES = PLANES | {"wide padding": conv(padding=3)}


@pytest.mark.parametrize("name", CASES)
def test_it_computes_every_convolution(name: str) -> None:
    assert_computes(FAMILY, CASES[name], SIZE, tolerance=1e-13)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 8.0, 40.0])
def test_it_is_exact_at_every_strength(alpha: float) -> None:
    layer = FAMILY.construct(CASES["5×5"], SIZE, alpha=alpha)
    assert relative_error(layer, CASES["5×5"], SIZE) < 1e-12


def test_without_padding_tokens_borders_are_exact_too() -> None:
    convolution = conv()
    layer = FAMILY.construct(convolution, SIZE).layer
    assert relative_error(layer, convolution, SIZE) < 1e-13
    # Nothing depends on the size.
    assert relative_error(layer, convolution, (9, 1)) < 1e-13


def test_taps_as_they_are_leak() -> None:
    """One head a tap that carries the tap: the error is of order e^−α."""
    convolution, errors = conv(), []
    sharp = FAMILY.construct(convolution, SIZE, alpha=60.0)
    for alpha in (4.0, 8.0, 12.0):
        soft = FAMILY.construct(convolution, SIZE, alpha=alpha)
        for name in ("value", "output"):
            getattr(soft.layer, name).load_state_dict(
                getattr(sharp.layer, name).state_dict()
            )
        errors.append(relative_error(soft, convolution, SIZE))
    for before, after in pairwise(errors):
        assert abs(math.log(before / after) / 4 - 1) < 0.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_keeps_the_dtype(dtype: torch.dtype) -> None:
    convolution = conv().to(dtype)
    layer = FAMILY.construct(convolution, SIZE)
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    assert relative_error(layer, convolution, SIZE) < 8 * torch.finfo(dtype).eps


def test_outputs_are_what_the_paper_says() -> None:
    """A literal loop over queries, keys and heads; no output projection."""
    layer = StandAloneAttention(2, 4, window=(3, 3), heads=2, key_dim=4).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    for project in (layer.key, layer.value):
        nn.init.zeros_(project.bias)
    assert layer.query.bias is None
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    padded = nn.functional.pad(x, [1] * 4)
    query, key, value = (m(padded)[0] for m in (layer.query, layer.key, layer.value))
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    expected = torch.empty(1, 4, 3, 4, dtype=torch.float64)
    for head in range(2):
        keys, values = slice(4 * head, 4 * head + 4), slice(2 * head, 2 * head + 2)
        for i, j in [(i, j) for i in range(3) for j in range(4)]:
            q = query[keys, i + 1, j + 1]
            logits = torch.stack([
                q @ key[keys, i + 1 + a, j + 1 + b]
                + q @ torch.cat([layer.row[a + 1], layer.column[b + 1]])
                for a, b in offsets
            ])
            expected[0, values, i, j] = sum(
                p * value[values, i + 1 + a, j + 1 + b]
                for p, (a, b) in zip(logits.softmax(0), offsets, strict=True)
            )
    torch.testing.assert_close(layer(x), expected)


def test_without_query_bias_two_pixels_cannot_be_told_apart() -> None:
    assert_cannot(FAMILY.refute(conv(), (3, 3)))


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_convolution_is_refuted_without_query_bias(name: str) -> None:
    witness = FAMILY.refute(CASES[name], SIZE)
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(5)) <= 1e-9


def test_a_box_filter_is_an_exception() -> None:
    """Zero queries, keys and encodings: uniform attention, as in the paper's layer."""
    box = conv(2, 2, groups=2, bias=False)
    nn.init.constant_(box.weight, 1.0)
    layer = StandAloneAttention(2, 2, window=(3, 3), heads=1, key_dim=4).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.value.weight.copy_(9 * torch.eye(2)[..., None, None])
    assert relative_error(layer, box, SIZE) < 1e-13
    with pytest.raises(ArgumentError, match="weighs differently"):
        FAMILY.refute(box, SIZE)
    with pytest.raises(ArgumentError, match="nonnegative multiples"):
        LITERAL.refute(box, SIZE)


def test_a_binomial_filter_needs_the_query_bias_alone() -> None:
    """One softmax an output computes nonnegative kernels of one vector."""
    filter_ = conv(1, 1)
    weights = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    with torch.no_grad():
        filter_.weight.copy_(-torch.outer(weights, weights) / 16)
    layer = StandAloneAttention(
        1, 1, window=(3, 3), heads=1, key_dim=2, query_bias=True
    ).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.query.bias.fill_(1)
        layer.row.copy_(weights.log()[:, None])
        layer.column.copy_(weights.log()[:, None])
        layer.value.weight.fill_(-1)
    expected = copy.deepcopy(filter_)
    nn.init.zeros_(expected.bias)
    assert relative_error(layer, expected, SIZE) < 1e-13
    with pytest.raises(ArgumentError, match="nonnegative multiples"):
        LITERAL.refute(filter_, SIZE)
    assert FAMILY.refute(filter_, SIZE).bound > 0


def test_one_softmax_an_output_cannot_subtract() -> None:
    assert_cannot(LITERAL.refute(conv(), (3, 3)))


def test_a_difference_is_missed_by_one() -> None:
    difference = conv(1, 1, kernel_size=(1, 3), padding=(0, 1), bias=False)
    with torch.no_grad():
        difference.weight.copy_(torch.tensor([[[[0.0, 1.0, -1.0]]]]))
    witness = LITERAL.refute(difference, (1, 3))
    assert 1 - 1e-13 < witness.bound <= 1
    # No better bound holds for these inputs.
    assert 1 - 1e-9 <= witness.attack(150) < 1.01
    assert witness.attack(150, control=True) < 0.5


def test_nonnegative_taps_may_be_out_of_reach_too() -> None:
    """Those that are multiples of no one vector."""
    positive = conv(2, 1, kernel_size=(1, 3), padding=(0, 1))
    with torch.no_grad():
        positive.weight.copy_(torch.tensor([[[[1.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]]]]))
    assert_cannot(LITERAL.refute(positive, (1, 3)), settings=50, steps=100)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_convolution_is_refuted_without_projection(name: str) -> None:
    witness = LITERAL.refute(CASES[name], SIZE)
    assert witness.bound > 0
    assert witness.inputs.abs().max() <= 1
    expected = CASES[name](witness.inputs)[(..., *witness.query[0])]
    torch.testing.assert_close(witness.targets, expected.detach())
    assert max(witness.violation(seed) for seed in range(5)) <= 1e-9


def test_what_is_refused() -> None:
    one_axis = nn.Conv1d(1, 1, 3, padding=1)
    for ask in (FAMILY.construct, FAMILY.refute, LITERAL.refute):
        with pytest.raises(ArgumentError, match="needs two axes"):
            ask(one_axis, (4,))
    for ask in (FAMILY.construct, FAMILY.refute, LITERAL.refute):
        with pytest.raises(ArgumentError, match="needs zero padding"):
            ask(conv(padding_mode="circular"), SIZE)
    with pytest.raises(ArgumentError, match="enlarge it"):
        LITERAL.refute(conv(), (2, 5))
    with pytest.raises(ArgumentError, match="ask for the witness"):
        LITERAL.construct(conv(), SIZE)


def test_witnesses_that_are_wrong_are_found_out() -> None:
    """The attack must be able to fail."""
    silent = FAMILY.refute(conv(), (4, 3))
    inputs = silent.inputs.clone()
    inputs[(slice(None), slice(None), *silent.query[0])] = 1  # no longer silent
    wrong = Witness.of(
        conv(),
        inputs,
        silent.query,
        kind="silent query",
        symmetry="none",
        make=silent.make,
        scale=silent.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(100) < wrong.bound

    honest = LITERAL.refute(conv(), (4, 3))
    wrong = Witness(
        honest.inputs,
        honest.query,
        honest.targets,
        honest.bound,
        "mean",
        "none",
        make=lambda _: honest.make(True),  # several softmaxes an output
        relation=honest.relation,
    )
    assert max(wrong.violation(seed) for seed in range(20)) > 1e-3
    assert wrong.attack(100) < 0.8 * wrong.bound
