"""Products in memory that a thread keeps, against those in new memory."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from expressivity.heads import buffers, kept_product
from expressivity.heads.axis_product import AxisProduct
from expressivity.heads.banded import BandedMatrix
from tests.heads.test_axis_product import banded
from tests.heads.test_banded import random

SIZES = [(40,), (6, 5), (9, 7), (60, 50), (50, 120), (5, 6, 7)]
per_size = pytest.mark.parametrize("size", SIZES, ids=str)
per_format = pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
per_lent = pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def diagonal(rows: int) -> BandedMatrix:
    """Return a matrix with three entries a row, in two blocks."""
    near = (torch.arange(rows)[:, None] - torch.arange(rows)).abs() <= 1
    matrix = torch.where(near, random(rows, rows), 0.0)
    half, reach = rows // 2, rows // 2 + 1
    blocks = matrix[:half, :reach], matrix[half:, -reach - rows % 2 :]
    return BandedMatrix(blocks, (0, rows - blocks[1].shape[1]), rows)


def images(size: tuple[int, ...], *, last: bool) -> Tensor:
    """Return two images of three channels, in a memory format."""
    canvas = random(2, 3, *size)
    if last and canvas.dim() in LAST:
        canvas = canvas.to(memory_format=LAST[canvas.dim()])
    return canvas


@per_size
@per_format
@per_lent
@pytest.mark.parametrize("kind", [diagonal, lambda rows: banded(rows - 1, rows)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_is_the_product_in_new_memory(
    size: tuple[int, ...], last: bool, lent: bool, kind: object, dtype: torch.dtype
) -> None:
    wide = torch.promote_types(dtype, torch.float32)
    product = AxisProduct.of([kind(rows) for rows in size])
    product = product.to(torch.device("cpu"), wide)
    canvas = images(size, last=last).to(dtype)
    multiply = product.prepared(canvas, unrecorded=True, lent=lent)
    for x in (canvas, 2 * canvas):
        found, expected = multiply(x), product(x)
        assert (found.dtype, found.stride()) == (expected.dtype, expected.stride())
        torch.testing.assert_close(
            found,
            expected,
            rtol=2 * torch.finfo(dtype).eps,
            atol=200 * torch.finfo(wide).eps,
        )


@per_size
@per_format
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_a_lent_result_is_overwritten(
    size: tuple[int, ...], last: bool, dtype: torch.dtype
) -> None:
    product = AxisProduct.of([diagonal(rows) for rows in size])
    product = product.to(torch.device("cpu"), torch.float32)
    canvas = images(size, last=last).to(dtype)
    own = product.prepared(canvas, unrecorded=True)
    lent = product.prepared(canvas, unrecorded=True, lent=True)
    first = own(canvas)
    before = first.clone()
    borrowed = lent(canvas)
    own(2 * canvas)
    again = lent(2 * canvas)
    assert torch.equal(first, before)
    assert again.data_ptr() == borrowed.data_ptr() != first.data_ptr()


def test_views_are_of_the_memory_that_the_thread_has_now() -> None:
    small, large = (AxisProduct.of([diagonal(rows)] * 2) for rows in (20, 40))
    few, many = random(1, 2, 20, 20), random(4, 8, 40, 40)
    of_few = small.prepared(few, unrecorded=True, lent=True)
    of_few(few)
    of_many = large.prepared(many, unrecorded=True, lent=True)
    result = of_many(many)
    assert of_few(few).data_ptr() == result.data_ptr()


def test_few_views_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_MOST_VIEWS", 3)
    monkeypatch.setattr(buffers, "_kept", buffers._Kept())
    product = AxisProduct.of([diagonal(8)] * 2)
    for channels in range(8, 0, -1):
        canvas = random(1, channels, 8, 8)
        found = product.prepared(canvas, unrecorded=True, lent=True)(canvas)
        torch.testing.assert_close(found, product(canvas))
        assert len(buffers._kept.views) <= 3


def test_large_canvases_have_memory_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_product, "MOST_KEPT", 100)
    monkeypatch.setattr(buffers, "_kept", buffers._Kept())
    product, canvas = AxisProduct.of([diagonal(8)] * 2), random(1, 2, 8, 8)
    found = product.prepared(canvas, unrecorded=True, lent=True)(canvas)
    assert torch.equal(found, product(canvas))
    assert not buffers._kept.flat


def test_threads_do_not_share_memory() -> None:
    product = AxisProduct.of([diagonal(30)] * 2)
    canvases = [random(2, 8, 30, 30) for _ in range(8)]
    multiply = product.prepared(canvases[0], unrecorded=True, lent=True)

    def differs(canvas: Tensor) -> bool:
        expected = product(canvas)
        return any(
            not torch.allclose(multiply(canvas), expected, rtol=0, atol=1e-12)
            for _ in range(50)
        )

    with ThreadPoolExecutor(4) as threads:
        assert not any(threads.map(differs, canvases))
