"""Dtypes that positions and softmax are computed in."""

import pytest
import torch

from expressivity.numbers.precision import (
    autocast_is_on,
    compute_dtype,
    without_autocast,
)
from tests.cases import DTYPES

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nothing_is_computed_in_half_precision(dtype: torch.dtype) -> None:
    assert torch.finfo(compute_dtype(dtype)).eps <= torch.finfo(torch.float32).eps
    assert compute_dtype(dtype).itemsize == max(4, dtype.itemsize)


def test_autocast_is_seen_and_left() -> None:
    assert not autocast_is_on(CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert autocast_is_on(CPU)
        with without_autocast(CPU):
            assert not autocast_is_on(CPU)
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == torch.float32


def test_shapes_alone_have_no_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast(META):
        assert not autocast_is_on(META)
