"""The separable strategy: groups of heads, targets, the place of a smoothing."""

from dataclasses import replace
from functools import reduce
from math import gcd
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention import explain
from expressivity.errors import StrategyError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.strategies.separable import part, plans
from expressivity.strategies.separable.lattice import Lattice
from expressivity.strategies.separable.own_heads import OwnPart
from expressivity.strategies.separable.plan import Step
from expressivity.strategies.separable.strategy import _parts
from tests import allocations, laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, Case, cases
from tests.modes import MODES, Mode

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

CONVOLUTIONS = {
    "one axis": (lambda: nn.Conv1d(3, 4, 3, padding=1), (60,)),
    "two axes": (lambda: nn.Conv2d(3, 4, 3, padding=1), (9, 8)),
    "large": (lambda: nn.Conv2d(3, 4, 3, padding=1), (50, 52)),
    "narrowing": (lambda: nn.Conv2d(9, 2, 1), (9, 8)),
    "widening": (lambda: nn.Conv2d(2, 9, 1), (9, 8)),
    "three axes": (lambda: nn.Conv3d(3, 4, 3, padding=1), (4, 5, 6)),
}


class TestGroups:
    @pytest.mark.parametrize("alpha", [1.0, 60.0])
    @pytest.mark.parametrize(
        "centers",
        [
            [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]],  # two heads on one tap
            [[0.0, 0.0], [40.0, 0.0], [0.0, -31.0]],  # far apart, on one lattice
            [[0.0, 0.0], [1.0, 7.0], [13.0, 0.0]],  # too sparse for one kernel
            [[0.0, 0.0], [4.0, -2.0], [8.0, 2.0]],  # a lattice of steps 4 and 2
            [[0.5, 0.0], [1.5, 1.0], [0.0, 0.25]],  # two lattices
            [[2.0, 1.0], [-1.0, 0.0], [0.0, -2.0]],  # in no order
        ],
        ids=str,
    )
    @pytest.mark.parametrize("stride", [1, 2])
    def test_hold_heads_wherever_they_are(
        self, centers: list[list[float]], stride: int, alpha: float
    ) -> None:
        geometry = ex.ConvGeometry.create((3, 3), stride=stride, padding=1)
        attention = ex.RelativeSelfAttention(
            2, 5, geometry, num_heads=3, dtype=torch.float64
        )
        with torch.no_grad():
            attention.alpha.fill_(alpha)
            attention.centers.copy_(torch.tensor(centers))
        x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
        laws.assert_strategies_agree(attention, x)

    @given(cases())
    def test_of_frozen_heads_compute_what_trainable_ones_do(self, case: Case) -> None:
        attention, x = ex.attention_from_conv(case.conv(), alpha=0.3), case.input()
        trainable = attention(x).detach()
        frozen = attention.requires_grad_(False)(x)
        atol = laws.ROUNDING * oracles.output_scale(case.conv(), x)
        torch.testing.assert_close(frozen, trainable, rtol=0, atol=atol)

    @pytest.mark.parametrize(
        ("trainable", "lines"),
        [
            (False, ["6 heads with alpha=1"]),
            (True, ["6 heads with alpha=1"]),
        ],
    )
    def test_are_told(self, trainable: bool, lines: list[str]) -> None:
        attention = ex.attention_from_conv(BASE.conv(), alpha=1.0)
        attention.requires_grad_(trainable)
        details = explain(attention, BASE.input()).details
        assert all(("each alone" in text) == trainable for text in details)
        found = [text.split(" smoothed over the whole canvas, ")[0] for text in details]
        assert found == lines

    def test_say_why_they_cannot_run(self) -> None:
        attention = ex.attention_from_conv(BASE.conv(), strategy="separable")
        attention.add_content_terms(3)
        with pytest.raises(StrategyError, match="separable cannot run: content scores"):
            attention(BASE.input())


@st.composite
def lattices(draw: Any) -> tuple[list[tuple[int, ...]], list[range]]:
    """Return centers of heads, and queries along each axis, two of them at least."""
    axes = draw(st.integers(1, 3))
    step = draw(st.tuples(*[st.integers(1, 6)] * axes))
    taps = draw(st.lists(st.tuples(*[st.integers(-3, 3)] * axes), min_size=1))
    queries = [
        range(first, first + stride * count, stride)
        for first, stride, count in draw(
            st.lists(
                st.tuples(st.integers(-4, 4), st.integers(1, 6), st.integers(2, 5)),
                min_size=axes,
                max_size=axes,
            )
        )
    ]
    spread = [tuple(t * s for t, s in zip(tap, step, strict=True)) for tap in taps]
    return spread, queries


