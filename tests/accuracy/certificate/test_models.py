"""What certificates say of a strategy is what the strategy does."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.accuracy.certificate import models
from expressivity.accuracy.certificate.models import Counts, Setting
from expressivity.accuracy.snapshot import Snapshot
from expressivity.geometry.grid import Grid
from expressivity.heads.factors import left_out
from expressivity.numbers.precision import compute_dtype
from expressivity.strategies import fused
from expressivity.strategies.separable import largest_crowd, plans
from expressivity.strategies.separable.own_heads import OwnPart
from expressivity.strategies.separable.part import Part
from expressivity.strategies.separable.plan import Step
from tests.attack import move, random_target
from tests.cases import BASE_1D, RandomChooser, choose_case

DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def joint_layer() -> tuple[ex.RelativeSelfAttention, nn.Module, tuple[int, int]]:
    """A layer whose smoothings are one matrix: of the tokens, not of the canvas."""
    conv = nn.Conv2d(2, 2, 7, padding=3)
    return ex.attention_from_conv(conv, alpha=1.0), conv, (5, 5)


def random_layer(seed: int) -> tuple[ex.RelativeSelfAttention, tuple[int, ...]]:
    random = Random(f"models/{seed}")
    case = choose_case(RandomChooser(random))
    dtype = random.choice(DTYPES)
    attention = ex.attention_from_conv(
        case.conv(dtype),
        alpha=random.choice([None, 0.2, 1.0, 4.0, 12.0]),
        head_dim=random.choice([None, 1, 2]),
        strategy="separable",
    )
    move(attention, random)
    with torch.no_grad():
        if random.random() < 0.3:  # several heads on one pixel
            attention.centers[: len(attention.centers) // 2] = attention.centers[
                0
            ].clone()
        if random.random() < 0.1:
            attention.centers[0] = 2.0**25  # not on any canvas
    return attention, case.size


def setting_of(
    attention: ex.RelativeSelfAttention,
    size: tuple[int, ...],
    *,
    smaller_too: bool = False,
) -> Setting:
    layer = Snapshot.of(attention)
    return Setting(
        attention.heads(),
        Grid.of(attention.geometry, size),
        attention.dtype,
        tuple(layer.alpha.tolist()),
        tuple(map(tuple, layer.centers.tolist())),
        smaller_too,
    )


@contextmanager
def watched(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[list[Part | OwnPart], list[Any]]]:
    """Collect the parts that run, and the smoothings that are formed."""
    parts, products = list[Part | OwnPart](), list[Any]()
    attends = {kind: kind.attend for kind in (Part, OwnPart)}
    smoothed_by = Step.smoothed_by

    def watched_attend(self: Part | OwnPart, *args: Any, **options: Any) -> Any:
        parts.append(self)
        return attends[type(self)](self, *args, **options)

    def watched_smoothing(self: Step, *args: Any) -> Any:
        product = smoothed_by(self, *args)
        products.append((self.group.lattice.heads, product))
        return product

    with monkeypatch.context() as patch:
        for kind in attends:
            patch.setattr(kind, "attend", watched_attend)
        patch.setattr(Step, "smoothed_by", watched_smoothing)
        yield parts, products


def run(attention: ex.RelativeSelfAttention, size: tuple[int, ...]) -> None:
    """Evaluate a layer in all the ways in which it may run eagerly."""
    x = torch.zeros(1, attention.in_channels, *size, dtype=attention.dtype)
    for positions in (True, False):
        attention.alpha.requires_grad_(positions)
        attention.centers.requires_grad_(positions)
        for recorded in (True, False):
            with torch.set_grad_enabled(recorded):
                attention(x)


@pytest.mark.parametrize("seed", range(25))
def test_what_is_certified_of_separable_is_what_runs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention, size = random_layer(seed)
    assert_asked(attention, size, monkeypatch)


def test_what_is_certified_of_a_joint_smoothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attention, _, size = joint_layer()
    assert_asked(attention, size, monkeypatch)


def assert_asked(
    attention: ex.RelativeSelfAttention,
    size: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting, jointly = setting_of(attention, size), list[tuple[int, bool]]()
    smoothed = models._smoothed

    def watched_loss(setting: Setting, head: int, *, joint: bool) -> float:
        jointly.append((head, joint))
        return smoothed(setting, head, joint=joint)

    with monkeypatch.context() as patch:
        patch.setattr(models, "_smoothed", watched_loss)
        counts = models.of_separable(setting)
    with watched(monkeypatch) as (parts, products):
        run(attention, size)
    planned = [
        (step.heads, step.bands)
        for plan in plans(attention.heads(), setting.grid)
        for step in plan
    ]
    assert parts
    for part in parts:
        assert (part.step.heads, part.step.bands) in planned
        assert_counted(part, counts)
        for head in part.step.heads:
            assert counts.lost[head] >= 2 * part.step.neglected
            assert part.step.is_saturated or head in dict(jointly)
    for heads, product in products:
        (_, together, _), *_ = product.factors
        assert all(dict(jointly)[head] or together == 1 for head in heads)


def assert_counted(part: Part | OwnPart, counts: Counts) -> None:
    """A part rounds no more often than is counted."""
    if isinstance(part, OwnPart):
        weights = [w for w in (part.before, part.after) if w is not None]
        assert 2 + len(weights) <= counts.casts
        last = weights[-1]
        assert last.shape[0] * last.shape[2] <= counts.terms
        return
    lattice = part.step.group.lattice
    crowd = max(Counter(lattice.taps).values())
    casts = 1 + crowd + (0 if part.step.is_saturated else 1) + len(part.weights)
    assert casts <= counts.casts
    terms = sum(weight[0].numel() for weight in part.weights)
    if len(lattice.heads) == len(lattice.points):  # no zeros in between
        assert terms <= counts.terms
    assert crowd <= 1 or counts.composed


def test_crowds_are_what_lattice_points_hold() -> None:
    for seed in range(40):
        attention, size = random_layer(seed)
        setting = setting_of(attention, size)
        crowd = largest_crowd(setting.centers)
        for plan in plans(attention.heads(), setting.grid):
            for step in plan:
                if isinstance(step, Step):
                    assert max(Counter(step.group.lattice.taps).values()) <= crowd


def test_a_joint_smoothing_has_its_term() -> None:
    """Conv2d(2, 2, 7), unequal α: it was left out of the rounding part."""
    attention, conv, size = joint_layer()
    certificate = ex.certify(attention, conv, size=size)
    setting = setting_of(attention, size)
    apart = [models._smoothed(setting, head, joint=False) for head in range(49)]
    sizes = attention.heads().matrices().abs().sum((1, 3)).double()
    together = models.of_separable(setting).lost
    assert min(t - a for t, a in zip(together, apart, strict=True)) > 0
    lost = (torch.tensor(together, dtype=torch.float64) @ sizes).detach()
    assert (certificate.layer_rounding >= lost).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_digits_are_those_of_fused(dtype: torch.dtype) -> None:
    random = Random(0)
    for seed in range(10):
        case = choose_case(RandomChooser(Random(seed)))
        attention = ex.attention_from_conv(
            case.conv(dtype), alpha=random.choice([0.3, 3.7, 18.1]), strategy="fused"
        )
        setting = setting_of(attention, case.size)
        query, key = fused._positional_factors(
            attention.heads(), setting.grid, 0, None, dtype
        )
        count = fused.factors_of(setting.grid, dtype)
        assert query.shape[-1] == key.shape[-1] == count
        wide = compute_dtype(dtype)
        scores = query.to(wide).double() @ key.to(wide).double().mT
        (alpha,) = (
            fused.digits(attention.alpha[:1].double(), bits=8, count=1)
            if dtype == torch.bfloat16
            else (attention.alpha[:1].double(),)
        )
        axes = setting.axes(0)
        reach = sum((axis.tokens + axis.outside + 2) ** 2 for axis in axes)
        tokens = [range(n) for n in setting.grid.canvas_size]
        places, targets = (
            torch
            .cartesian_prod(*(torch.tensor(list(p)) for p in points))
            .reshape(-1, len(tokens))
            .double()
            for points in (tokens, setting.grid.queries)
        )
        targets = targets + attention.centers[0].double()
        gaps = (places[None] - targets[:, None]).square().sum(-1)
        off = (scores + alpha * gaps).abs().max().item()
        unit = torch.finfo(torch.float64).eps * 40
        allowed = fused.left_out_of_scores(dtype) + unit
        assert off <= allowed * alpha.item() * reach


def test_digits_that_are_left_out() -> None:
    """One bit fewer, and the same numbers lose more than is said."""
    for bits, levels in ((8, 3), (11, 3)):
        generator = torch.Generator().manual_seed(bits)
        values = torch.rand(2, 4000, generator=generator, dtype=torch.float64) + 0.5
        one, two = (
            torch.stack(fused.digits(v, bits=bits, count=levels)) for v in values
        )
        kept = sum(
            one[i] * two[j]
            for i in range(levels)
            for j in range(levels)
            if i + j < levels
        )
        off = ((kept - values[0] * values[1]) / (values[0] * values[1])).abs().max()
        assert off <= left_out(bits=bits, levels=levels)
        assert off > left_out(bits=bits + 2, levels=levels)


@pytest.mark.parametrize("strategy", ["dense", "separable", "fused"])
def test_a_bound_for_every_size_covers_small_ones(strategy: str) -> None:
    """One pixel, two pixels: sums over few tokens are not simply smaller."""
    for alpha in (0.01, 0.4, 2.0):
        for stride in (1, 2, 3):
            case = replace(BASE_1D, stride=stride, padding=2, padding_mode="zeros")
            conv = case.conv(torch.float32)
            attention = ex.attention_from_conv(conv, alpha=alpha, strategy=strategy)
            with torch.no_grad():
                attention.centers.add_(0.3)
            every = [
                models.MODELS[strategy](setting_of(attention, (n,), smaller_too=n > 99))
                for n in (*range(1, 12), 400)
            ]
            for counts in every[:-1]:
                assert counts.casts <= every[-1].casts
                assert counts.terms <= every[-1].terms
                for small, large in zip(counts.lost, every[-1].lost, strict=True):
                    assert small <= large


def test_errors_follow_each_other() -> None:
    assert models.Lost(1.0).then(1.0).total == pytest.approx(3.0)


@pytest.mark.parametrize("seed", range(3))
def test_grouped_layers_are_asked_alike(seed: int) -> None:
    target = random_target(f"grouped/{seed}", torch.bfloat16, "separable")
    grid = Grid.of(target.attention.geometry, target.case.size)
    shared, *apart = plans(target.attention.heads(), grid)
    heads = sorted(h for step in shared for h in step.heads)
    assert heads == list(range(target.attention.num_heads))
    for plan in apart:
        assert sorted(h for s in plan for h in s.heads) == heads
