"""Smoothing that is recomputed: both ways, every derivative, every transform."""

import cProfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from expressivity.heads import buffers, contraction, pieces, recomputed, weight_rows
from expressivity.heads.head_matrices import HeadMatrices
from expressivity.heads.projections import heads_first, paired, projected

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

SIZES, QUERIES, HEADS = (4, 3, 2), (3, 4, 2), 3


@dataclass(frozen=True)
class Layer:
    """Random factors of a layer, and the function of them."""

    factors: tuple[Tensor | None, ...]
    attend: Callable[..., Tensor]


def layer_of(
    axes: int, groups: int, place: str, *, banded: bool, batch: int = 2
) -> Layer:
    """Return random factors: projections before the smoothing, after it, or both."""
    torch.manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    sizes, queries = SIZES[:axes], QUERIES[:axes]
    x = random(batch, *sizes, 2 * groups)
    blocks, starts = [], []
    for tokens, rows in zip(sizes, queries, strict=True):
        if banded:
            blocks.append((random(HEADS, 1, 2), random(HEADS, rows - 1, 2)))
            starts.append((0, tokens - 2))
        else:
            blocks.append((random(HEADS, rows, tokens),))
            starts.append((0,))
    before = None if place == "after" else random(HEADS, groups, 2, 3)
    width = 2 if before is None else 3
    after = None if place == "before" else random(HEADS, groups, width, 2)
    bias = random(groups * (2 if after is not None else width))

    def attend(
        x: Tensor,
        before: Tensor | None,
        after: Tensor | None,
        bias: Tensor | None,
        *flat: Tensor,
    ) -> Tensor:
        rest = iter(flat)
        matrices = [
            HeadMatrices(tuple(next(rest) for _ in along), first, tokens)
            for along, first, tokens in zip(blocks, starts, sizes, strict=True)
        ]
        return recomputed.attend(x, matrices, before, after, bias)

    factors = (x, before, after, bias, *(b for along in blocks for b in along))
    return Layer(factors, attend)


every_layer = [
    pytest.param(axes, groups, place, banded, id=f"{axes} {groups} {place} {banded}")
    for axes, groups, place, banded in [
        (1, 1, "after", True),
        (1, 2, "both", False),
        (2, 1, "after", False),
        (2, 1, "before", True),
        (2, 2, "both", True),
        (2, 2, "after", False),
        (2, 5, "both", False),
        (3, 1, "before", False),
        (3, 1, "after", True),
    ]
]


@pytest.mark.parametrize(("axes", "groups", "place", "banded"), every_layer)
def test_derivatives_of_every_order_and_mode(
    axes: int, groups: int, place: str, banded: bool
) -> None:
    layer = layer_of(axes, groups, place, banded=banded, batch=1)
    assert gradcheck(
        layer.attend,
        layer.factors,
        check_forward_ad=True,
        check_batched_grad=True,
        fast_mode=axes == 3,
    )
    assert gradgradcheck(layer.attend, layer.factors, fast_mode=True)


