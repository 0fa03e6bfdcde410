"""GPSA: the gate and the positional term, each with its own error."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.families.convit import construct
from expressivity.atlas.layers.convit import GatedAttention
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error

CONVIT = FAMILIES["convit"]
CONVOLUTIONS = [
    (nn.Conv2d(2, 3, 3, padding=1), (3, 4)),
    (nn.Conv2d(3, 1, 5, padding=2, stride=2), (5, 4)),
    (nn.Conv2d(1, 4, (1, 3), padding=(0, 1), bias=False), (3, 4)),
    (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (3, 4)),
    (nn.Conv2d(20, 1, 2), (2, 3)),  # wider than heads times rank
    (nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"), (3, 4)),
    (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (6,)),
]


@pytest.mark.parametrize(("conv", "size"), CONVOLUTIONS, ids=str)
def test_computes(conv: nn.Module, size: tuple[int, ...]) -> None:
    assert_computes(CONVIT, conv, size)
    assert_error_falls(CONVIT, conv, size, (6, 8, 10), rate=1)


def test_in_float32() -> None:
    conv, size = CONVOLUTIONS[0]
    assert relative_error(CONVIT.construct(conv, size), conv, size) < 1e-6


def falls(alphas: tuple[float, ...], gates: tuple[float, ...]) -> list[float]:
    """Return slopes of the logarithm of the error; content scores are random."""
    conv, size = copy.deepcopy(CONVOLUTIONS[0][0]).double(), (3, 4)
    errors = []
    for alpha, gate in zip(alphas, gates, strict=True):
        layer = construct(conv, size, alpha, gate)
        torch.manual_seed(1)
        nn.init.normal_(layer.layer.layer.qk.weight)
        errors.append(relative_error(layer, conv, size))
    return [math.log(before / after) / 2 for before, after in pairwise(errors)]


def test_the_rate_is_one_in_the_gate_and_one_in_the_strength() -> None:
    assert falls((60, 60, 60), (8, 10, 12)) == pytest.approx([1, 1], abs=0.05)
    assert falls((8, 10, 12), (60, 60, 60)) == pytest.approx([1, 1], abs=0.05)


def test_neither_replaces_the_other() -> None:
    assert falls((20, 22), (5, 5)) == pytest.approx([0], abs=1e-3)
    assert falls((5, 5), (20, 22)) == pytest.approx([0], abs=1e-3)


def definition(
    layer: GatedAttention, tokens: Tensor, canvas: tuple[int, int]
) -> Tensor:
    """Return what the paper's formula gives for one sequence, head by head."""
    dim, heads = tokens.shape[1], layer.heads
    step = dim // heads
    places = torch.cartesian_prod(*map(torch.arange, canvas)).double()
    delta = places[None] - places[:, None]
    encoding = torch.stack([delta[..., 1], delta[..., 0], delta.square().sum(-1)], -1)
    seen = []
    for head in range(heads):
        own = slice(head * step, (head + 1) * step)
        query = tokens @ layer.qk.weight[:dim][own].mT
        key = tokens @ layer.qk.weight[dim:][own].mT
        content = torch.softmax(query @ key.mT / step**0.5, -1)
        position = torch.softmax(encoding @ layer.pos_proj.weight[head], -1)
        gate = torch.sigmoid(layer.gating_param[head])
        attention = (1 - gate) * content + gate * position
        seen.append(attention @ (tokens @ layer.v.weight[own].mT))
    return torch.cat(seen, -1) @ layer.proj.weight.mT + layer.proj.bias


def test_the_layer_is_that_of_the_paper() -> None:
    layer = GatedAttention(6, 3, (2, 3)).double()
    tokens = torch.randn(2, 6, 6).double()
    for image, output in zip(tokens, layer(tokens), strict=True):
        torch.testing.assert_close(output, definition(layer, image, (2, 3)))


def test_timm_takes_the_weights() -> None:
    convit = pytest.importorskip("timm.models.convit", exc_type=ImportError)
    conv, size = nn.Conv2d(2, 3, 3, padding=1), (4, 4)
    layer = CONVIT.construct(conv, size)
    ours = layer.layer.layer
    theirs = convit.GPSA(ours.qk.in_features, num_heads=ours.heads)
    theirs.load_state_dict(ours.state_dict())
    layer.layer.layer = theirs
    assert relative_error(layer, conv, size) < 1e-6


def test_what_it_does_not_take() -> None:
    wide = nn.Conv2d(1, 1, 3, padding=2, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="padding up to half the kernel"):
        CONVIT.construct(wide)
