"""RoPE: constant queries and keys, turned by their positions."""

import copy
import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.rope import RotaryAttention, rotated
from expressivity.errors import ArgumentError
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)
from tests.atlas.samples import with_padding

ROPE = FAMILIES["rope"]
CASES = with_padding("reflect")


@pytest.mark.parametrize("case", CASES)
def test_it_computes_convolutions(case: str) -> None:
    assert_computes(ROPE, *CASES[case])


def test_the_error_falls_with_the_gap() -> None:
    for case in ("3×3", "1×3, stride 2"):
        assert_error_falls(ROPE, *CASES[case], [7, 10, 13], rate=1, slack=0.1)


def test_float32_is_accurate() -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1)
    assert relative_error(ROPE.construct(conv, (8, 8)), conv, (8, 8)) <= 1e-5


def test_scores_are_sums_of_cosines() -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1).double()
    layer = ROPE.construct(conv, (5,), alpha=3.0).layer
    query, key = (
        rotated(project.bias.unflatten(0, (3, 1, -1)).expand(-1, 7, -1), layer.angles)
        for project in (layer.query, layer.key)
    )
    scores = (query @ key.mT / math.sqrt(key.shape[-1])).detach()
    theta = [10000 ** (-2 * f / 8) for f in range(4)]
    fall = min(sum(1 - math.cos(n * t) for t in theta) for n in range(1, 7))
    for head, center in enumerate((-1, 0, 1)):
        for q in range(7):
            for k in range(7):
                cosines = sum(math.cos((k - q - center) * t) for t in theta)
                assert scores[head, q, k] == pytest.approx(3 / fall * cosines)


def test_scores_depend_on_displacements_alone() -> None:
    """Property (16) of the paper: R_mᵀ R_n = R_(n−m)."""
    q, k = torch.randn(2, 1, 4, dtype=torch.float64)
    theta = torch.tensor([1.0, 0.3], dtype=torch.float64)
    at = [theta * m for m in (2.0, 7.0, 0.0, 5.0)]
    first, second = (
        rotated(q, at[i][None]) @ rotated(k, at[i + 1][None]).mT for i in (0, 2)
    )
    torch.testing.assert_close(first, second)


def test_a_silent_query_sees_no_positions() -> None:
    torch.manual_seed(0)
    assert_cannot(
        ROPE.refute(nn.Conv2d(2, 3, 3, padding=1).double(), (4, 3)), steps=120
    )


def test_a_silent_query_on_one_axis() -> None:
    witness = ROPE.refute(nn.Conv1d(1, 2, 3, padding=1).double(), (6,))
    assert witness.violation() <= 1e-9
    assert witness.attack(50) >= witness.bound * (1 - 1e-9)


def test_a_box_filter_on_four_pixels_is_an_exception() -> None:
    box = nn.Conv2d(2, 3, 3, padding=1).double()
    nn.init.constant_(box.weight, 0.25)
    with pytest.raises(ArgumentError, match="weighs differently"):
        ROPE.refute(box, (2, 2))


def test_what_it_does_not_take() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="zero, reflect or circular padding"):
        ROPE.construct(conv)
    with pytest.raises(ArgumentError, match="zero padding"):
        ROPE.refute(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")).layer(0)


def test_a_wrong_layer_and_a_wrong_witness_are_found_out() -> None:
    conv = copy.deepcopy(CASES["3×3"][0]).double()
    layer = ROPE.construct(conv, (3, 4))
    assert isinstance(layer.layer, RotaryAttention)
    with torch.no_grad():
        layer.layer.angles.neg_()
    assert relative_error(layer, conv, (3, 4)) > 1e-2
    honest = ROPE.refute(conv, (4, 3))
    inputs = honest.inputs.clone()
    inputs[:, :, 2, 1] = 1  # the query speaks
    wrong = Witness.of(
        conv,
        inputs,
        honest.query,
        kind="silent query",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
