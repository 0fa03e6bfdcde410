"""Projections in buffers do what those that write nothing in place do."""

import pytest
import torch

from expressivity.heads.buffers import Buffers
from expressivity.heads.projections import (
    add_pairs,
    add_projected,
    paired,
    project,
    projected,
)

HEADS, TOKENS = 3, 7
every_size = pytest.mark.parametrize(
    ("groups", "inputs", "outputs"),
    [
        pytest.param(1, 3, 2, id="one group"),
        pytest.param(2, 3, 2, id="few groups"),
        pytest.param(6, 3, 2, id="many groups"),
        pytest.param(6, 1, 2, id="many groups of one input"),
        pytest.param(5, 1, 1, id="depthwise"),
        pytest.param(1, 1, 1, id="one channel"),
    ],
)


def random(*shape: int) -> torch.Tensor:
    """Return random numbers."""
    return torch.randn(*shape, dtype=torch.float64)


@every_size
@pytest.mark.parametrize("given", [1, HEADS])
def test_of_each_head(groups: int, inputs: int, outputs: int, given: int) -> None:
    tokens = random(given, TOKENS, groups * inputs)
    matrices = random(HEADS, groups, inputs, outputs)
    out = random(HEADS, TOKENS, groups * outputs)
    project(tokens, matrices, out)
    torch.testing.assert_close(out, projected(tokens, matrices))


@every_size
def test_sum_over_heads(groups: int, inputs: int, outputs: int) -> None:
    tokens = random(HEADS, TOKENS, groups * inputs)
    matrices = random(HEADS, groups, inputs, outputs)
    total = random(TOKENS, groups * outputs)
    expected = total + projected(tokens, matrices).sum(0)
    add_projected(total, tokens, matrices, Buffers(total.dtype))
    torch.testing.assert_close(total, expected)


@every_size
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("given", [(1, HEADS), (HEADS, 1), (HEADS, HEADS)])
def test_derivative(
    groups: int, inputs: int, outputs: int, given: tuple[int, int], empty: bool
) -> None:
    taken = random(given[0], TOKENS, groups * inputs)
    made = random(given[1], TOKENS, groups * outputs)
    total = random(HEADS, groups, inputs, outputs)
    expected = paired(taken, made, groups) + (0 if empty else total)
    add_pairs(total, taken, made, Buffers(total.dtype), empty=empty)
    torch.testing.assert_close(total, expected)
