"""Tables that add over the axes: two ways to fill them, two leaks."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from expressivity.atlas import FAMILIES
from expressivity.atlas.families.tables import (
    Tables,
    construct,
    quadratic_leak,
    two_valued_leak,
)
from expressivity.atlas.layers.tables import AxisTables
from expressivity.errors import ArgumentError
from expressivity.heads.leak import leak
from tests.atlas.evidence import assert_computes, assert_error_falls, relative_error

TABLES = FAMILIES["tables"]
BOTH = pytest.mark.parametrize("tables", ["two-valued", "quadratic"])
CONVOLUTIONS = [
    (nn.Conv2d(2, 3, 3, padding=1), (3, 4)),
    (nn.Conv2d(3, 1, 5, padding=2, stride=2), (5, 4)),
    (nn.Conv2d(1, 2, (1, 3), padding=(0, 1), bias=False), (3, 4)),
    (nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2), (3, 4)),
    (nn.Conv2d(2, 1, 2), (3, 4)),
    (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (3, 4)),
    (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (6,)),
]


@pytest.mark.parametrize(("conv", "size"), CONVOLUTIONS, ids=str)
def test_computes(conv: nn.Module, size: tuple[int, ...]) -> None:
    assert_computes(TABLES, conv, size)
    assert_error_falls(TABLES, conv, size, (8, 10, 12), rate=1)
    wide = copy.deepcopy(conv).double()
    assert relative_error(construct(wide, size, 40.0, "quadratic"), wide, size) < 1e-12


@BOTH
def test_in_float32(tables: Tables) -> None:
    conv, size = CONVOLUTIONS[0]
    layer = construct(conv, size, 40.0, tables)
    assert relative_error(layer, conv, size) < 1e-6


def off_target(tables: Tables, alpha: float, size: tuple[int, int]) -> Tensor:
    """Return the probability off the target of all heads and queries."""
    conv = nn.Conv2d(1, 1, 3, padding=1).double()
    layer = construct(conv, size, alpha, tables)
    probabilities = layer.layer.position_bias().detach().softmax(-1)
    height, width = layer.grid.canvas_size
    inner = probabilities.unflatten(1, (height, width))[:, 1:-1, 1:-1]
    return 1 - inner.amax(-1)


@given(
    alpha=st.floats(0.1, 12),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_leaks(alpha: float, size: tuple[int, int]) -> None:
    canvas = (size[0] + 2, size[1] + 2)
    every = off_target("two-valued", alpha, size)
    wanted = torch.full_like(every, two_valued_leak(alpha, canvas))
    torch.testing.assert_close(every, wanted, rtol=1e-9, atol=1e-12)
    worst = float(off_target("quadratic", alpha, size).max())
    assert worst == pytest.approx(quadratic_leak(alpha, canvas), rel=1e-9, abs=1e-12)
    assert worst <= leak(alpha, axes=2) + 1e-15


def test_the_leaks_to_first_order() -> None:
    epsilon = math.exp(-20)
    height, width = 9, 7
    exact = 1 - 1 / ((1 + (height - 1) * 0.01) * (1 + (width - 1) * 0.01))
    assert two_valued_leak(math.log(100), (height, width)) == pytest.approx(exact)
    sides = (height - 1) + (width - 1)
    assert two_valued_leak(20, (height, width)) == pytest.approx(sides * epsilon)
    assert quadratic_leak(20, (height, width)) == pytest.approx(4 * epsilon)
    assert quadratic_leak(20, (2, 1)) == pytest.approx(epsilon)


def test_the_encoding_is_as_narrow_as_was_said() -> None:
    conv, size = nn.Conv2d(1, 1, 5, padding=2), (3, 4)
    widths = {
        tables: construct(conv, size, 1.0, tables).layer.position_bias.encodings[0]
        for tables in ("two-valued", "quadratic")
    }
    assert widths["two-valued"].shape == (2 * 7 - 1, 5)
    assert widths["quadratic"].shape == (2 * 7 - 1, 2)


def test_scores_add_a_row_and_a_column() -> None:
    """Against the definition, in loops."""
    tables = AxisTables((2, 3), heads=2, encoding_dim=2)
    scores = tables()
    rows, columns = tables.encodings
    for head, vector in enumerate(tables.head_vectors):
        for q in range(6):
            for k in range(6):
                row, column = k // 3 - q // 3, k % 3 - q % 3
                encoding = torch.cat([rows[row + 1], columns[column + 2]])
                torch.testing.assert_close(scores[head, q, k], vector @ encoding)


def test_what_it_does_not_take() -> None:
    replicate = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    with pytest.raises(ArgumentError, match="zero, reflect or circular padding"):
        TABLES.construct(replicate)
    with pytest.raises(ArgumentError, match="'two-valued' or 'quadratic', got 'cubic'"):
        construct(CONVOLUTIONS[0][0], (3, 4), 1.0, "cubic")  # type: ignore[arg-type]
