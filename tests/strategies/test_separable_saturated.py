"""Heads that leak less than rounding are a convolution and nothing else."""

from dataclasses import replace
from math import exp, expm1, fsum, log1p, prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, func, nn

import expressivity as ex
from expressivity.attention import explain
from expressivity.convolutions import FUNCTIONS
from tests import laws
from tests.cases import BASE, BASE_1D, BASE_3D, CASES, DTYPES, Case, cases

one_of_each = pytest.mark.parametrize("case", [BASE_1D, BASE, BASE_3D], ids=str)
per_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def leak_of(alpha: float, center: list[float]) -> float:
    """Return the probability off the pixel nearest to a target, by direct sums."""
    logs = []
    for position in center:
        f = position - round(position)
        terms = (exp(-alpha * (n * n - 2 * n * f)) for n in range(-40, 41) if n)
        logs.append(log1p(fsum(terms)))
    return -expm1(-fsum(logs))


def what_runs(layer: nn.Module, x: Tensor) -> list[str]:
    return list(explain(layer, x).details)


@one_of_each
@per_dtype
class TestDefaultAlpha:
    def test_is_said_to_be_saturated_with_its_leak(
        self, case: Case, dtype: torch.dtype
    ) -> None:
        layer = ex.attention_from_conv(case.conv(dtype))
        leak = leak_of(layer.alpha[0].item(), [0.0] * len(case.size))
        assert leak <= torch.finfo(dtype).eps / 2
        (line,) = what_runs(layer, case.input(dtype=dtype))
        assert line == (
            f"{prod(case.kernel_size)} heads saturated: {leak:.2g} of the attention is "
            f"off its pixel, below the rounding of {str(dtype)[6:]}: no smoothing is "
            "needed until alpha or centers change"
        )

    @pytest.mark.parametrize("bias", [True, False])
    def test_gives_alpha_and_centers_derivatives_of_zero(
        self, case: Case, dtype: torch.dtype, bias: bool
    ) -> None:
        layer = ex.attention_from_conv(replace(case, bias=bias).conv(dtype))
        layer.requires_grad_()
        x = case.input(dtype=dtype).requires_grad_()
        layer(x).square().sum().backward()
        for placement in (layer.alpha, layer.centers):
            assert placement.grad is not None
            assert torch.equal(placement.grad, torch.zeros_like(placement))
        assert x.grad.any()
        assert layer.output_weight.grad.any()

    def test_just_below_the_heads_are_smoothed(
        self, case: Case, dtype: torch.dtype
    ) -> None:
        limit = ex.accuracy.saturation_alpha(dtype, axes=len(case.size))
        layer = ex.attention_from_conv(case.conv(dtype))
        with torch.no_grad():
            layer.alpha.fill_(
                limit * (1 - max(torch.finfo(layer.alpha.dtype).eps, 1e-9))
            )
        assert layer.alpha.double().max() < limit
        x = case.input(dtype=dtype)
        with torch.no_grad():
            (line,) = what_runs(layer, x)
        assert "smoothed" in line
        assert "saturated" not in line
        layer.requires_grad_()(x).square().sum().backward()
        assert layer.alpha.grad.any()


ONE_TAP = [case for case in CASES if prod(case.kernel_size) == 1]
TAPS = [case for case in CASES if case.padding_mode == "zeros" and case not in ONE_TAP]


@pytest.mark.parametrize("case", TAPS, ids=str)
@per_dtype
def test_output_is_the_convolution_bit_by_bit(case: Case, dtype: torch.dtype) -> None:
    conv, x = case.conv(dtype), case.input(dtype=dtype)
    layer = ex.attention_from_conv(conv)
    assert torch.equal(layer(x), conv(x))
    with torch.no_grad():
        assert torch.equal(layer(x), conv(x))


@pytest.mark.parametrize("case", ONE_TAP, ids=str)
@per_dtype
def test_one_tap_is_the_convolution_but_for_the_order_of_sums(
    case: Case, dtype: torch.dtype
) -> None:
    conv = case.conv(dtype)
    layer = ex.attention_from_conv(conv)
    alpha = layer.alpha[0].item()
    laws.assert_equals_convolution(layer, conv, case.input(dtype=dtype), alpha=alpha)


def test_one_convolution_serves_all_strengths_and_small_shifts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv, x = BASE.conv(), BASE.input()
    layer = ex.attention_from_conv(conv)
    with torch.no_grad():
        layer.alpha.uniform_(60, 400)
        layer.centers.add_(torch.empty_like(layer.centers).uniform_(-0.1, 0.1))
        leaks = [
            leak_of(alpha, center)
            for alpha, center in zip(
                layer.alpha.tolist(), layer.centers.tolist(), strict=True
            )
        ]
    (line,) = what_runs(layer, x)
    assert line.startswith(f"6 heads saturated: {max(leaks):.2g} of the attention")
    calls, convolve = [], FUNCTIONS[2]

    def counted(*arguments: Any, **options: Any) -> Tensor:
        calls.append(arguments)
        return convolve(*arguments, **options)

    monkeypatch.setitem(FUNCTIONS, 2, counted)
    assert torch.equal(layer(x), conv(x))
    assert len(calls) == 1


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("saturated", [[0], [0, 3], [1, 2, 4, 5]], ids=str)
def test_soft_heads_beside_saturated_ones_keep_their_derivatives(
    saturated: list[int], bias: bool
) -> None:
    layer = ex.attention_from_conv(replace(BASE, bias=bias).conv(), alpha=0.8)
    with torch.no_grad():
        layer.alpha[saturated] = 60.0
    laws.assert_strategies_agree(layer, BASE.input())
    layer(BASE.input()).square().sum().backward()
    soft = [head for head in range(6) if head not in saturated]
    for gradient in (layer.alpha.grad, layer.centers.grad):
        assert not gradient[saturated].any()
        assert gradient[soft].any()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@one_of_each