class TestLattice:
    @given(lattices())
    def test_targets_are_those_that_some_query_uses(
        self, drawn: tuple[list[tuple[int, ...]], list[range]]
    ) -> None:
        """Between the first and the last, as coarse as they allow."""
        centers, queries = drawn
        lattice = Lattice.spanned(range(len(centers)), centers)
        for axis, targets in enumerate(lattice.targets(queries)):
            used = {q + center[axis] for q in queries[axis] for center in centers}
            first, last = min(used), max(used)
            pitch = reduce(gcd, (target - first for target in used))
            assert list(targets) == list(range(first, last + 1, pitch))

    @given(lattices())
    def test_a_tap_of_a_query_is_its_target(
        self, drawn: tuple[list[tuple[int, ...]], list[range]]
    ) -> None:
        centers, queries = drawn
        lattice = Lattice.spanned(range(len(centers)), centers)
        for axis, (targets, stride, dilation) in enumerate(
            zip(
                lattice.targets(queries),
                lattice.stride(queries),
                lattice.dilation(queries),
                strict=True,
            )
        ):
            for index, query in enumerate(queries[axis]):
                for center, tap in zip(centers, lattice.taps, strict=True):
                    place = index * stride + tap[axis] * dilation
                    assert targets[place] == query + center[axis]

    @pytest.mark.parametrize(
        "case",
        [
            replace(BASE, size=(40, 40), kernel_size=(1, 1), stride=8, padding=0),
            replace(BASE, size=(40, 40), kernel_size=(3, 3), stride=4, dilation=4),
            replace(BASE, size=(40, 40), kernel_size=(2, 2), stride=6, dilation=4),
        ],
        ids=str,
    )
    def test_no_other_target_is_smoothed(self, case: Case) -> None:
        attention = ex.attention_from_conv(case.conv(), alpha=1.0)
        attention.requires_grad_(False)
        grid = Grid.of(attention.geometry, case.size)
        queries, centers = grid.queries, attention.geometry.centers()
        for step in (each.step for each in _parts(attention.heads(), grid)):
            heads = list(step.group.lattice.heads)
            pitch = gcd(case.stride, case.dilation) if len(heads) > 1 else case.stride
            for axis, targets in enumerate(step.targets):
                used = {
                    q + c for q in queries[axis] for c in centers[heads, axis].tolist()
                }
                assert len(targets) == 1 + (max(used) - min(used)) // pitch


