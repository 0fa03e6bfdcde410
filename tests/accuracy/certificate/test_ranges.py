"""Certificates at the ends of a dtype's range: bounds that hold, or refusals."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from mpmath import mp
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, CertificateError
from tests.cases import BASE_1D

STRATEGIES = ("dense", "separable", "fused")
SIZE = (6, 5)
LARGEST = torch.finfo(torch.float32).max


def pair(
    dtype: torch.dtype = torch.float32, scale: float = 1.0, **options: Any
) -> tuple[ex.RelativeSelfAttention, Any]:
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False).to(dtype).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(conv.weight.shape, generator=generator, dtype=torch.float64)
    conv.weight.copy_(scale * normal)
    attention = ex.attention_from_conv(conv, **options)
    return attention.requires_grad_(False), conv


def assert_refused_or_kept(
    attention: ex.RelativeSelfAttention,
    conv: Any,
    bound: float = 1.0,
    *,
    sizes: tuple[tuple[int, int] | None, ...] = (SIZE,),
) -> bool:
    """A certificate is finite and not exceeded, or there is none; tell which."""
    for size in sizes:
        try:
            certificate = ex.certify(attention, conv, bound, size=size)
        except CertificateError:
            return False
        assert certificate.bound.isfinite().all()
        assert math.isfinite(certificate.attained)
        x = certificate.worst_input
        for some in (x, x.abs().max() * torch.randn(x.shape).sign().to(x)):
            gap = (attention(some).double() - conv(some).double()).abs()
            # Written so that NaN is a violation.
            assert (gap.amax((0, 2, 3)) <= certificate.bound).all()
    return True


@pytest.mark.parametrize("strategy", STRATEGIES)
class TestOverflow:
    def test_of_values(self, strategy: str) -> None:
        attention, conv = pair(alpha=2.0, head_dim=2, strategy=strategy)
        attention.materialize_projections()
        attention.requires_grad_(False)
        assert attention.value_weight is not None
        assert attention.output_weight is not None
        attention.value_weight.fill_(1e38)
        attention.output_weight.fill_(5e-39)
        for size in (SIZE, None):
            with pytest.raises(CertificateError, match=r"values up to .* may leave"):
                ex.certify(attention, conv, size=size)

    @pytest.mark.parametrize("alpha", [0.3, 30.0])
    def test_of_inputs(self, strategy: str, alpha: float) -> None:
        attention, conv = pair(scale=0.01, alpha=alpha, strategy=strategy)
        for bound in (LARGEST, LARGEST / 2, 1e39):
            with pytest.raises(CertificateError, match="may leave the range"):
                ex.certify(attention, conv, bound, size=SIZE)
        assert assert_refused_or_kept(attention, conv, LARGEST / 64)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_of_scores(self, strategy: str, dtype: torch.dtype) -> None:
        largest = math.log10(torch.finfo(dtype).max)
        for part in (0.3, 0.5, 0.9, 0.98):
            alpha = 10.0 ** (part * largest)
            layers = pair(dtype, alpha=alpha, strategy=strategy)
            assert_refused_or_kept(*layers, sizes=(SIZE, None))

    @pytest.mark.parametrize("alpha", [1e18, 1e36, 0.0, 1e-42])
    def test_of_distances(self, strategy: str, alpha: float) -> None:
        for center in (3e4, 1e18, -1e19):
            attention, conv = pair(alpha=2.0, strategy=strategy)
            attention.alpha.fill_(alpha)
            attention.centers[0, 0] = center
            assert_refused_or_kept(attention, conv)

    def test_of_half_precision_is_seen_where_it_happens(self, strategy: str) -> None:
        """``dense`` carries values in float32, others in the dtype."""
        attention, conv = pair(
            torch.float16, alpha=1.0, head_dim=2, strategy=strategy, scale=1e-3
        )
        attention.materialize_projections()
        attention.requires_grad_(False)
        assert attention.value_weight is not None
        assert attention.output_weight is not None
        attention.value_weight.mul_(60000.0 / attention.value_weight.abs().max())
        attention.output_weight.mul_(1e-3)
        kept = assert_refused_or_kept(attention, conv)
        assert kept is (strategy == "dense")


def test_projections_that_overflow_when_they_are_composed() -> None:
    """Only one strategy composes them."""
    for strategy, kept in (("dense", True), ("separable", False), ("fused", True)):
        attention, conv = pair(alpha=2.0, head_dim=1, strategy=strategy)
        assert attention.value_weight is not None
        assert attention.output_weight is not None
        attention.value_weight.fill_(1e28)
        attention.output_weight.fill_(1e12)
        assert assert_refused_or_kept(attention, conv, 1e-20) is kept
        if not kept:
            with pytest.raises(CertificateError, match="composed projections up to"):
                ex.certify(attention, conv, 1e-20)


class TestExactPart:
    def test_is_not_nan(self) -> None:
        for alpha in (1e100, 1e200, 1e307):
            attention, conv = pair(torch.float64, alpha=alpha)
            with pytest.raises(CertificateError, match="exact part comes out as nan"):
                ex.certify(attention, conv, size=SIZE)

    @pytest.mark.parametrize("alpha", [700.0, 744.0, 746.0, 800.0, 1e6])
    @pytest.mark.parametrize("size", [None, BASE_1D.size])
    def test_is_positive_below_the_range_of_float64(
        self, alpha: float, size: tuple[int, ...] | None
    ) -> None:
        case = replace(BASE_1D, in_channels=1, out_channels=1, bias=False)
        conv = case.conv().requires_grad_(False)
        conv.weight.fill_(1e-3)
        attention = ex.attention_from_conv(conv, alpha=alpha)
        certificate = ex.certify(attention, conv, size=size)
        # A pixel next to the target has e^−α of it; its weight is one of three.
        least = mp.exp(-mp.mpf(alpha)) * mp.mpf(conv.weight[0, 0, 0].item())
        assert mp.mpf(float(certificate.exact_part)) > least
        assert certificate.exact_part < 1e-290
        assert 0 <= certificate.attained <= certificate.exact_part

    def test_of_weights_below_the_range(self) -> None:
        """Float64 rounds what it adds up there by more than its precision."""
        attention, conv = pair(torch.float64, scale=1e-310, alpha=1.0)
        certificate = ex.certify(attention, conv, size=SIZE)
        x = certificate.worst_input
        wide = 2.0**200
        scaled, of = pair(torch.float64, scale=1.0, alpha=1.0)
        of.weight.copy_(conv.weight * wide)
        assert scaled.output_weight is not None
        assert attention.output_weight is not None
        scaled.output_weight.copy_(attention.output_weight * wide)
        gap = (scaled(x) - of(x)).abs().amax((0, 2, 3)) / wide
        assert (gap <= certificate.exact_part).all()

    def test_bounds_that_overflow_are_refused(self) -> None:
        attention, conv = pair(torch.float64, scale=1e300, alpha=0.1)
        with pytest.raises(CertificateError, match="leave the range"):
            ex.certify(attention, conv, 1e10)
        with pytest.raises(ArgumentError, match="input_bound needs"):
            ex.certify(attention, conv, 1e400)


def test_random_magnitudes() -> None:
    """Parameters and boxes of any size: bounds that hold, or refusals; both happen."""
    generator, kept = torch.Generator().manual_seed(1), []

    def exponent(largest: float) -> float:
        return largest * (2 * torch.rand((), generator=generator).item() - 1)

    for index in range(36):
        dtype = (torch.float32, torch.bfloat16, torch.float64)[index % 3]
        most = 37.0 if dtype != torch.float64 else 300.0
        options: dict[str, Any] = {"strategy": STRATEGIES[index // 3 % 3]}
        attention, conv = pair(dtype, alpha=1.0, head_dim=2, **options)
        attention.materialize_projections()
        attention.requires_grad_(False)
        conv.weight.mul_(10.0 ** exponent(most))
        assert attention.value_weight is not None
        assert attention.output_weight is not None
        attention.value_weight.mul_(10.0 ** exponent(most))
        attention.output_weight.mul_(10.0 ** exponent(most))
        attention.alpha.mul_(10.0 ** exponent(10.0))
        kept.append(assert_refused_or_kept(attention, conv, 10.0 ** exponent(most / 2)))
    assert 5 < sum(kept) < 31
