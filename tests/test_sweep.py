"""The error sweep against torch's convolution, literal loops and the full operator."""

import json
import math
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from expressivity.accuracy import saturation_alpha
from expressivity.conversion import attention_from_conv
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.sweep import ErrorSweep, error_sweep
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES
from tests.oracles import (
    brute_force_worst_case,
    exact_convolution,
    literal_conversion,
    output_scale,
)

CASES = [
    BASE,
    BASE_1D,
    BASE_3D,
    replace(BASE, stride=2, groups=2),
    replace(BASE, padding_mode="circular", bias=False),
    replace(BASE, padding_mode="replicate", padding=4),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_measured_is_the_largest_difference(case: Any) -> None:
    conv, x = case.conv(), case.input()
    sweep = error_sweep(conv, x, [1.0, 6.0])
    for alpha, measured in zip((1.0, 6.0), sweep.measured, strict=True):
        difference = literal_conversion(conv, alpha)(x) - exact_convolution(conv, x)
        assert measured == pytest.approx(float(difference.abs().max()), rel=1e-9)


def test_layer_is_measured_in_its_own_dtype() -> None:
    conv, x = BASE.conv(torch.float16), BASE.input(dtype=torch.float16)
    (measured,) = error_sweep(conv, x, [16.0]).measured
    with torch.no_grad():
        found = attention_from_conv(conv, alpha=16.0)(x)
    assert measured == float((found - exact_convolution(conv, x)).abs().max())
    assert measured > 1e-4


@pytest.mark.parametrize("case", CASES, ids=str)
def test_worst_case_is_the_norm_of_the_operator(case: Any) -> None:
    conv, x = case.conv(), 3 * case.input()
    sweep = error_sweep(conv, x, [0.7, 5.0])
    for alpha, measured, worst in zip(
        sweep.alphas, sweep.measured, sweep.worst_case, strict=True
    ):
        attention = attention_from_conv(conv, alpha=alpha)
        norm = brute_force_worst_case(attention, conv, case.in_channels, case.size)
        assert worst == pytest.approx(float(norm.max() * x.abs().max()), rel=1e-9)
        assert measured <= worst


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prediction_is_off_by_second_order(case: Any) -> None:
    sweep = error_sweep(case.conv(), case.input(), [6.0, 8.0, 10.0])
    for alpha, measured, predicted in zip(
        sweep.alphas, sweep.measured, sweep.predicted, strict=True
    ):
        assert measured == pytest.approx(predicted, rel=20 * math.exp(-alpha))


def test_error_falls_like_exp_minus_alpha() -> None:
    sweep = error_sweep(BASE.conv(), BASE.input(), [8.0, 10.0, 12.0])
    for errors in (sweep.measured, sweep.predicted, sweep.worst_case):
        slope = math.log(errors[2] / errors[0]) / 4
        assert slope == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_default_reaches_the_rounding_floor(dtype: torch.dtype) -> None:
    conv, x = BASE.conv(dtype), BASE.input(dtype=dtype)
    sweep = error_sweep(conv, x)
    floor = torch.finfo(dtype).eps / 2 * output_scale(conv, x)
    assert sweep.rounding_floor == pytest.approx(floor, rel=1e-12)
    assert sweep.dtype == str(dtype).removeprefix("torch.")
    assert len(sweep.alphas) == 30
    assert sweep.alphas[0] == 0.5
    top = 1.35 * saturation_alpha(dtype, axes=2)
    assert sweep.alphas[-1] == pytest.approx(top, rel=2 * torch.finfo(dtype).eps)
    assert sweep.measured[0] > 10 * floor
    assert max(sweep.measured[-5:]) < 5 * floor


def test_alphas_are_those_that_the_dtype_holds() -> None:
    conv, x = BASE.conv(torch.bfloat16), BASE.input(dtype=torch.bfloat16)
    (held,) = error_sweep(conv, x, [3.01]).alphas
    assert 3.01 <= held <= 3.01 * (1 + 2**-22)
    assert torch.tensor(held, dtype=torch.float32).item() == held


def test_arguments_are_left_untouched() -> None:
    conv, x = BASE.conv(), BASE.input()
    before, given = deepcopy(conv.state_dict()), x.clone()
    error_sweep(conv, x, [2.0])
    assert torch.equal(x, given)
    assert conv.weight.requires_grad
    for name, value in conv.state_dict().items():
        assert torch.equal(value, before[name])


def test_input_without_batch_axis() -> None:
    conv, x = BASE.conv(), BASE.input(batch=1)
    assert error_sweep(conv, x[0], [2.0]) == error_sweep(conv, x, [2.0])


def test_convolution_without_error() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate").double()
    sweep = error_sweep(conv, torch.zeros(1, 1, 4, 4).double(), [2.0])
    assert (sweep.measured, sweep.predicted) == ((0.0,), (0.0,))


def test_progress_sees_every_alpha() -> None:
    seen = []

    def watch(alphas: Iterable[float]) -> Iterable[float]:
        for alpha in alphas:
            seen.append(alpha)
            yield alpha

    sweep = error_sweep(BASE.conv(), BASE.input(), [4.0, 2.0], progress=watch)
    assert tuple(seen) == sweep.alphas == (4.0, 2.0)


def test_dictionary_survives_json() -> None:
    sweep = error_sweep(BASE.conv(), BASE.input(), iter([1.0, 2.0]))
    data = json.loads(json.dumps(sweep.to_dict()))
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    assert ErrorSweep(**tuples) == sweep


@pytest.mark.parametrize("alpha", [0, -1.0, math.nan, math.inf, "soft"])
def test_alpha_out_of_range(alpha: Any) -> None:
    with pytest.raises(ArgumentError, match="alpha needs a"):
        error_sweep(BASE.conv(), BASE.input(), [1.0, alpha])


def test_no_alpha() -> None:
    with pytest.raises(ArgumentError, match="at least one number"):
        error_sweep(BASE.conv(), BASE.input(), [])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(2, 3, 6, 5), "4 channels"),
        (torch.ones(6, 5), "4 channels"),
        (torch.ones(1, 2, 4, 6, 5), "4 channels"),
        (torch.ones(2, 4, 6, 5).half(), "dtype and device"),
        (torch.ones(2, 4, 6, 5).long(), "floating-point numbers"),
        (torch.ones(0, 4, 6, 5), "at least one image"),
        (torch.ones(2, 4, 0, 5), "at least 3 pixels"),
        (torch.full((1, 4, 6, 5), math.nan), "120 that are not finite among 120"),
    ],
)
def test_input_that_does_not_suit(x: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        error_sweep(BASE.conv(torch.float32), x, [1.0])


def test_module_that_is_no_convolution() -> None:
    linear: Any = nn.Linear(2, 2)
    with pytest.raises(UnsupportedModuleError, match=r"Conv2d .* is required"):
        error_sweep(linear, torch.ones(1, 2, 3, 3))
