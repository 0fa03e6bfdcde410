"""Worst cases against brute force and high precision; α from a tolerance."""

from dataclasses import replace
from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import expressivity as ex
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.heads.leak import SMALLEST_ALPHA
from tests import laws, oracles
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES, MODES, Case, cases

one_of_each = pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)


def decimal_row_norms(conv: nn.Conv1d, alpha: float, pixels: int) -> list[float]:
    """Return the ℓ₁ norms of all rows of a zero-padded Conv1d of one channel."""
    pad, taps = conv.padding[0], conv.kernel_size[0]
    weights = [Decimal(w) for w in conv.weight.detach().double().flatten().tolist()]
    with localcontext() as context:
        context.prec = 30 + round(alpha)  # e^−α and 30 digits more
        tokens = range(pixels + 2 * pad)
        norms = []
        for first in range(len(tokens) - taps + 1):
            row = [Decimal(0)] * len(tokens)
            for target, weight in enumerate(weights, start=first):
                scores = [(-Decimal(alpha) * (k - target) ** 2).exp() for k in tokens]
                for k, score in enumerate(scores):
                    row[k] += weight * (score / sum(scores) - (k == target))
            norms.append(float(sum(map(abs, row[pad : pad + pixels]))))
        return norms


@pytest.mark.parametrize("alpha", [0.05, 3.0, 40.0, 200.0, 600.0])
def test_worst_case_keeps_all_digits_of_any_leak(alpha: float) -> None:
    conv = replace(BASE_1D, in_channels=1, out_channels=1).conv()
    worst = ex.worst_case_error(conv, alpha=alpha, size=(7,)).item()
    expected = max(decimal_row_norms(conv, alpha, 7))
    assert worst == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("size", [(40,), (21, 4)], ids=str)
def test_one_interior_row_stands_for_all(
    size: tuple[int, ...], stride: int, mode: str
) -> None:
    case = Case(
        kernel_size=(3, 2)[: len(size)],
        size=size,
        in_channels=1,
        out_channels=2,
        stride=stride,
        padding=2,
        padding_mode=mode,
    )
    # Hard enough for a band of attention that is narrower than the canvas.
    laws.assert_worst_case_is_exact(case.conv(), size, alpha=3.0)


@given(cases(), st.integers(0, 2**20))
def test_conversion_error_is_the_brute_force_operators(case: Case, seed: int) -> None:
    conv = case.conv()
    attention = ex.attention_from_conv(conv, head_dim=1)
    scatter(attention, seed)
    error = ex.worst_case_error(attention, conv, size=case.size)
    truth = oracles.brute_force_worst_case(attention, conv, case.in_channels, case.size)
    if conv.bias is not None:
        truth += (attention.bias - conv.bias).abs().detach()
    atol = 1e-13 * (1 + laws.weight_norms(conv).max().item())
    torch.testing.assert_close(error, truth, rtol=1e-12, atol=atol)
    bound = ex.worst_case_error(attention, conv)
    assert (error <= bound * (1 + 1e-12)).all()


