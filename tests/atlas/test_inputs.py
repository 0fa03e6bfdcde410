"""Inputs of witnesses: of all that are allowed, those that move an output most."""

from itertools import combinations, product

import pytest
import torch
from torch import nn

from expressivity.atlas.inputs import (
    at,
    changed,
    exchanged,
    middle,
    output_weights,
    pixel_of,
    places,
    summed_most,
    zeros,
)
from expressivity.errors import ArgumentError

SIZE = (4, 3)


def conv(**options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(2, 3, 3, **({"padding": 1} | options)).double()


def swap(convolution: nn.Module = None, **options: object):
    return exchanged(
        convolution or conv(),
        SIZE,
        kind="swap",
        symmetry="",
        make=lambda restored: nn.Identity(),
        **options,
    )


def gap(convolution: nn.Conv2d, query: tuple, first: tuple, second: tuple) -> float:
    weights = output_weights(convolution, SIZE, query)
    return float((at(weights, first) - at(weights, second)).abs().sum(1).max())


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding_mode": "circular"}])
def test_weights_are_the_responses_to_single_pixels(options: dict) -> None:
    convolution = conv(**options)
    silence = convolution(zeros(convolution, SIZE, images=1))
    for query in places(silence.shape[2:]):
        weights = output_weights(convolution, SIZE, query)
        for channel, place in product(range(2), places(SIZE)):
            x = zeros(convolution, SIZE, images=1)
            at(x, place)[0, channel] = 1
            response = at(convolution(x) - silence, query)[0]
            torch.testing.assert_close(at(weights, place)[:, channel], response)


def test_of_all_pairs_the_one_with_the_largest_gap() -> None:
    convolution, query = conv(), middle(conv(), SIZE)
    witness = swap(convolution)
    others = [p for p in places(SIZE) if p != pixel_of(convolution, query)]
    largest = max(gap(convolution, query, *pair) for pair in combinations(others, 2))
    assert witness.bound == pytest.approx(largest)
    assert witness.query == (query, query)
    first, second = witness.inputs
    assert first.equal(-second)
    moved = first.any(0).nonzero().tolist()
    assert len(moved) == 2
    assert at(first, tuple(moved[0])).equal(at(second, tuple(moved[1])))


def test_only_pairs_that_are_alike_are_exchanged() -> None:
    def beside(query: tuple, first: tuple, second: tuple) -> bool:
        return first[0] == second[0] == query[0]

    witness = swap(alike=beside)
    (row,) = {place[0] for place in witness.inputs[0].any(0).nonzero().tolist()}
    assert row == middle(conv(), SIZE)[0]
    with pytest.raises(ArgumentError, match="and the family does not"):
        swap(alike=lambda query, first, second: False)


def test_of_several_outputs_the_one_that_moves_most() -> None:
    convolution = conv()
    corners = [(0, 0), (3, 2)]
    alone = [swap(convolution, queries=[corner]).bound for corner in corners]
    both = swap(convolution, queries=corners)
    assert both.bound == pytest.approx(max(alone))
    assert both.query[0] == corners[alone.index(max(alone))]


def test_a_single_pixel_changes_its_sign() -> None:
    convolution, query = conv(), (1, 1)
    unseen = [(place,) for place in places(SIZE) if place[1] == 2]
    inputs, chosen = changed(convolution, SIZE, [(query, unseen)])
    assert chosen == query
    assert inputs[0].equal(-inputs[1])
    (pixel,) = inputs[0].any(0).nonzero().tolist()
    weights = output_weights(convolution, SIZE, query)
    largest = max(float(at(weights, p).abs().sum(1).max()) for (p,) in unseen)
    moved = (convolution(inputs[:1]) - convolution(inputs[1:])).abs()[0, :, 1, 1].max()
    assert pixel[1] == 2
    assert moved.item() == pytest.approx(2 * largest)


def test_nothing_to_change_leaves_black_images() -> None:
    inputs, _ = changed(conv(), SIZE, [((0, 0), [((3, 2),)])])  # out of its reach
    assert not inputs.any()


def test_the_pixel_that_is_added_up_most_is_beside_the_query() -> None:
    convolution, query = conv(), (1, 1)
    sums = output_weights(convolution, SIZE, query).sum(1).abs().amax(0)
    sums[query] = 0
    assert summed_most(convolution, SIZE, query) == tuple(
        torch.unravel_index(sums.argmax(), sums.shape)
    )
