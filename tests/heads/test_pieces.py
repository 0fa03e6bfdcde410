"""How many images are taken together, and how many rows of one."""

import pytest
import torch

from expressivity.heads import pieces
from expressivity.heads.buffers import MOST_KEPT, Buffers
from expressivity.heads.head_matrices import HeadMatrices


def along(tokens: int, rows: int, width: int) -> HeadMatrices:
    """Return the matrices of nine heads, blocks of rows with windows of a width."""
    starts = range(0, tokens, rows)
    blocks = tuple(torch.zeros(9, min(rows, tokens - s), width) for s in starts)
    return HeadMatrices(
        blocks, tuple(min(s, tokens - width) for s in starts), columns=tokens
    )


@pytest.mark.parametrize(
    ("batch", "channels", "axes"),
    [
        pytest.param(200, 8, [(8_000, 32, 50)], id="long lines"),
        pytest.param(50, 64, [(7, 7, 7), (7, 7, 7)], id="small images"),
        pytest.param(3, 16, [(512, 32, 50), (512, 32, 50)], id="large images"),
        pytest.param(2, 1, [(1, 1, 1), (100_000, 32, 50)], id="one row"),
    ],
)
def test_no_copy_and_no_result_is_large(
    batch: int, channels: int, axes: list[tuple[int, int, int]]
) -> None:
    matrices = [along(*axis) for axis in axes]
    size = [tokens for tokens, _, _ in axes]
    x = torch.empty(1).expand(batch, *size, channels)  # takes no memory
    if len(axes) == 1:
        x = x[:, :, None]
    seen = 0
    for images in pieces.images_of(x, matrices, None, Buffers(x.dtype)):
        those = x[images.those]
        seen += len(those)
        assert len(those) == 1 or those.numel() <= MOST_KEPT
        for strip in images.strips():
            rows = strip.first.matrices.shape[1]
            result = 9 * rows * those[:, 0].numel()
            assert rows * len(those) == 1 or result <= MOST_KEPT
    assert seen == batch
