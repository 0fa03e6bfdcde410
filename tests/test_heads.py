"""How many heads with free tables: counted, built, truncated."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.convolutions import tap_matrices
from expressivity.digits import DigitsCNN
from expressivity.errors import ArgumentError, UnsupportedModuleError
from tests.cases import BASE, BASE_1D, DTYPES, Case, cases

LAPLACIAN = [[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]
SOBEL_X = [[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]
SOBEL_Y = [list(row) for row in zip(*SOBEL_X, strict=True)]
BOX = [[1.0] * 3] * 3


def conv_of(*kernels: list[list[float]]) -> nn.Conv2d:
    """Return a convolution of one channel to one output a kernel."""
    conv = nn.Conv2d(1, len(kernels), 3, padding=1, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(kernels)[:, None])
    return conv


def taps_of(conv: nn.Module) -> Tensor:
    return tap_matrices(conv.weight.detach()).double()


@pytest.mark.parametrize(
    ("kernels", "rank", "needed", "taps"),
    [
        ([LAPLACIAN], 1, 2, 5),
        ([SOBEL_X], 1, 2, 6),
        ([BOX], 1, 1, 9),
        ([SOBEL_X, SOBEL_Y], 2, 3, 8),
        ([BOX, LAPLACIAN], 2, 2, 9),
        ([[[0.0] * 3] * 3], 0, 1, 0),
    ],
    ids=["Laplacian", "Sobel", "box", "Sobel pair", "box and Laplacian", "nothing"],
)
def test_known_kernels(kernels: list, rank: int, needed: int, taps: int) -> None:
    assert ex.head_count(conv_of(*kernels)) == ex.HeadCount(rank, needed, taps)


def test_the_rank_of_a_random_kernel() -> None:
    for channels, outputs in ((3, 4), (1, 1), (2, 2), (1, 16), (2, 4)):
        torch.manual_seed(0)
        count = ex.head_count(nn.Conv2d(channels, outputs, 3))
        assert count.rank == min(9, channels * outputs)
        assert count.needed in (count.rank, count.rank + 1)
        if count.rank == 9:  # independent taps never add up to zero
            assert count.needed == 9


def test_most_random_kernels_of_rank_two_are_balanced() -> None:
    """Nine directions in a plane: they miss some half of it with probability 9/256."""
    torch.manual_seed(0)
    needed = [ex.head_count(nn.Conv2d(1, 2, 3)).needed for _ in range(100)]
    assert needed.count(3) > 85
    assert needed.count(2) > 0


def test_layers_of_the_demonstration() -> None:
    found = [
        ex.head_count(module)
        for module in DigitsCNN().modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert [count.rank for count in found] == [9, 9, 1, 9]
    assert [count.taps for count in found] == [9, 9, 1, 9]
    assert [count.needed for count in found] == [9, 9, 1, 9]


def opposite_taps() -> nn.Conv1d:
    """Return taps (1, 0), (−1, 0), (0, 1): two heads do, but only in the limit."""
    conv = nn.Conv1d(1, 2, 3, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[1.0, -1, 0]], [[0, 0, 1]]]))
    return conv


def test_a_limit_may_need_fewer_heads_than_any_layer() -> None:
    conv = opposite_taps()
    assert ex.head_count(conv) == ex.HeadCount(2, 2, 3)
    assert len(ex.minimal_heads(conv).tables) == 3
    for small in (1e-1, 1e-3, 1e-5):
        tables = torch.tensor([[2 * small, 0, 1.0], [0, 2 * small, 1]]).double()
        sums = tables.sum(1)
        carried = torch.tensor([[1.0, small], [-1, small]]).double()
        heads = ex.TableHeads(
            tables / sums[:, None],
            (sums[:, None] * carried / (2 * small))[..., None],
            torch.zeros(2).double(),
        )
        gap = (heads.tap_matrices() - taps_of(conv)).abs().max()
        assert gap <= 1.01 * small


def test_one_head_cannot_carry_two_signs() -> None:
    """Whatever its table and matrix are, one head errs by half of a tap at least."""
    generator = torch.Generator().manual_seed(0)
    wanted = taps_of(conv_of(SOBEL_X)).flatten()
    for _ in range(300):
        table = torch.rand(9, generator=generator).double()
        value = 8 * torch.randn(1, generator=generator).double()
        assert (table / table.sum() * value - wanted).abs().max() >= 1


@given(cases())
def test_heads_compute_any_convolution(case: Case) -> None:
    conv = case.conv()
    heads, count = ex.minimal_heads(conv), ex.head_count(conv)
    assert len(heads.tables) <= count.rank + 1
    assert (heads.tables >= 0).all()
    torch.testing.assert_close(
        heads.tables.sum(1), torch.ones(len(heads.tables)).double()
    )
    torch.testing.assert_close(heads.tap_matrices(), taps_of(conv))
    assert heads.error.max() < 1e-12


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_weights_are_taken_as_they_are_stored(dtype: torch.dtype) -> None:
    conv = BASE.conv(dtype)
    assert ex.head_count(conv).rank == 6
    assert ex.minimal_heads(conv).error.max() < 1e-12


@given(st.integers(2, 7), st.integers(0, 20))
def test_fewer_heads_have_the_error_of_eckart_and_young(most: int, seed: int) -> None:
    conv = replace(BASE, seed=seed).conv()
    heads = ex.minimal_heads(conv, max_heads=most)
    assert len(heads.tables) <= most
    unfolding = taps_of(conv).flatten(1)
    sizes = torch.linalg.svdvals(unfolding)
    tail = sizes[most - 1 :].square().sum().sqrt()
    gap = (heads.tap_matrices().flatten(1) - unfolding).norm()
    torch.testing.assert_close(gap, tail, rtol=1e-9, atol=1e-12)
    left = (heads.tap_matrices() - taps_of(conv)).abs().sum((0, 2))
    torch.testing.assert_close(heads.error, left, rtol=1e-9, atol=1e-12)


def test_heads_with_one_sign_need_no_last_head() -> None:
    for sign in (1, -1):
        conv = conv_of([[sign * w for w in row] for row in BOX])
        heads = ex.minimal_heads(conv)
        assert len(heads.tables) == 1
        torch.testing.assert_close(
            heads.matrices.flatten(), torch.tensor([9.0 * sign]).double()
        )


def test_a_kernel_of_zeros_has_one_head_that_carries_nothing() -> None:
    heads = ex.minimal_heads(conv_of([[0.0] * 3] * 3))
    assert heads.tables.shape == (1, 9)
    assert heads.tables.sum() == pytest.approx(1)
    assert not heads.matrices.any()


def test_refuses_what_it_cannot_count() -> None:
    with pytest.raises(UnsupportedModuleError, match="Conv1d"):
        ex.head_count(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="max_heads needs to be at least 2, got 1"):
        ex.minimal_heads(BASE_1D.conv(), max_heads=1)


def test_the_curve_is_between_the_bound_and_its_neighbour() -> None:
    torch.manual_seed(0)
    curve = ex.head_curve(nn.Conv2d(3, 8, 7))
    assert curve.heads == tuple(range(2, 26))  # 3 · 8 channels are fewer than 49 taps
    assert curve.errors[-1] < 1e-6
    for error, bound in zip(curve.errors, curve.bounds, strict=True):
        assert bound <= error + 1e-12
    # One head more than the best of any layer.
    for error, before in zip(curve.errors[1:], curve.bounds, strict=False):
        assert error == pytest.approx(before, abs=1e-9)
    with pytest.raises(ArgumentError, match="not zero"):
        ex.head_curve(conv_of([[0.0] * 3] * 3))
