"""Four initialisers of one transformer, and the distance of its heads from shifts."""

import itertools

import pytest
import torch

from expressivity.experiments.vision_transformer import (
    VisionTransformer,
    distance_from_shifts,
    shift_matrix,
)
from expressivity.stock import attention_maps, encoder_blocks
from expressivity.training.initialisers import INITIALISERS

CANVAS = (4, 5)


def transformer(name: str, seed: int = 0) -> VisionTransformer:
    torch.manual_seed(seed)
    model = VisionTransformer(
        heads=9, layers=2, patch=2, canvas=CANVAS, channels=1, classes=3
    )
    INITIALISERS[name](model, size=CANVAS)
    return model


def distances(name: str) -> torch.Tensor:
    images = torch.randn(3, 1, 8, 10)
    maps = attention_maps(transformer(name), images)
    return torch.stack([distance_from_shifts(each, CANVAS) for each in maps])


@pytest.mark.parametrize("name", INITIALISERS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_transformer_runs_and_is_trained(name: str, count: int) -> None:
    model = transformer(name)
    logits = model(torch.randn(count, 1, 8, 10))
    assert logits.shape == (count, 3)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", INITIALISERS)
def test_blocks_differ_and_follow_the_seed(name: str) -> None:
    first, second = encoder_blocks(transformer(name))
    assert not torch.equal(first.value, second.value)
    again = encoder_blocks(transformer(name))[0]
    assert torch.equal(again.query, first.query)
    assert not torch.equal(encoder_blocks(transformer(name, 1))[0].value, first.value)


def test_the_bound_of_shifts_holds_and_others_are_further() -> None:
    exact = distances("shifts")
    assert exact.max() < 0.15  # stated for α = 4
    for name in ("default", "mimetic", "structured"):
        assert distances(name).mean() > 2 * exact.mean()


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (-1, 0)])
def test_a_shift_is_at_distance_0_and_the_mean_far(shift: tuple[int, int]) -> None:
    aimed = shift_matrix(CANVAS, shift)
    for query, key in itertools.product(range(20), repeat=2):
        row, column = (query // 5 + shift[0], query % 5 + shift[1])
        inside = 0 <= row < 4 and 0 <= column < 5
        assert aimed[query, key] == (inside and key == 5 * row + column)
    maps = aimed.clone()
    maps[aimed.sum(1) == 0] = 1 / 20  # anything, where the shift leads out
    found = distance_from_shifts(maps.expand(2, 3, 20, 20), CANVAS)
    assert found.abs().max() < 1e-12
    mean = torch.full((1, 1, 20, 20), 1 / 20)
    assert distance_from_shifts(mean, CANVAS).item() == pytest.approx(19 / 20)