def scatter(attention: ex.RelativeSelfAttention, seed: int) -> None:
    """Move every parameter a little, and the attention of every head a lot."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    with torch.no_grad():
        attention.alpha.copy_((1.5 * normal(attention.alpha)).exp())
        attention.centers.add_(normal(attention.centers))
        for name in ("value_weight", "output_weight", "bias"):
            parameter = getattr(attention, name)
            if parameter is not None:
                parameter.add_(0.1 * normal(parameter))


def test_conversion_error_of_an_untouched_layer_is_the_worst_case() -> None:
    conv = BASE.conv()
    attention = ex.attention_from_conv(conv, alpha=2.0)
    for size in (None, BASE.size):
        torch.testing.assert_close(
            ex.worst_case_error(attention, conv, size=size),
            ex.worst_case_error(conv, alpha=2.0, size=size),
            rtol=1e-13,
            atol=0,
        )


@pytest.mark.parametrize("change", ["stride", "padding", "padding_mode", "groups"])
def test_conversion_error_needs_the_same_convolution(change: str) -> None:
    other = {"stride": 2, "padding": 2, "padding_mode": "circular", "groups": 2}
    conv = replace(BASE, **{change: other[change]}).conv()
    with pytest.raises(ArgumentError, match="same geometry and channels"):
        ex.worst_case_error(ex.attention_from_conv(BASE.conv()), conv)


def test_what_a_sum_of_heads_loses_is_part_of_the_bound() -> None:
    """1 + 1e−17 is computed as 1, and so seems to be what the convolution has."""
    conv = nn.Conv1d(1, 1, 1, bias=False).double()
    layer = ex.RelativeSelfAttention(
        1, 1, ex.ConvGeometry.from_conv(conv), num_heads=2, bias=False
    ).double()
    with torch.no_grad():
        conv.weight.fill_(1.0)
        layer.alpha.fill_(700.0)
        layer.centers.zero_()
        layer.output_weight.copy_(
            torch.tensor([1.0, 1e-17]).expand_as(layer.output_weight)
        )
    for size in (None, (3,)):
        assert float(ex.worst_case_error(layer, conv, size=size)) >= 1e-17


def test_any_size_bound_is_attained_by_one_tap() -> None:
    conv = Case(kernel_size=(1, 1), padding=0).conv()
    bound = ex.worst_case_error(conv, alpha=2.0)
    worst = ex.worst_case_error(conv, alpha=2.0, size=(30, 30))
    torch.testing.assert_close(worst, bound, rtol=1e-9, atol=0)


@given(cases(), st.floats(1e-14, 1e3))
def test_alpha_for_is_the_smallest(case: Case, tolerance: float) -> None:
    conv = case.conv()
    alpha = ex.alpha_for(conv, tolerance=tolerance)
    assert ex.worst_case_error(conv, alpha=alpha).max() <= tolerance
    if alpha > SMALLEST_ALPHA:
        smaller = ex.worst_case_error(conv, alpha=alpha * (1 - 1e-6)).max()
        assert smaller > tolerance


@one_of_each
@pytest.mark.parametrize("tolerance", [1e-2, 1e-8, 1e-30])
def test_alpha_for_a_size_is_the_smallest_there(case: Case, tolerance: float) -> None:
    conv = case.conv()
    alpha = ex.alpha_for(conv, tolerance=tolerance, size=case.size)
    assert alpha <= ex.alpha_for(conv, tolerance=tolerance)
    kept, broken = (
        ex.worst_case_error(conv, alpha=factor * alpha, size=case.size).max()
        for factor in (1, 1 - 1e-5)
    )
    assert kept <= tolerance < broken


def test_alpha_for_anything_is_the_softest() -> None:
    conv = BASE.conv()
    assert ex.alpha_for(conv, tolerance=1e6) == SMALLEST_ALPHA
    nn.init.zeros_(conv.weight)
    assert ex.alpha_for(conv, tolerance=1e-300) == SMALLEST_ALPHA


@one_of_each
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bounds_are_computed_in_float64(case: Case, dtype: torch.dtype) -> None:
    conv = case.conv(dtype)
    wide = replace(case).conv()
    with torch.no_grad():
        wide.weight.copy_(conv.weight)
    for size in (None, case.size):
        found = ex.worst_case_error(conv, alpha=5.0, size=size)
        assert found.dtype == torch.float64
        assert torch.equal(found, ex.worst_case_error(wide, alpha=5.0, size=size))


@one_of_each
@pytest.mark.parametrize("mode", MODES)
def test_first_order_error_is_linear_in_the_input(case: Case, mode: str) -> None:
    case = replace(case, padding_mode=mode)
    conv, x = case.conv(), case.input()
    y = replace(case, seed=1).input()

    def predict(z: Tensor) -> Tensor:
        with torch.no_grad():
            return ex.accuracy.first_order_error(conv, z, alpha=4.0)

    torch.testing.assert_close(predict(2 * x - 3 * y), 2 * predict(x) - 3 * predict(y))
    if mode != "zeros":
        constant = torch.full_like(x, 3.0)
        assert predict(constant).abs().max() < laws.ROUNDING


@one_of_each
def test_judgements_record_no_gradients(case: Case) -> None:
    conv, x = case.conv(), case.input().requires_grad_()
    attention = ex.attention_from_conv(conv, alpha=2.0)
    certificate = ex.certify(attention, conv, size=case.size)
    judgements = {
        "first order": ex.accuracy.first_order_error(conv, x, alpha=2.0),
        "worst case": ex.worst_case_error(conv, alpha=2.0),
        "worst case of a size": ex.worst_case_error(conv, alpha=2.0, size=case.size),
        "conversion": ex.worst_case_error(attention, conv),
        "truncation": ex.accuracy.truncation_error(conv, 1),
        "bound": certificate.bound,
        "worst input": certificate.worst_input,
    }
    assert torch.is_grad_enabled()
    assert [name for name, of in judgements.items() if of.requires_grad] == []


@pytest.mark.parametrize(
    "value", [0, -1.0, float("nan"), float("inf"), "soft", None], ids=repr
)
def test_refuses_alpha_and_tolerance_out_of_range(value: object) -> None:
    conv = BASE.conv()
    with pytest.raises(ArgumentError, match="alpha needs a"):
        ex.worst_case_error(conv, alpha=value)
    with pytest.raises(ArgumentError, match="alpha needs a"):
        ex.accuracy.first_order_error(conv, BASE.input(), alpha=value)
    with pytest.raises(ArgumentError, match="tolerance needs a"):
        ex.alpha_for(conv, tolerance=value)


def test_refuses_sizes_that_do_not_fit() -> None:
    conv = BASE.conv()
    with pytest.raises(InputError, match="works over 2 axes"):
        ex.worst_case_error(conv, alpha=1.0, size=(5,))
    with pytest.raises(InputError, match="axis 1: the padded input needs"):
        ex.alpha_for(conv, tolerance=1e-3, size=(5, 0))


@pytest.mark.parametrize(
    ("conv", "alpha", "size"),
    [
        (nn.Conv1d(1, 1, 3), 20.0, (2**21,)),
        (nn.Conv2d(1, 1, 3), 20.0, (2**40, 4)),
        (nn.Conv1d(1, 1, 3), 1e-9, (10_000,)),  # every query sees every pixel
    ],
)
def test_refuses_sizes_that_nobody_waits_for(
    conv: nn.Module, alpha: float, size: tuple[int, ...]
) -> None:
    attention = ex.attention_from_conv(conv, alpha=alpha)
    for judge in (ex.worst_case_error, ex.certify):
        with pytest.raises(InputError, match=r"take a smaller size, or none"):
            judge(attention, conv, size=size)


def test_refuses_what_is_no_convolution() -> None:
    for refused in (
        lambda: ex.worst_case_error(nn.Linear(2, 2), alpha=1.0),
        lambda: ex.alpha_for(nn.ConvTranspose2d(2, 2, 3), tolerance=1.0),
        lambda: ex.accuracy.first_order_error(nn.Identity(), BASE.input(), alpha=1.0),
    ):
        with pytest.raises(UnsupportedModuleError, match=r"Conv1d|transposed"):
            refused()


@pytest.mark.parametrize(
    "case",
    [
        replace(BASE, padding=3),
        Case(
            kernel_size=(1, 1, 2),
            size=(2, 2, 4),
            in_channels=1,
            out_channels=3,
            stride=(4, 2, 2),
            padding=(3, 0, 3),
            dilation=(2, 2, 3),
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("alpha", [0.7, 40.0])
def test_queries_that_see_nothing_but_padding(case: Case, alpha: float) -> None:
    laws.assert_worst_case_is_exact(case.conv(), case.size, alpha=alpha)
