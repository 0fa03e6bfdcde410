"""No weight of attention is subnormal, whatever the strength and the dtype."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import expressivity as ex
from expressivity.geometry.grid import Grid
from expressivity.heads.axis_product import AxisProduct
from expressivity.numbers.precision import compute_dtype
from expressivity.numbers.softmax import masked_mass, softmax, without_negligible
from expressivity.strategies.normalised import probabilities_of
from expressivity.strategies.separable import plans
from expressivity.strategies.separable.own_heads import OwnHeads

DTYPES = [torch.float64, torch.float32, torch.float16]
ALPHAS = [0.01, 1.0, 4.0, 18.0, 1e4]


def assert_normal(weights: Tensor, dtype: torch.dtype) -> None:
    """Assert that no weight is a subnormal number of a dtype."""
    sizes = weights.detach().abs()
    smallest = torch.finfo(dtype).tiny
    subnormal = (sizes > 0) & (sizes < smallest)
    assert not subnormal.any(), sizes[subnormal]


def layer_of(
    axes: int, alpha: float, dtype: torch.dtype, mode: str, shift: float
) -> ex.RelativeSelfAttention:
    """Return a layer with some centers off the grid."""
    kind = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[axes]
    conv = kind(2, 3, 3, padding=1, padding_mode=mode).to(dtype)
    layer = ex.attention_from_conv(conv, alpha=alpha)
    with torch.no_grad():
        layer.centers += shift
    return layer


def matrices_of(
    layer: ex.RelativeSelfAttention, size: tuple[int, ...]
) -> Iterator[Tensor]:
    """Yield all matrices that the separable strategy multiplies with."""
    heads, grid = layer.heads(), Grid.of(layer.geometry, size)
    for plan in plans(heads, grid):
        for step in plan:
            if step.is_saturated:
                continue
            if isinstance(step, OwnHeads):
                for along in step.smoothing(heads):
                    yield from along.blocks
                continue
            smoothing = step.smoothing_with(heads, grid)
            assert isinstance(smoothing, AxisProduct)
            for _, _, matrix in smoothing.factors:
                yield from matrix.blocks


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_probabilities_are_normal_numbers(alpha: float, dtype: torch.dtype) -> None:
    layer = layer_of(2, alpha, dtype, "zeros", shift=0.3)
    probabilities = layer.attention_probabilities(size=(20, 24))
    assert_normal(probabilities, compute_dtype(dtype))
    rows = probabilities.double().sum(-1)
    assert (rows - 1).abs().max() <= 100 * torch.finfo(compute_dtype(dtype)).eps


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize("shift", [0.0, 40.25])
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    ("axes", "size"), [(1, (300,)), (2, (70, 40)), (2, (5, 6)), (3, (4, 4, 5))]
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_smoothing_matrices_hold_normal_numbers(
    dtype: torch.dtype,
    axes: int,
    size: tuple[int, ...],
    alpha: float,
    shift: float,
    mode: str,
) -> None:
    layer = layer_of(axes, alpha, dtype, mode, shift)
    for matrix in matrices_of(layer, size):
        assert_normal(matrix, compute_dtype(dtype))


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
def test_probabilities_of_tables_are_normal_numbers(scale: float) -> None:
    layer = layer_of(2, 1.0, torch.float32, "zeros", shift=0.0)
    layer.add_table((-3, -3), (7, 7))
    assert layer.table is not None
    torch.manual_seed(0)
    with torch.no_grad():
        layer.table.copy_(scale * torch.randn_like(layer.table))
    entries = (range(7), range(7))
    heads = layer.heads()
    assert heads.table is not None
    assert_normal(probabilities_of(heads, heads.table, entries), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_masking_takes_no_more_than_it_says(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    scores = -200 * torch.rand(50, 400, dtype=dtype)
    scores[:, 0] = 0.0
    lost = (softmax(scores).double() - scores.double().softmax(-1)).abs().sum(-1)
    rounding = 10 * torch.finfo(dtype).eps
    assert lost.max() <= 2 * masked_mass(400, dtype) + rounding
    assert (softmax(scores) == 0).any()


def test_one_hot_rows_are_exactly_one_hot() -> None:
    scores = torch.tensor([[0.0, -40.0, -90.0], [-1e6, -3e6, -2e6]])
    assert softmax(scores).tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_gradients_are_those_of_the_softmax_over_the_rest() -> None:
    torch.manual_seed(0)
    scores = (-120 * torch.rand(6, 40, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(softmax, scores)
    assert torch.autograd.gradgradcheck(softmax, scores)


def test_signs_survive_and_zeros_stay() -> None:
    weights = torch.tensor([[0.0, 0.0], [-1.0, 1e-20]])
    assert without_negligible(weights).tolist() == [[0.0, 0.0], [-1.0, 0.0]]
