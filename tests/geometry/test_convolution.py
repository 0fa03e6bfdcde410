"""Geometry against torch's own convolutions and paddings."""

import itertools
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from expressivity import ConvGeometry
from expressivity.errors import ArgumentError, InputError
from tests import oracles
from tests.cases import CASES, Case, cases

over_cases = pytest.mark.parametrize("case", CASES, ids=str)


@over_cases
def test_output_size_is_torchs(case: Case) -> None:
    conv, x = case.conv(), case.input()
    geometry = ConvGeometry.from_conv(conv)
    assert geometry.output_size(case.size) == conv(x).shape[2:]
    counts = tuple(len(points) for points in geometry.queries(case.size))
    assert counts == conv(x).shape[2:]


@over_cases
def test_padding_is_torchs(case: Case) -> None:
    conv = case.conv()
    assert list(ConvGeometry.from_conv(conv).padding) == oracles.paddings(conv)


@over_cases
def test_centers_are_the_taps_in_the_order_of_the_weight(case: Case) -> None:
    conv = case.conv()
    geometry = ConvGeometry.from_conv(conv)
    taps = torch.tensor(list(itertools.product(*map(range, conv.kernel_size))))
    expected = taps * torch.tensor(conv.dilation) - torch.tensor(geometry.anchor)
    assert torch.equal(geometry.centers(), expected)


@over_cases
def test_canvas_is_torchs_padding(case: Case) -> None:
    conv, x = case.conv(), case.input()
    geometry = ConvGeometry.from_conv(conv)
    canvas = geometry.canvas(x)
    assert canvas.shape[2:] == geometry.canvas_size(case.size)
    if case.padding_mode == "replicate":
        assert torch.equal(canvas, x)
        return
    widths = [w for pair in reversed(oracles.paddings(conv)) for w in pair]
    mode = "constant" if case.padding_mode == "zeros" else case.padding_mode
    assert torch.equal(canvas, functional.pad(x, widths, mode))


@over_cases
def test_source_says_what_each_token_is_a_copy_of(case: Case) -> None:
    geometry = ConvGeometry.from_conv(case.conv())
    for axis, pixels in enumerate(case.size):
        shape = [1] * (2 + len(case.size))
        shape[2 + axis] = pixels
        ramp = torch.arange(1, pixels + 1).reshape(shape).expand(1, 1, *case.size)
        canvas = geometry.canvas(ramp).amax([
            d for d in range(ramp.dim()) if d != axis + 2
        ])
        assert torch.equal(geometry.source(case.size, axis), canvas - 1)


@over_cases
def test_every_tap_aims_at_a_target(case: Case) -> None:
    geometry = ConvGeometry.from_conv(case.conv())
    centers = geometry.centers()
    queries, targets = geometry.queries(case.size), geometry.targets(case.size)
    for axis, (points, range_of_targets) in enumerate(
        zip(queries, targets, strict=True)
    ):
        reach = {q + c for q in points for c in centers[:, axis].tolist()}
        assert reach <= set(range_of_targets)


def test_replicate_targets_leave_the_canvas() -> None:
    geometry = ConvGeometry.create((3,), padding=2, padding_mode="replicate")
    assert geometry.canvas_size((4,)) == (4,)
    assert geometry.targets((4,)) == (range(-2, 6),)
    assert geometry.queries((4,)) == (range(-1, 5),)


@given(cases(), st.data())
def test_refuses_exactly_the_inputs_that_torch_refuses(
    case: Case, data: st.DataObject
) -> None:
    size = tuple(data.draw(st.integers(1, 6)) for _ in case.size)
    case = replace(case, size=size)
    conv, x = case.conv(), case.input()
    try:
        expected = conv(x).shape[2:]
    except RuntimeError:
        with pytest.raises(InputError, match="axis"):
            ConvGeometry.from_conv(conv).output_size(size)
    else:
        assert ConvGeometry.from_conv(conv).output_size(size) == expected


def test_is_frozen_hashable_and_compared_by_value() -> None:
    geometry = ConvGeometry.create((3, 2), stride=2)
    assert geometry == ConvGeometry.create([3, 2], stride=(2, 2))
    assert len({geometry, ConvGeometry.create((3, 2), stride=2)}) == 1
    with pytest.raises(FrozenInstanceError, match="stride"):
        geometry.stride = (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": ()}, "kernel_size needs one integer per axis, got \\(\\)"),
        ({"kernel_size": (1, 1, 1, 1)}, "1, 2 or 3 axes, got 4"),
        ({"kernel_size": 3}, "kernel_size needs one integer per axis, got 3"),
        ({"stride": (1, 1.5)}, "stride needs one integer per axis, or one for all"),
        ({"dilation": None}, "dilation needs one integer per axis, .* got None"),
        ({"kernel_size": (3, 0)}, "kernel_size needs 2 integers of at least 1"),
        ({"stride": 0}, "stride needs 2 integers"),
        ({"stride": (1, 1, 1)}, "stride needs 2 integers"),
        ({"dilation": (1, 0)}, "dilation needs 2 integers"),
        ({"padding": -1}, "padding needs 2 .* pairs of at least 0"),
        ({"padding": (1,)}, "padding needs 2 .* pairs"),
        ({"padding": "full"}, "'same' or 'valid', got 'full'"),
        ({"padding": "same", "stride": 2}, "'same' needs stride 1"),
        ({"padding_mode": "constant"}, "padding_mode needs one of .*'constant'"),
    ],
    ids=str,
)
def test_refuses_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ConvGeometry.create(**{"kernel_size": (3, 3)} | options)


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({}, (5,), "works over 2 axes, got a size of 1"),
        ({}, (5, 2), "axis 1: the padded input needs at least 3 pixels"),
        ({"padding": 3}, (5, 0), "axis 1: the padded input needs"),
        ({"dilation": 3}, (6, 9), "axis 0: the padded input needs at least 7"),
        (
            {"padding": 4, "padding_mode": "reflect"},
            (4, 5),
            "axis 0: reflect padding .* at most 3 wide",
        ),
        (
            {"padding": (1, 5), "padding_mode": "circular"},
            (4, 4),
            "axis 1: circular padding .* at most 4 wide",
        ),
    ],
    ids=str,
)
def test_refuses_inputs_that_do_not_fit(
    options: dict[str, object], size: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ConvGeometry.create((3, 3), **options).output_size(size)
