"""The grid of one input size against torch's own padding."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import expressivity as ex
from expressivity import ConvGeometry
from expressivity.errors import InputError
from expressivity.geometry.grid import Grid, tokens_at
from tests import oracles
from tests.cases import CASES, Case, cases

over_cases = pytest.mark.parametrize("case", CASES, ids=str)


def grid_of(case: Case) -> Grid:
    return Grid.of(ConvGeometry.from_conv(case.conv()), case.size)


def padded(case: Case) -> Tensor:
    """Return the input as torch pads it for this convolution."""
    conv = case.conv()
    widths = [w for pair in reversed(oracles.paddings(conv)) for w in pair]
    mode = "constant" if case.padding_mode == "zeros" else case.padding_mode
    return functional.pad(case.input(), widths, mode)


@over_cases
def test_is_the_geometry_laid_on_a_size(case: Case) -> None:
    geometry, grid = ConvGeometry.from_conv(case.conv()), grid_of(case)
    assert (grid.geometry, grid.size) == (geometry, case.size)
    assert grid.canvas_size == geometry.canvas_size(case.size)
    assert grid.queries == geometry.queries(case.size)


@over_cases
def test_canvas_is_torchs_padding_but_for_replicate(case: Case) -> None:
    canvas = grid_of(case).canvas(case.input())
    expected = case.input() if case.padding_mode == "replicate" else padded(case)
    assert torch.equal(canvas, expected)
    assert grid_of(case).canvas_size == canvas.shape[2:]


@given(cases())
def test_tokens_and_zeros_are_the_canvas(case: Case) -> None:
    grid, x = grid_of(case), case.input()
    tokens, canvas = grid.tokens(x), grid.canvas(x)
    rebuilt = torch.zeros_like(canvas)
    inside = tuple(
        slice(before, before + length)
        for before, length in zip(grid.zeros_before, tokens.shape[2:], strict=True)
    )
    rebuilt[(..., *inside)] = tokens
    assert torch.equal(rebuilt, canvas)
    zeros_added = case.padding_mode == "zeros" and padded(case).shape != x.shape
    assert grid.has_zero_tokens == zeros_added
    if zeros_added:
        assert tokens is x


@given(cases())
def test_kernel_around_a_query_is_what_torch_reads_there(case: Case) -> None:
    """The first and the last tap of the first and the last query, on the canvas."""
    conv, grid = case.conv(), grid_of(case)
    geometry, everything = grid.geometry, padded(case)
    for axis, query in enumerate(grid.queries):
        centers = geometry.centers()[:, axis]
        added = oracles.paddings(conv)[axis][0]
        # Replicate padding has no tokens: its pixels are counted from −padding.
        before = added if case.padding_mode == "replicate" else 0
        lowest = query[0] + int(centers.min()) + before
        highest = query[-1] + int(centers.max()) + before
        assert lowest == 0
        spare = everything.shape[2 + axis] - 1 - highest
        assert 0 <= spare < query.step
        assert len(query) == conv(case.input()).shape[2 + axis]


@given(
    queries=st.lists(
        st.tuples(st.integers(-9, 9), st.integers(1, 5), st.integers(1, 4)),
        min_size=1,
        max_size=3,
    ),
    size=st.tuples(*(st.integers(1, 4) for _ in range(3))),
)
def test_token_at_a_query_is_the_nearest(
    queries: list[tuple[int, int, int]], size: Sequence[int]
) -> None:
    ranges = [range(a, a + count * step, step) for a, count, step in queries]
    canvas = torch.randn(2, 3, *size[: len(ranges)])
    found = tokens_at(ranges, canvas)
    for place, query in zip(
        product(*(range(len(points)) for points in ranges)),
        product(*ranges),
        strict=True,
    ):
        nearest = tuple(
            min(max(q, 0), tokens - 1) for q, tokens in zip(query, size, strict=False)
        )
        index = (slice(None), slice(None))
        assert torch.equal(found[index + place], canvas[index + nearest])


def test_derivatives_of_tokens_at_add_up_on_the_border() -> None:
    canvas = torch.zeros(1, 1, 3, requires_grad=True)
    tokens_at([range(-2, 4)], canvas).sum().backward()
    assert canvas.grad.flatten().tolist() == [3, 1, 2]


def test_same_arguments_give_the_same_grid() -> None:
    geometry = ConvGeometry.create((3,), padding=1)
    grid = Grid.of(geometry, (5,))
    assert Grid.of(ConvGeometry.create([3], padding=[1]), torch.Size([5])) is grid
    assert Grid.of(geometry, (6,)) != grid
    assert len({grid, Grid.of(geometry, (6,)), Grid.of(geometry, (5,))}) == 2


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda grid: pickle.loads(pickle.dumps(grid))]
)
def test_copies_are_equal(copied: object) -> None:
    grid = Grid.of(ConvGeometry.create((3, 2), padding_mode="circular"), (5, 4))
    again = copied(grid)
    assert again == grid
    assert hash(again) == hash(grid)


def test_refuses_what_the_geometry_refuses() -> None:
    geometry = ConvGeometry.create((3, 3))
    for size, axis in [((2, 5), 0), ((5, 2), 1), ((0, 5), 0)]:
        with pytest.raises(InputError, match=f"axis {axis}: the padded input needs"):
            Grid.of(geometry, size)


def test_grid_refuses_another_number_of_axes_with_its_own_error() -> None:
    with pytest.raises(InputError, match="works over 2 axes"):
        Grid.of(ex.ConvGeometry.create((3, 3)), (5,))


def test_hash_of_an_unpickled_geometry_is_that_of_its_equals() -> None:
    """The hash of a string differs between processes."""
    make = "ConvGeometry.create((3,), padding=1)"
    code = (
        "import pickle, sys; from expressivity import ConvGeometry; "
        f"geometry = {make}; hash(geometry); "
        "sys.stdout.buffer.write(pickle.dumps(geometry))"
    )
    pickled = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
    ).stdout
    here, there = ex.ConvGeometry.create((3,), padding=1), pickle.loads(pickled)
    assert here == there
    assert hash(here) == hash(there)
