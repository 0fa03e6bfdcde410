"""Position buckets: alone up to seven, shared from eight on."""

import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.layers.t5 import bucket
from expressivity.errors import ArgumentError
from tests.atlas.evidence import (
    assert_cannot,
    assert_computes,
    assert_error_falls,
    relative_error,
)

T5 = FAMILIES["t5"]
CONVOLUTIONS = [
    (nn.Conv1d(2, 3, 3, padding=1), (5,)),
    (nn.Conv1d(3, 1, 15, padding=7), (6,)),
    (nn.Conv1d(1, 2, 3, padding=7, dilation=7, bias=False), (9,)),
    (nn.Conv1d(2, 4, 5, padding=2, stride=2, groups=2), (7,)),
    (nn.Conv1d(2, 3, 4), (6,)),
    (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (6,)),
]


def far(**options: object) -> nn.Conv1d:
    torch.manual_seed(0)
    options = {"kernel_size": 3, "dilation": 8, "padding": 8} | options
    return nn.Conv1d(2, 3, **options).double()


def literal(displacement: int) -> int:
    """Return the bucket by the paper's logarithm, in floats."""
    side, distance = (16 if displacement > 0 else 0), abs(displacement)
    if distance < 8:
        return side + distance
    steps = math.log(distance / 8) / math.log(128 / 8) * 8
    return side + min(8 + math.floor(steps + 1e-12), 15)


def test_buckets() -> None:
    shifts = range(-300, 301)
    numbers = [bucket(d) for d in shifts]
    assert numbers == [literal(d) for d in shifts]
    alone = [d for d in shifts if numbers.count(bucket(d)) == 1]
    assert alone == list(range(-7, 8))
    first = [d for d in range(1, 200) if bucket(-d) != bucket(1 - d)]
    assert first == [*range(1, 9), 12, 16, 23, 32, 46, 64, 91]


@pytest.mark.parametrize(("conv", "size"), CONVOLUTIONS, ids=str)
def test_computes(conv: nn.Module, size: tuple[int, ...]) -> None:
    assert_computes(T5, conv, size)
    assert_error_falls(T5, conv, size, (8, 10, 12), rate=1)


def test_in_float32() -> None:
    conv, size = CONVOLUTIONS[0]
    assert relative_error(T5.construct(conv, size), conv, size) < 1e-6


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"kernel_size": 17, "dilation": 1}, 11),
        ({"kernel_size": 9, "dilation": 2, "stride": 2}, 12),
    ],
    ids=str,
)
def test_beyond_seven_buckets_are_shared(options: dict[str, int], size: int) -> None:
    witness = T5.refute(far(**options), (size,))
    assert witness.kind == "bucket"
    assert_cannot(witness, settings=20)


def test_three_hundred_settings() -> None:
    witness = T5.refute(far(), (10,))
    assert_cannot(witness)


def test_exceptions() -> None:
    """Taps that are alike within a bucket, and inputs too short for two of one."""
    alike = far(kernel_size=23, dilation=1, padding=11)
    with torch.no_grad():
        alike.weight[..., :4] = alike.weight[..., :1]
        alike.weight[..., -4:] = alike.weight[..., -1:]
    with pytest.raises(ArgumentError, match="weighs differently"):
        T5.refute(alike, (12,))
    with pytest.raises(ArgumentError, match="weighs differently"):
        T5.refute(far(), (9,))
    with pytest.raises(ArgumentError, match="weighs differently"):
        T5.refute(far(kernel_size=15, dilation=1, padding=7), (8,))


def test_what_it_does_not_take() -> None:
    with pytest.raises(ArgumentError, match="a reach of 7 tokens, not 8"):
        T5.construct(far(), (12,))
    for attempt in (T5.construct, T5.refute):
        with pytest.raises(ArgumentError, match="needs one axis"):
            attempt(nn.Conv2d(1, 1, 3, padding=1), (4, 4))
    with pytest.raises(ArgumentError, match="zero, reflect or circular padding"):
        T5.construct(nn.Conv1d(1, 1, 3, padding=1, padding_mode="replicate"), (4,))
    with pytest.raises(ArgumentError, match="zero padding"):
        T5.refute(far(padding_mode="circular"), (12,))


def test_a_witness_that_is_wrong_is_found_out() -> None:
    """The attack must be able to fail: these two are in different buckets."""
    honest = T5.refute(far(), (12,))
    inputs = torch.zeros_like(honest.inputs)
    inputs[0, :, 8], inputs[1, :, 7] = 1, 1
    wrong = Witness.of(
        far(),
        inputs,
        ((0,), (0,)),
        kind="bucket",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound
