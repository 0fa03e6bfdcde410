"""The measured half of every claim."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from expressivity.comparison import compare
from expressivity.errors import InputError

X = torch.tensor([[1.0, -4.0]])


class Returns(nn.Module):
    """Returns what a function makes of the input."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def apart(
    first: Callable[[Tensor], Any], second: Callable[[Tensor], Any], *inputs: Tensor
) -> tuple[float, float]:
    difference = compare(Returns(first), Returns(second), inputs or [X])
    return difference.largest, difference.scale


def test_largest_difference_and_scale_of_the_first() -> None:
    assert apart(lambda x: x, lambda x: 3 * x) == (8.0, 4.0)
    assert apart(lambda x: 3 * x, lambda x: x) == (8.0, 12.0)
    assert apart(lambda x: x, lambda x: -x, X, 2 * X, 0.5 * X) == (16.0, 8.0)


def test_relative_difference() -> None:
    def relative(first: float, second: float) -> float:
        return compare(
            Returns(lambda x: first * x), Returns(lambda x: second * x), [X]
        ).relative

    assert relative(2, 3) == 0.5
    assert relative(0, 0) == 0
    assert relative(0, 1) == math.inf


def test_all_tensors_of_a_nested_output_are_compared() -> None:
    def nested(gain: float) -> Callable[[Tensor], Any]:
        return lambda x: {"a": (x, [x, gain * x]), "b": "text", "c": None}

    assert apart(nested(1), nested(1)) == (0.0, 4.0)
    assert apart(nested(1), nested(2)) == (4.0, 4.0)


def test_runs_without_gradients() -> None:
    modes = []
    watching = Returns(lambda x: modes.append(torch.is_grad_enabled()) or x)
    compare(watching, watching, [X.clone().requires_grad_()])
    assert modes == [False, False]


def test_modules_that_change_their_input_see_the_same_one() -> None:
    assert apart(lambda x: x.mul_(2), lambda x: x.mul_(2)) == (0.0, 8.0)
    assert apart(lambda x: x, lambda x: x.mul_(2)) == (4.0, 4.0)


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_only_where_it_differs(strange: float) -> None:
    def mixed(x: Tensor) -> Tensor:
        return torch.cat([x, torch.full_like(x, strange)])

    assert apart(mixed, mixed) == (0.0, 4.0)
    assert apart(lambda x: torch.cat([x, x]), mixed)[0] == math.inf
    assert apart(mixed, lambda x: torch.cat([x, x])) == (math.inf, 4.0)


def test_opposite_infinities_differ() -> None:
    assert apart(lambda x: x + math.inf, lambda x: x - math.inf) == (math.inf, 0.0)


def test_differences_of_half_precision_are_not_rounded() -> None:
    big = torch.tensor([1000.0])
    found, _ = apart(lambda x: big.half(), lambda x: big.double() + 1e-6)
    assert found == pytest.approx(1e-6, rel=1e-6)


def test_empty_batches_are_equal() -> None:
    assert apart(lambda x: x, lambda x: x, X[:0]) == (0.0, 0.0)


@pytest.mark.parametrize(
    "other",
    [lambda x: x[:, :1], lambda x: x.T, lambda x: (x, x), lambda x: "text"],
    ids=["size", "transposed", "number of tensors", "no tensor"],
)
def test_refuses_outputs_of_other_shapes(other: Callable[[Tensor], Any]) -> None:
    with pytest.raises(InputError, match="outputs of different shapes"):
        apart(lambda x: x, other)


def test_refuses_to_compare_nothing() -> None:
    with pytest.raises(InputError, match="nothing was compared"):
        apart(lambda x: "text", lambda x: "text")
    with pytest.raises(InputError, match="nothing was compared"):
        compare(nn.Identity(), nn.Identity(), [])