def test_forward_derivatives_are_zero_as_well(case: Case) -> None:
    layer, x = ex.attention_from_conv(case.conv()), case.input()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def of_placement(alpha: Tensor, centers: Tensor) -> Tensor:
        placed = parameters | {"alpha": alpha, "centers": centers}
        return func.functional_call(layer, placed, (x,))

    placement = (parameters["alpha"], parameters["centers"])
    _, found = func.jvp(of_placement, placement, tuple(map(torch.ones_like, placement)))
    assert torch.equal(found, torch.zeros_like(layer(x)))


@st.composite
def aimed_anywhere(draw: Any) -> tuple[Case, nn.Module]:
    """Return a layer whose saturated heads look anywhere, and its case.

    In no order, on the canvas, on its zeros and far off it, near pixels or on them.
    """
    case = draw(cases())
    heads, axes = draw(st.integers(1, 4)), len(case.size)
    layer = ex.RelativeSelfAttention(
        case.in_channels,
        case.out_channels,
        ex.ConvGeometry.from_conv(case.conv()),
        num_heads=heads,
        head_dim=draw(st.sampled_from([None, 1])),
        groups=case.groups,
        bias=case.bias,
        dtype=torch.float64,
    )
    reach = draw(st.sampled_from([1, 3, 12]))
    spots = st.integers(-reach, reach)
    centers = draw(st.lists(st.tuples(*[spots] * axes), min_size=heads, max_size=heads))
    shift = draw(st.sampled_from([0.0, 0.02]))
    with torch.no_grad():
        layer.centers.copy_(torch.tensor(centers)).add_(shift)
        layer.alpha.copy_(torch.linspace(42, 90, heads))
    return case, layer


@given(aimed_anywhere())
def test_any_aim_is_what_dense_computes(aimed: tuple[Case, nn.Module]) -> None:
    case, layer = aimed
    assert all("saturated" in line for line in what_runs(layer, case.input()))
    laws.assert_strategies_agree(layer, case.input())


@given(aimed_anywhere(), st.floats(0.0, 0.05), st.floats(19, 24))
def test_any_aim_in_float32_is_off_by_no_more_than_its_leak(
    aimed: tuple[Case, nn.Module], shift: float, alpha: float
) -> None:
    case, layer = aimed
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.centers.round_().add_(shift)
        narrow, x = layer.float(), case.input(dtype=torch.float32)
        saturated = all("saturated" in line for line in what_runs(narrow, x))
        found = laws.with_strategy(narrow, "separable")(x).double()
        wide = laws.with_strategy(narrow, "dense").double()
        expected = wide(x.double())
    leaks = [
        leak_of(strength, center)
        for strength, center in zip(
            wide.alpha.tolist(), wide.centers.tolist(), strict=True
        )
    ]
    eps = torch.finfo(torch.float32).eps
    if saturated:
        assert max(leaks) <= eps / 2
    norms = wide.heads().matrices().detach().abs().sum(-1).flatten(1)
    # One rounding a channel, head and projection, and a few.
    terms = case.in_channels * len(leaks) + 16
    limit = 2 * torch.tensor(leaks, dtype=torch.float64) @ norms
    limit = (limit + terms * eps * norms.sum(0)) * float(x.abs().max())
    if wide.bias is not None:
        limit += terms * eps * wide.bias.detach().abs()
    error = (found - expected).abs().flatten(2).amax(2)
    assert (error <= limit).all(), (error / limit).max()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("low", range(-9, 10))
def test_one_tap_and_two_read_zeros_pixels_and_what_is_nearest(
    low: int, stride: int
) -> None:
    """Every way to read: as it lies, cropped, with zeros, off the canvas."""
    geometry = ex.ConvGeometry.create((3,), stride=stride, padding=2)
    x = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(1, 1, 6)
    canvas = [0.0, 0.0, *range(1, 7), 0.0, 0.0]
    queries = geometry.queries((6,))[0]
    for centers in ([low], [low, low + 2]):
        layer = ex.RelativeSelfAttention(
            1, 1, geometry, num_heads=len(centers), bias=False, dtype=torch.float64
        )
        with torch.no_grad():
            layer.alpha.fill_(60)
            layer.centers.copy_(torch.tensor(centers)[:, None])
            layer.output_weight.fill_(1)
            found = layer(x).flatten().tolist()
        expected = [
            sum(canvas[min(max(q + c, 0), 9)] for c in centers) for q in queries
        ]
        assert found == expected
