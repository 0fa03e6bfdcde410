"""Banded matrices and products along axes, against the matrices written out."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, func, nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.autograd.functional import jacobian

import expressivity as ex
from expressivity.heads.banded import BandedMatrix, Windows
from tests import allocations, laws
from tests.cases import BASE_1D

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
# A block of two rows, one that ends at the last column, one row over all columns.
SHAPES, STARTS, COLUMNS = ((2, 3), (3, 4), (1, 6)), (1, 2, 0), 6


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def three_blocks() -> BandedMatrix:
    return BandedMatrix(tuple(random(*shape) for shape in SHAPES), STARTS, COLUMNS)


def written_out(matrix: BandedMatrix) -> Tensor:
    """Return the matrix with its zeros, entry by entry."""
    rows = []
    for block, start in zip(matrix.blocks, matrix.starts, strict=True):
        for entries in block:
            row = torch.zeros(matrix.columns, dtype=block.dtype)
            row[start : start + len(entries)] = entries
            rows.append(row)
    return torch.stack(rows)


class TestWindows:
    @given(
        first=st.integers(-40, 60),
        step=st.integers(1, 5),
        count=st.integers(1, 40),
        columns=st.integers(1, 40),
        radius=st.integers(0, 12),
        rows=st.integers(1, 12),
    )
    def test_hold_the_band_of_every_row(
        self, first: int, step: int, count: int, columns: int, radius: int, rows: int
    ) -> None:
        spots = range(first, first + step * count, step)
        windows = Windows.around(spots, spots, columns, radius=radius, rows=rows)
        assert windows.rows == rows
        assert len(windows.starts) == -(-count // rows)
        assert windows.width <= min(columns, step * (rows - 1) + 2 * radius + 1)
        for row, spot in enumerate(spots):
            start = windows.starts[row // rows]
            held = range(start, start + windows.width)
            assert held.start >= 0
            assert held.stop <= columns
            middle = min(max(spot, 0), columns - 1)
            band = range(max(0, middle - radius), min(columns, middle + radius + 1))
            assert set(band) <= set(held)

    @given(st.lists(st.integers(-9, 30), min_size=1).map(sorted), st.integers(1, 6))
    def test_hold_rows_at_any_distance_from_each_other(
        self, spots: list[int], rows: int
    ) -> None:
        windows = Windows.around(spots, spots, 20, radius=2, rows=rows)
        for row, spot in enumerate(spots):
            start, middle = windows.starts[row // rows], min(max(spot, 0), 19)
            assert start <= max(0, middle - 2)
            assert start + windows.width > min(19, middle + 2)

    def test_of_a_full_matrix_is_one(self) -> None:
        assert Windows.whole(7, 3) == Windows(rows=7, starts=(0,), width=3)


class TestBandedMatrix:
    @pytest.mark.parametrize("recorded", [False, True])
    @pytest.mark.parametrize("trail", [(), (5,)], ids=str)
    def test_applied_is_the_matrix_written_out(
        self, trail: tuple[int, ...], recorded: bool
    ) -> None:
        matrix, x = three_blocks(), random(2, COLUMNS, *trail)
        x.requires_grad_(recorded)
        expected = torch.einsum("rc,bc...->br...", written_out(matrix), x)
        assert matrix.rows == 6
        torch.testing.assert_close(matrix.apply(x), expected, rtol=0, atol=1e-14)
        assert torch.equal(matrix.dense(), written_out(matrix))

    @pytest.mark.parametrize("start", [0, 2])
    def test_a_single_block_may_leave_columns_out(self, start: int) -> None:
        matrix = BandedMatrix((random(3, 4),), (start,), columns=6)
        x = random(2, 6, 5)
        expected = written_out(matrix) @ x
        torch.testing.assert_close(matrix.apply(x), expected, rtol=0, atol=1e-14)
        assert torch.equal(matrix.dense(), written_out(matrix))

    def test_a_full_matrix_is_kept_as_it_is(self) -> None:
        full = random(3, 4)
        assert BandedMatrix.full(full).dense() is full

    def test_moves_to_another_dtype(self) -> None:
        matrix = three_blocks()
        moved = matrix.to(torch.device("cpu"), torch.float32)
        assert torch.equal(moved.dense(), written_out(matrix).float())


class TestDerivatives:
    """Of the product, with respect to the input and every block."""

    @staticmethod
    def product(x: Tensor, *blocks: Tensor) -> Tensor:
        return BandedMatrix(blocks, STARTS, COLUMNS).apply(x)

    def inputs(self, *trail: int) -> tuple[Tensor, ...]:
        values = (random(2, COLUMNS, *trail), *three_blocks().blocks)
        return tuple(value.requires_grad_() for value in values)

    @pytest.mark.parametrize("trail", [(), (2,)], ids=str)
    @pytest.mark.parametrize("constant", [None, 0, 1, 3])
    def test_first_and_second(
        self, trail: tuple[int, ...], constant: int | None
    ) -> None:
        inputs = self.inputs(*trail)
        if constant is not None:
            inputs[constant].requires_grad_(False)
        assert gradcheck(self.product, inputs, check_forward_ad=True)
        assert gradgradcheck(self.product, inputs)

    @pytest.mark.parametrize("moving", range(4))
    def test_forward_along_one_of_them(self, moving: int) -> None:
        inputs = self.inputs(2)
        tangent = torch.randn_like(inputs[moving])
        with forward_ad.dual_level():
            duals = list(inputs)
            duals[moving] = forward_ad.make_dual(inputs[moving], tangent)
            found = forward_ad.unpack_dual(self.product(*duals)).tangent
        # The product is linear in each of them.
        moved = list(inputs)
        moved[moving] = inputs[moving] + tangent
        expected = self.product(*moved) - self.product(*inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)

    def test_per_sample(self) -> None:
        x, *blocks = self.inputs()

        def loss(blocks: tuple[Tensor, ...], sample: Tensor) -> Tensor:
            return self.product(sample[None], *blocks).square().sum()

        found = func.vmap(func.grad(loss, argnums=(0, 1)), in_dims=(None, 0))(
            tuple(blocks), x
        )
        for index, sample in enumerate(x):
            product = written_out(BandedMatrix(tuple(blocks), STARTS, COLUMNS)) @ sample
            expected = torch.autograd.grad(product.square().sum(), [*blocks, x])
            along_blocks, along_x = found
            torch.testing.assert_close(along_x[index], expected[-1][index])
            for one, other in zip(along_blocks, expected, strict=False):
                torch.testing.assert_close(one[index], other)

    def test_hessian_by_forward_over_reverse(self) -> None:
        x, *blocks = (value.detach() for value in self.inputs())
        found = func.hessian(lambda x: self.product(x, *blocks).square().sum() / 2)(x)
        matrix = written_out(BandedMatrix(tuple(blocks), STARTS, COLUMNS))
        expected = torch.einsum(
            "ab,cd->acbd", torch.eye(2).double(), matrix.mT @ matrix
        )
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("blocks_recorded", [False, True])
    @pytest.mark.parametrize(
        "measure", [allocations.peak_bytes, allocations.allocated_bytes]
    )
    def test_cost_does_not_grow_with_the_number_of_blocks(
        self, measure: Callable[..., int], blocks_recorded: bool
    ) -> None:
        """Of a gradient of the whole input for every block, it would."""

        def taken(count: int) -> float:
            """Return the bytes of both passes in units of the input."""
            starts = tuple(range(0, 32 * count, 32))
            blocks = tuple(
                torch.randn(32, 40, requires_grad=blocks_recorded) for _ in starts
            )
            matrix = BandedMatrix(blocks, starts, columns=32 * count + 8)
            x = torch.randn(4, matrix.columns, 32, requires_grad=True)
            return measure(lambda: matrix.apply(x).sum().backward()) / x.nbytes

        # The product in parts and in one piece; the gradients of input and blocks.
        assert taken(128) < 12
        assert taken(128) < 1.2 * taken(16)


def test_banded_product_has_batched_gradients() -> None:
    def product(x: Tensor, *blocks: Tensor) -> Tensor:
        return BandedMatrix(blocks, STARTS, COLUMNS).apply(x)

    inputs = [random(2, COLUMNS, 2), *(random(*shape) for shape in SHAPES)]
    recorded = [tensor.requires_grad_() for tensor in inputs]
    assert gradcheck(product, recorded, check_batched_grad=True)


def test_vectorised_jacobian_of_a_banded_layer() -> None:
    layer = ex.attention_from_conv(BASE_1D.conv(), alpha=1.0)
    names = [name for name, _ in layer.named_parameters()]

    def function(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        x = torch.ones(1, 4, 120, dtype=torch.float64)
        return func.functional_call(layer, parameters, (x,)).sum(-1)

    values = tuple(p.detach() for p in layer.parameters())
    expected = jacobian(function, values)
    for one, other in zip(
        jacobian(function, values, vectorize=True), expected, strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    ("size", "kernel_size", "stride"),
    [((60, 1), 3, 1), ((1, 60), 3, 1), ((8, 53), 1, 4)],
    ids=str,
)
def test_small_canvases_with_one_long_axis(
    size: tuple[int, int], kernel_size: int, stride: int, recorded: bool
) -> None:
    conv = nn.Conv2d(
        2, 3, kernel_size, padding=kernel_size // 2, stride=stride, dtype=torch.float64
    )
    layer = ex.attention_from_conv(conv, alpha=30.0).requires_grad_(recorded)
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    laws.assert_equals_convolution(layer, conv, x, alpha=30.0)


@pytest.mark.parametrize("rows", [1, 3, 16, 50])
def test_in_blocks_of_other_rows_is_the_same_matrix(rows: int) -> None:
    near = (torch.arange(37)[:, None] - torch.arange(41)).abs() <= 2
    matrix = torch.where(near, random(37, 41), 0.0)
    whole = BandedMatrix((matrix[:20, :30], matrix[20:, 5:]), (0, 5), 41)
    found = whole.in_blocks(rows)
    assert torch.equal(found.dense(), matrix)
    assert max(block.shape[0] for block in found.blocks) <= rows
    assert max(block.shape[1] for block in found.blocks) <= rows + 4


def test_blocks_keep_one_column_where_all_is_zero() -> None:
    found = BandedMatrix.full(torch.zeros(4, 3)).in_blocks(2)
    assert found.starts == (0, 0)
    assert torch.equal(found.dense(), torch.zeros(4, 3))