class TestPlaceOfTheSmoothing:
    @staticmethod
    def smoothed(place: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Put every smoothing after so many projections; return the places taken."""
        taken = []

        def chosen(weights: tuple[Tensor, ...], groups: int, step: Step) -> int:
            taken.append(min(place, len(weights)))
            return taken[-1]

        monkeypatch.setattr(part, "_place_of_smoothing", chosen)
        return taken

    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("head_dim", [None, 1])
    @pytest.mark.parametrize(
        "case",
        [
            BASE,
            replace(BASE, padding=0),
            replace(BASE, padding_mode="reflect"),
            replace(BASE, padding=3, padding_mode="replicate", stride=2),
            replace(BASE, groups=2, stride=3),
            replace(BASE, groups=2, padding_mode="circular"),
            replace(BASE, in_channels=8, out_channels=4, bias=False),
            replace(BASE, kernel_size=(1, 1), stride=2, padding=0),
            replace(BASE_1D, size=(90,)),
            BASE_3D,
        ],
        ids=str,
    )
    def test_is_free(
        self,
        case: Case,
        head_dim: int | None,
        place: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        attention = ex.attention_from_conv(case.conv(), alpha=0.8, head_dim=head_dim)
        for position in (attention.alpha, attention.centers):
            position.requires_grad_(False)
        with torch.no_grad():
            attention.centers[-1] += 0.3  # alone in every case
        taken = self.smoothed(place, monkeypatch)
        laws.assert_strategies_agree(attention, case.input())
        assert max(taken) == min(place, 1 if head_dim is None else 2)

    @pytest.mark.parametrize(
        ("channels", "outputs", "size", "stride", "place"),
        [
            (2, 64, 30, 1, 0),  # few channels come in: smooth those
            (64, 2, 30, 1, 1),  # few go out
            (64, 64, 30, 8, 0),  # few targets: project those
        ],
    )
    def test_is_where_little_is_computed(
        self, channels: int, outputs: int, size: int, stride: int, place: int
    ) -> None:
        conv = nn.Conv2d(channels, outputs, 1, stride=stride)
        attention = ex.attention_from_conv(conv, alpha=0.1)
        grid = Grid.of(attention.geometry, (size, size))
        (trained,) = _parts(attention.heads(), grid)
        assert isinstance(trained, OwnPart)
        assert [trained.after is None, trained.before is None] == [place, not place]
        attention.requires_grad_(False)
        (frozen,) = _parts(attention.heads(), grid)
        assert isinstance(frozen, part.Part)
        assert frozen.place == place

    @pytest.mark.parametrize("channels", [(2, 24), (24, 2)], ids=str)
    @pytest.mark.parametrize("head_dim", [None, 1])
    @pytest.mark.parametrize("groups", [1, 2])
    def test_is_free_for_heads_of_their_own(
        self, channels: tuple[int, int], head_dim: int | None, groups: int
    ) -> None:
        convolution = nn.Conv2d(*channels, 3, padding=1, stride=2, groups=groups)
        attention = ex.attention_from_conv(
            convolution.double(), alpha=0.8, head_dim=head_dim
        )
        with torch.no_grad():
            attention.centers += 0.1 * torch.randn(attention.centers.shape)
        x = torch.randn(2, channels[0], 9, 8, dtype=torch.float64)
        laws.assert_strategies_agree(attention, x)

    def test_two_projections_are_kept_where_their_product_is_larger(self) -> None:
        conv = nn.Conv2d(32, 32, 3, padding=1)
        for head_dim, stored in [(None, 1), (4, 2), (15, 2), (16, 1), (40, 1)]:
            attention = ex.attention_from_conv(conv, alpha=0.1, head_dim=head_dim)
            grid = Grid.of(attention.geometry, (9, 9))
            (own,) = _parts(attention.heads(), grid)
            assert isinstance(own, OwnPart)
            weights = [w for w in (own.before, own.after) if w is not None]
            assert len(weights) == stored


def placed(centers: list[list[float]], alpha: float) -> nn.Module:
    geometry = ex.ConvGeometry.create((3,) * len(centers[0]), padding=1)
    layer = ex.RelativeSelfAttention(
        4, 4, geometry, num_heads=len(centers), dtype=torch.float64
    )
    with torch.no_grad():
        layer.centers.copy_(torch.tensor(centers))
        layer.alpha.fill_(alpha)
    return layer


@pytest.mark.parametrize("alpha", [60.0, 1.0])
def test_pixels_between_heads_far_apart_cost_nothing(alpha: float) -> None:
    layer = placed([[0.0, 0.0], [500.0, 500.0]], alpha)
    x = torch.randn(1, 4, 7, 7, dtype=torch.float64)
    with torch.no_grad():
        layer(x)
        taken = allocations.peak_bytes(lambda: layer(x))
    assert taken < 100 * x.numel() * x.element_size()


@pytest.mark.parametrize("alpha", [60.0, 1.0])
@pytest.mark.parametrize("centers", [[[0.0], [1e19]], [[1e19]], [[-1e19]]])
def test_heads_at_any_finite_center(centers: list[list[float]], alpha: float) -> None:
    layer, x = placed(centers, alpha), torch.randn(1, 4, 7, dtype=torch.float64)
    with torch.no_grad():
        assert layer(x).isfinite().all()


def test_lone_heads_compose_their_own_projections_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With gradients recorded, and both projections as large as can be."""
    conv = replace(BASE, in_channels=4, out_channels=4).conv()
    layer = ex.attention_from_conv(conv, alpha=1.0).materialize_projections()
    monkeypatch.setattr(Heads, "matrices", lambda _: pytest.fail("composed all heads"))
    x = BASE.input()
    found = layer(x)
    layer.strategy = "dense"
    torch.testing.assert_close(found, layer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "joint"),
    [((4,), False), ((4, 4), True), ((14, 14), False)],
    ids=str,
)
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_a_step_says_whether_its_smoothing_is_one_matrix(
    size: tuple[int, ...], joint: bool, mode: str
) -> None:
    """Whoever judges rounding asks the step: it has to know what would be formed."""
    axes = len(size)
    convolution = nn.Conv1d if axes == 1 else nn.Conv2d
    layer = ex.attention_from_conv(
        convolution(2, 2, 7, padding=3, padding_mode=mode), alpha=1.0
    )
    heads, grid = layer.heads(), Grid.of(layer.geometry, size)
    (together,), (apart,) = plans(heads, grid)
    assert isinstance(together, Step)
    factors = together.smoothing_with(heads, grid).factors
    assert together.is_joint(grid) == (axes > len(factors))
    assert together.is_joint(grid) == joint
    assert not apart.is_joint(grid)  # one matrix an axis, whatever the size


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_call_leaves_what_earlier_ones_returned(name: str, mode: Mode) -> None:
    build, size = CONVOLUTIONS[name]
    layer = ex.attention_from_conv(build().double(), alpha=0.7)
    first, second = torch.randn(2, 1, layer.in_channels, *size, dtype=torch.float64)
    layer, first = mode.prepared(layer, first)
    mode.call(layer, first)  # others of its kind may be evaluated in another way
    output = mode.call(layer, first)
    before = output.detach().clone()
    mode.call(layer, second.detach())
    assert torch.equal(output.detach(), before)
    sources = [each for each in (*layer.parameters(), first) if each.requires_grad]
    if not mode.has_a_graph:
        return
    found = torch.autograd.grad(output.square().sum(), sources)
    expected = torch.autograd.grad(mode.call(layer, first).square().sum(), sources)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
