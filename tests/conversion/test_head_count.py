"""How many heads with free tables: counted, built, truncated."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.conversion import HeadCount, TableHeads
from expressivity.conversion.head_count import head_curve, minimal_heads
from expressivity.convolutions import tap_matrices
from expressivity.digits import DigitsCNN
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.numbers.spans import span_rounding
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


def numbers(count: HeadCount) -> tuple[int, int, int]:
    return count.rank, count.needed, count.taps


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
    assert numbers(ex.head_count(conv_of(*kernels))) == (rank, needed, taps)


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
    assert numbers(ex.head_count(conv)) == (2, 2, 3)
    assert len(ex.head_count(conv).minimal().tables) == 3
    for small in (1e-1, 1e-3, 1e-5):
        tables = torch.tensor([[2 * small, 0, 1.0], [0, 2 * small, 1]]).double()
        sums = tables.sum(1)
        carried = torch.tensor([[1.0, small], [-1, small]]).double()
        heads = TableHeads(
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
    heads, count = ex.head_count(conv).minimal(), ex.head_count(conv)
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
    assert ex.head_count(conv).minimal().error.max() < 1e-12


@st.composite
def scaled_weights(draw: st.DrawFn) -> Tensor:
    """Weights of any dtype whose channels have scales of their own, zero among them."""
    dtype = draw(st.sampled_from(DTYPES))
    outputs, channels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    taps = draw(st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 3)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    weight = torch.randn(outputs, channels, *taps, generator=generator).double()
    finfo = torch.finfo(dtype)
    for axis, count in enumerate(weight.shape[:2]):
        scale = st.one_of(st.integers(-30, 30).map(lambda e: 10.0**e), st.just(0.0))
        scales = draw(st.lists(scale, min_size=count, max_size=count))
        weight *= torch.tensor(scales, dtype=torch.float64).reshape(
            -1, *[1] * (3 - axis)
        )
    return weight.clamp(-finfo.max / 64, finfo.max / 64).to(dtype)


def plane_of(weight: Tensor) -> nn.Conv2d:
    outputs, channels, *kernel = weight.shape
    conv = nn.Conv2d(channels, outputs, kernel, padding="same", bias=False)
    conv.weight = nn.Parameter(weight)
    return conv


@given(scaled_weights())
def test_every_spatial_kernel_keeps_its_digits(weight: Tensor) -> None:
    conv = plane_of(weight)
    heads, wanted = ex.head_count(conv).minimal(), taps_of(conv)
    root = ex.head_count(conv).rank ** 0.5
    norms = wanted.abs().amax(0) * (wanted / wanted.abs().amax(0)).nan_to_num().norm(
        dim=0
    )
    rounding = span_rounding(len(wanted)) * (1 + 3 * root)
    assert ((heads.tap_matrices() - wanted).abs() <= rounding * norms).all()
    # What cancels is no larger than stated.
    carried = torch.einsum("ht,hoc->toc", heads.tables, heads.matrices.abs())
    assert (carried <= (3 * root + rounding) * norms).all()


@given(scaled_weights())
def test_the_layer_computes_every_spatial_kernel(weight: Tensor) -> None:
    conv, dtype = plane_of(weight), weight.dtype
    heads = ex.head_count(conv).minimal()
    attention = ex.attention_from_conv(conv, heads="minimal")
    # An impulse in each channel shows its kernels.
    x = torch.zeros(conv.in_channels, conv.in_channels, 7, 7, dtype=dtype)
    x[range(len(x)), range(len(x)), 3, 3] = 1
    with torch.no_grad():
        gap = (attention(x).double() - conv(x).double()).abs().amax((2, 3)).mT
    probability, carried = heads.tables, heads.matrices.abs()
    # Scores are rounded: of each probability, and of the sum that it is divided by.
    entropy = -torch.special.xlogy(probability, probability)
    scores = entropy + probability * entropy.sum(1, keepdim=True)
    finfo, stored = torch.finfo(dtype), torch.finfo(attention.table.dtype)
    unit = (len(carried) + 8) * finfo.eps
    off = unit * probability + stored.eps * scores
    allowed = torch.einsum("ht,hoc->toc", off, carried).amax(0)
    subnormal = len(carried) * 4 * finfo.smallest_normal * finfo.eps
    assert (gap <= allowed + subnormal).all()


@given(st.data())
def test_the_size_of_channels_does_not_count(data: st.DataObject) -> None:
    digits = st.lists(st.integers(-2, 2), min_size=2 * 2 * 4, max_size=2 * 2 * 4)
    weight = torch.tensor(data.draw(digits)).double().reshape(2, 2, 2, 2)
    exponents = data.draw(st.lists(st.integers(-400, 400), min_size=4, max_size=4))
    scales = torch.tensor([2.0**e for e in exponents], dtype=torch.float64)
    scaled = weight * scales[:2, None, None, None] * scales[2:, None, None]
    assert ex.head_count(plane_of(scaled)) == ex.head_count(plane_of(weight))
    assert ex.head_count(plane_of(weight)).rank == torch.linalg.matrix_rank(
        taps_of(plane_of(weight)).flatten(1)
    )


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 16, 3, dtype=torch.bfloat16),
        nn.Conv2d(32, 32, 3, dtype=torch.float16),
        nn.Conv2d(256, 256, 3),
    ],
    ids=["bfloat16", "float16", "float32"],
)
@pytest.mark.parametrize("beside", [1.0, 5e-3])
def test_wide_layers_keep_all_their_taps(conv: nn.Conv2d, beside: float) -> None:
    scales = torch.full((3, 3), beside)
    scales[1, 1] = 1.0
    scaled = nn.Conv2d(conv.in_channels, conv.out_channels, 3)
    with torch.no_grad():
        scaled.weight.copy_(conv.weight * scales)
    scaled = scaled.to(conv.weight.dtype)
    assert numbers(ex.head_count(scaled)) == (9, 9, 9)
    assert ex.head_count(scaled).minimal().error.max() < 1e-12 * 9 * conv.in_channels


def test_small_kernels_have_a_curve() -> None:
    conv = replace(BASE, bias=False).conv()
    wanted = ex.head_count(conv).curve()
    with torch.no_grad():
        conv.weight.mul_(2.0**-600)
    curve = ex.head_count(conv).curve()
    assert curve.heads == wanted.heads
    assert curve.errors == pytest.approx(wanted.errors, abs=1e-14)
    assert curve.bounds == pytest.approx(wanted.bounds, abs=1e-14)


def test_heads_that_overflow_are_refused() -> None:
    conv = nn.Conv2d(1, 1, 3, dtype=torch.float16)
    nn.init.constant_(conv.weight, 6e4)
    with pytest.raises(ArgumentError, match=r"up to 5.4e\+05.*float16 cannot hold"):
        ex.attention_from_conv(conv, heads="minimal")


@given(st.integers(2, 7), st.integers(0, 20))
def test_fewer_heads_have_the_error_of_eckart_and_young(most: int, seed: int) -> None:
    conv = replace(BASE, seed=seed).conv()
    heads = ex.head_count(conv).minimal(max_heads=most)
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
        heads = ex.head_count(conv).minimal()
        assert len(heads.tables) == 1
        torch.testing.assert_close(
            heads.matrices.flatten(), torch.tensor([9.0 * sign]).double()
        )


def test_a_kernel_of_zeros_has_one_head_that_carries_nothing() -> None:
    heads = minimal_heads(conv_of([[0.0] * 3] * 3))
    assert heads.tables.shape == (1, 9)
    assert heads.tables.sum() == pytest.approx(1)
    assert not heads.matrices.any()


def test_refuses_what_it_cannot_count() -> None:
    with pytest.raises(UnsupportedModuleError, match="Conv1d"):
        ex.head_count(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="integer of at least 2, got 1"):
        minimal_heads(BASE_1D.conv(), max_heads=1)


def test_the_curve_is_between_the_bound_and_its_neighbour() -> None:
    torch.manual_seed(0)
    curve = head_curve(nn.Conv2d(3, 8, 7))
    assert curve.heads == tuple(range(2, 26))  # 3 · 8 channels are fewer than 49 taps
    assert curve.errors[-1] < 1e-6
    for error, bound in zip(curve.errors, curve.bounds, strict=True):
        assert bound <= error + 1e-12
    # One head more than the best of any layer.
    for error, before in zip(curve.errors[1:], curve.bounds, strict=False):
        assert error == pytest.approx(before, abs=1e-9)
    with pytest.raises(ArgumentError, match="not zero"):
        head_curve(conv_of([[0.0] * 3] * 3))
