"""Positions and displacements against nested loops."""

import itertools

import pytest
import torch

from expressivity.geometry.positions import displacements, grid_positions, positions

AXES = [[range(5)], [range(-2, 7, 3), range(2)], [range(1), range(4, 2, -1), range(2)]]


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_grid_positions_are_the_points_in_row_major_order(axes: list[range]) -> None:
    expected = [list(point) for point in itertools.product(*axes)]
    assert grid_positions(axes).tolist() == expected
    assert grid_positions(axes).dtype == torch.int64


@pytest.mark.parametrize("axes", AXES, ids=str)
def test_displacements_are_key_minus_query(axes: list[range]) -> None:
    keys = [range(3)] * len(axes)
    expected = [
        [[k - q for q, k in zip(query, key, strict=True)] for key in keys_in_order]
        for query in itertools.product(*axes)
        for keys_in_order in [list(itertools.product(*keys))]
    ]
    assert displacements(axes, keys).tolist() == expected


def test_dtype_and_device_are_those_that_are_given() -> None:
    assert positions(range(3), "meta", torch.float64).device.type == "meta"
    assert displacements([range(2)], [range(2)], dtype=torch.float32).dtype == (
        torch.float32
    )
    with torch.device("meta"):
        assert positions(range(3)).device.type == "cpu"
