"""Attention − convolution as an operator, row by row."""

import torch
from torch import nn

from expressivity.accuracy.worst_case import converted
from expressivity.convolutions import Kernel


def test_a_row_that_sees_only_padding_is_empty() -> None:
    """An output so far out that its band holds no pixel has a row without entries."""
    kernel = Kernel.of(nn.Conv2d(2, 1, 1, padding=4).double())
    row = converted(kernel, alpha=18.0).row((3, 3), (0, 4), 0)
    assert row.values.shape == (2, 0, 3)
    assert row.pixels == ((), (0, 1, 2))
    assert torch.equal(row.values, torch.zeros(2, 0, 3, dtype=torch.float64))
