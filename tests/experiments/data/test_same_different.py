"""The task that needs content: what no sum over small windows can do."""

import math

import pytest
import torch
from torch import nn

from expressivity.experiments.data.same_different import (
    SIZE,
    WIDEST_WINDOW,
    same_different,
)
from expressivity.experiments.studies.must_have_content import convolutional


def test_labels_say_whether_the_squares_are_of_one_kind() -> None:
    data = same_different()
    for part in (data.train, data.test):
        bright = (part.pixels == data.brightest).sum((1, 2, 3))
        dark = (part.pixels == 0).sum((1, 2, 3))
        assert torch.equal(bright + dark, torch.full_like(bright, 8))
        assert torch.equal(part.labels == 1, (bright == 8) | (dark == 8))
        assert part.labels.float().mean() == 0.5


def test_no_window_meets_both_squares() -> None:
    data = same_different()
    marked = (torch.cat([data.train.pixels, data.test.pixels]) != 1).float()
    columns = marked.amax((1, 2))
    left, right = columns[:, : SIZE[1] // 2], columns[:, SIZE[1] // 2 :]
    last = (left * torch.arange(SIZE[1] // 2)).amax(1)
    first = SIZE[1] // 2 + right.argmax(1)
    assert int((first - last).min()) + 1 > WIDEST_WINDOW


def test_all_four_pairs_stand_at_the_same_places_in_one_part() -> None:
    data = same_different()
    for part in (data.train, data.test):
        places = (part.pixels != 1).flatten(1).float()
        counts = torch.unique(places, dim=0, return_counts=True)[1]
        assert set(counts.tolist()) == {4}


@pytest.mark.parametrize("seed", range(5))
def test_no_weights_get_a_sum_over_windows_below_the_loss_of_guessing(
    seed: int,
) -> None:
    """Whatever the weights are, large ones and trained ones too."""
    data = same_different()
    torch.manual_seed(seed)
    model = convolutional(data).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 2 * seed)
    inputs = data.inputs(data.test.pixels).double()
    loss = nn.functional.cross_entropy(model(inputs), data.test.labels)
    assert loss >= math.log(2) * (1 - 1e-12)


def test_a_wider_window_gets_below() -> None:
    """The control: the bound is of windows, not of the task."""
    data = same_different()
    inputs = data.inputs(data.train.pixels).double().flatten(1)
    kinds = torch.stack([inputs[:, :].clamp(max=0).sum(1), inputs.clamp(min=0).sum(1)])
    logit = (kinds.abs().amax(0) > 1.5 * kinds.abs().amin(0)).double()
    logits = torch.stack([-logit, logit], 1)
    loss = nn.functional.cross_entropy(logits, data.train.labels)
    assert loss < math.log(2)