@pytest.mark.parametrize("batch", [0, 1, 2, 3])
@pytest.mark.parametrize("numbers", [1, 120, 400, 2**20])
@pytest.mark.parametrize("narrow", [0, 100], ids=["wide", "narrow"])
@pytest.mark.parametrize("first", ["tokens", "channels"])
@pytest.mark.parametrize(("axes", "groups", "place", "banded"), every_layer)
def test_buffers_and_products_agree(
    axes: int,
    groups: int,
    place: str,
    banded: bool,
    first: str,
    narrow: int,
    numbers: int,
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = layer_of(axes, groups, place, banded=banded, batch=batch)
    if first == "channels":
        x, *others = layer.factors
        x = x.detach().movedim(-1, 1).contiguous().movedim(1, -1).requires_grad_()
        layer = Layer((x, *others), layer.attend)
    monkeypatch.setattr(pieces, "MANY_TOKENS", 30)  # some images at a time
    monkeypatch.setattr(pieces, "ALL_HEADS", numbers)
    monkeypatch.setattr(contraction, "_NARROW", narrow)
    found = outcome(layer)
    monkeypatch.setattr(recomputed, "_suits_buffers", lambda tensors: False)
    expected = outcome(layer)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wanted", [(0,), (1, 2), (3,), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("numbers", [1, 120, 2**20])
@pytest.mark.parametrize(("axes", "groups", "place", "banded"), every_layer)
def test_derivatives_of_fixed_matrices(
    axes: int,
    groups: int,
    place: str,
    banded: bool,
    numbers: int,
    batch: int,
    wanted: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = layer_of(axes, groups, place, banded=banded, batch=batch)
    factors = tuple(None if f is None else f.detach() for f in layer.factors)
    chosen = [own for index in wanted if (own := factors[index]) is not None]
    for factor in chosen:
        factor.requires_grad_()
    monkeypatch.setattr(pieces, "ALL_HEADS", numbers)

    def found() -> tuple[Tensor, ...]:
        output = layer.attend(*factors)
        return torch.autograd.grad(output.square().sum(), chosen)

    in_buffers = found()
    monkeypatch.setattr(recomputed, "_suits_buffers", lambda tensors: False)
    for one, other in zip(in_buffers, found(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def in_order(weight: Tensor, order: Sequence[int]) -> Tensor:
    """Return a weight whose dimensions lie in memory in some order."""
    back = [order.index(dimension) for dimension in range(4)]
    moved = weight.detach().permute(*order).contiguous()
    return moved.permute(*back).requires_grad_()


@pytest.mark.parametrize(
    "order",
    [(1, 3, 2, 0), (1, 3, 0, 2), (0, 1, 3, 2), (0, 1, 2, 3)],
    ids=["convolution", "channels last", "transposed", "heads first"],
)
@pytest.mark.parametrize(("axes", "groups", "place", "banded"), every_layer)
def test_weights_in_every_order(
    axes: int,
    groups: int,
    place: str,
    banded: bool,
    order: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = layer_of(axes, groups, place, banded=banded)
    x, *weights = layer.factors[:3]
    ordered = [None if w is None else in_order(w, order) for w in weights]
    layer = Layer((x, *ordered, *layer.factors[3:]), layer.attend)
    found = outcome(layer)
    own = [w for w in ordered if w is not None]
    for weight, derivative in zip(own, found[2:], strict=False):
        assert derivative.stride() == weight.stride()
    monkeypatch.setattr(recomputed, "_suits_buffers", lambda tensors: False)
    for one, other in zip(found, outcome(layer), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [(1, 3, 0, 2), (0, 1, 3, 2)])
def test_weights_with_rows_in_one_piece_are_not_copied(order: Sequence[int]) -> None:
    weight = in_order(torch.randn(HEADS, 1, 5, 7), order)
    kept = buffers.Buffers(weight.dtype)
    projection = weight_rows.with_rows_in_one_piece(kept, "no copy", weight)
    assert projection is not None
    assert projection.data_ptr() == weight.data_ptr()


def outcome(layer: Layer) -> list[Tensor]:
    """Return the output and all derivatives of a sum of it."""
    output = layer.attend(*layer.factors)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(output.shape, generator=generator, dtype=output.dtype)
    factors = [factor for factor in layer.factors if factor is not None]
    return [output, *torch.autograd.grad((weights * output).sum(), factors)]


@pytest.mark.parametrize("kept", [0, 2**20], ids=["large", "kept"])
def test_results_are_not_memory_that_is_used_again(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "MOST_KEPT", kept)
    monkeypatch.setattr(buffers, "_kept", buffers._Kept())
    layer = layer_of(2, 1, "both", banded=True)
    with torch.inference_mode():  # what it leaves serves the derivatives
        layer.attend(*layer.factors)
    first = outcome(layer)
    copies = [result.clone() for result in first]
    other = Layer(
        tuple(None if f is None else (2 * f).detach() for f in layer.factors),
        layer.attend,
    )
    for factor in other.factors:
        if factor is not None:
            factor.requires_grad_()
    outcome(other)
    for result, copy in zip(first, copies, strict=True):
        assert torch.equal(result, copy)
    assert bool(buffers._kept.flat) == bool(kept)


def test_work_grows_with_the_blocks() -> None:
    def calls(blocks: int) -> int:
        x = torch.randn(1, 2 * blocks, 2)
        own = [torch.randn(1, 2, 3, requires_grad=True) for _ in range(blocks)]
        starts = tuple(min(2 * index, 2 * blocks - 3) for index in range(blocks))
        matrices = HeadMatrices(tuple(own), starts, 2 * blocks)
        profile = cProfile.Profile()
        with profile:
            recomputed.attend(x, [matrices], None, None, None).sum().backward()
        return sum(entry.callcount for entry in profile.getstats())

    few, many = calls(50), calls(200)
    assert many < 5 * few


def test_threads_have_buffers_of_their_own() -> None:
    layers = [layer_of(2, 1, "after", banded=False, batch=n) for n in (1, 2, 3)]
    expected = [outcome(layer) for layer in layers]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(20):
            for found, wanted in zip(pool.map(outcome, layers), expected, strict=True):
                for one, other in zip(found, wanted, strict=True):
                    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("needed", range(8))
def test_only_derivatives_that_are_asked_for_are_computed(needed: int) -> None:
    layer = layer_of(2, 1, "both", banded=True)
    expected = outcome(layer)[1:]
    factors = [factor.detach() for factor in layer.factors if factor is not None]
    factors[needed].requires_grad_()
    found = outcome_of_one(Layer(tuple(factors), layer.attend), needed)
    torch.testing.assert_close(found, expected[needed], rtol=0, atol=1e-12)


def outcome_of_one(layer: Layer, index: int) -> Tensor:
    """Return the derivative with respect to one factor."""
    output = layer.attend(*layer.factors)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(output.shape, generator=generator, dtype=output.dtype)
    (weights * output).sum().backward()
    gradient = layer.factors[index].grad
    assert gradient is not None
    return gradient


def test_vmap_over_images_is_a_batch() -> None:
    layer = layer_of(2, 1, "after", banded=True)
    x, *others = layer.factors

    def of_one(image: Tensor) -> Tensor:
        return layer.attend(image[None], *others)[0]

    found, expected = torch.vmap(of_one)(x), layer.attend(x, *others)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_gradients_of_single_images_are_those_of_each() -> None:
    layer = layer_of(2, 2, "before", banded=False)
    x, before, *others = (f if f is None else f.detach() for f in layer.factors)

    def loss(before: Tensor, image: Tensor) -> Tensor:
        return layer.attend(image[None], before, *others).square().sum()

    each = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(before, x)
    for image, found in zip(x, each, strict=True):
        expected = torch.func.grad(loss)(before, image)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 2])
def test_heads_move_to_the_front(groups: int) -> None:
    weight = torch.randn(groups, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    moved = heads_first(weight)
    expected = weight.permute(3, 0, 2, 1)
    assert torch.equal(moved, expected)
    gradient = torch.randn(moved.shape, dtype=moved.dtype)
    (found,) = torch.autograd.grad(moved, weight, gradient)
    assert torch.equal(found, gradient.permute(1, 3, 2, 0))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_projections_are_those_of_a_grouped_convolution(groups: int) -> None:
    tokens = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    matrices = torch.randn(2, groups, 4 // groups, 8 // groups, dtype=torch.float64)
    found = projected(tokens, matrices)
    for head in range(2):
        kernel = matrices[head].mT.reshape(8, 4 // groups, 1)
        expected = torch.conv1d(tokens[head].mT[None], kernel, groups=groups)[0].mT
        torch.testing.assert_close(found[head], expected)
    other = torch.randn(2, 5, 8, dtype=torch.float64)
    matrices.requires_grad_()
    (wanted,) = torch.autograd.grad(projected(tokens, matrices), matrices, other)
    torch.testing.assert_close(paired(tokens, other, groups), wanted)
