"""Certificates: exact, attained, quotable, and refused where nothing is known."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mpmath import mp
from torch import nn

import expressivity as ex
from expressivity.accuracy.certificate import rounding
from expressivity.accuracy.certificate.attention_error import LARGEST
from expressivity.errors import (
    CertificateError,
    FileError,
)
from expressivity.stock import multihead
from expressivity.strategies import STRATEGIES
from tests import oracles
from tests.attack import random_target
from tests.cases import BASE, BASE_1D, BASE_3D, DTYPES, MODES, Case

SMALL = replace(BASE, kernel_size=(3, 2), size=(4, 3), in_channels=2, out_channels=2)
SMALL_1D = replace(BASE_1D, in_channels=1, out_channels=2)
EXACT_CASES = [
    SMALL,
    SMALL_1D,
    replace(SMALL, stride=2, dilation=(1, 2), groups=2),
    *(replace(SMALL, padding_mode=mode, padding=(2, 1)) for mode in MODES[1:]),
    replace(SMALL_1D, padding_mode="replicate", padding=5),
]


def certified(case: Case = BASE, **options: Any) -> tuple[Any, nn.Module, Any]:
    conv = case.conv(options.pop("dtype", torch.float64))
    attention = ex.attention_from_conv(conv, **options)
    return attention, conv, ex.certify(attention, conv, size=case.size)


@torch.no_grad()
def perturbed(case: Case, seed: int, dtype: torch.dtype = torch.float64) -> Any:
    """Return a layer with unequal α, centers off the grid and other projections."""
    conv, generator = case.conv(dtype), torch.Generator().manual_seed(seed)
    attention = ex.attention_from_conv(conv, alpha=2.0, head_dim=1)
    for parameter in attention.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(0.2 * noise.to(parameter))
    return attention, conv


@pytest.mark.parametrize("case", EXACT_CASES, ids=str)
@pytest.mark.parametrize("alpha", [0.3, 3.0, 30.0])
def test_exact_part_encloses_the_norm_in_many_digits(case: Case, alpha: float) -> None:
    conv = case.conv(torch.float32)
    attention = ex.attention_from_conv(conv, alpha=alpha)
    assert_encloses(attention, conv, case.size)


@pytest.mark.parametrize("case", EXACT_CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_exact_part_of_any_layer_encloses_it_too(
    case: Case, dtype: torch.dtype
) -> None:
    attention, conv = perturbed(case, 1, dtype)
    with torch.no_grad():
        attention.bias.copy_(conv.bias)
    assert_encloses(attention, conv, case.size)


def assert_encloses(attention: Any, conv: nn.Module, size: tuple[int, ...]) -> None:
    """The bound is not below the true norm, and the worst input is not above it."""
    certificate = ex.certify(attention, conv, size=size)
    exact = oracles.exact_row_norms(attention, conv, size)
    for bound, norm in zip(certificate.exact_part.tolist(), exact, strict=True):
        assert norm <= bound <= norm * (1 + mp.mpf(10) ** -11)
    norm = exact[certificate.worst.channel]
    assert norm * (1 - mp.mpf(10) ** -11) <= certificate.attained <= norm


@pytest.mark.parametrize("seed", range(40))
def test_the_worst_input_attains_the_exact_part(seed: int) -> None:
    target = random_target(f"tight/{seed}", torch.float64, "dense")
    certificate = target.certificate()
    channel = certificate.worst.channel
    exact = certificate.exact_part[channel]
    measured = target.errors(certificate.worst_input)[0, channel]
    assert measured >= 0.99 * exact - certificate.rounding_part[channel]
    # Up to rounding in float64, which is all that is left of saturated heads.
    assert certificate.attained >= 0.99 * exact - certificate.rounding_part[channel]
    assert certificate.worst_input.abs().max() <= target.bound


@pytest.mark.parametrize("case", [BASE, BASE_1D, BASE_3D], ids=str)
def test_a_bound_for_every_size_covers_every_size(case: Case) -> None:
    attention, conv = perturbed(case, 2)
    for_all = ex.certify(attention, conv)
    assert for_all.size is None
    for stretch in (0, 1, 4):
        size = tuple(pixels + stretch for pixels in case.size)
        here = ex.certify(attention, conv, size=size)
        assert (here.exact_part <= for_all.exact_part).all()
        assert (here.layer_rounding <= for_all.layer_rounding).all()


def test_a_one_tap_kernel_attains_the_bound_for_every_size() -> None:
    case = replace(BASE, kernel_size=(1, 1), padding=0, groups=1)
    attention, conv = case.conv(), case.conv()
    attention = ex.attention_from_conv(conv, alpha=3.0)
    certificate = ex.certify(attention, conv)
    assert certificate.attained == pytest.approx(
        certificate.exact_part.max().item(), rel=1e-9
    )


def test_errors_scale_with_the_box_and_biases_do_not() -> None:
    attention, conv = perturbed(BASE, 3)
    with torch.no_grad():
        attention.bias.copy_(conv.bias)
    one, seven = (ex.certify(attention, conv, b, size=BASE.size) for b in (1.0, 7.0))
    torch.testing.assert_close(seven.exact_part, 7 * one.exact_part, rtol=1e-12, atol=0)
    with torch.no_grad():
        attention.bias.add_(-0.25)
    moved = ex.certify(attention, conv, 7.0, size=BASE.size)
    torch.testing.assert_close(moved.exact_part, seven.exact_part + 0.25)
    x = moved.worst_input
    gap = (attention(x) - conv(x)).abs().amax((0, 2, 3))[moved.worst.channel]
    assert gap.item() == pytest.approx(moved.attained, rel=1e-9)


# How stock attention rounds is tested in tests/stock.
@pytest.mark.parametrize("strategy", sorted(rounding.MODELS.keys() - {multihead.NAME}))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounding_is_what_a_layer_in_float64_differs_by(
    strategy: str, dtype: torch.dtype
) -> None:
    if (strategy, dtype) == ("fused", torch.float16):
        return
    for seed, alpha in enumerate((None, 0.5, 5.0)):
        case = replace(BASE, seed=seed, stride=(1, 2), size=(7, 9))
        conv = case.conv(dtype)
        attention = ex.attention_from_conv(conv, alpha=alpha, strategy=strategy)
        certificate = ex.certify(attention, conv, size=case.size)
        x = case.input(8).clamp(-1, 1).to(dtype)
        exact = deepcopy(attention).double()
        exact.strategy = "dense"
        for module, wide, allowed in (
            (attention, exact, certificate.layer_rounding),
            (conv, deepcopy(conv).double(), certificate.convolution_rounding),
        ):
            gap = (module(x).double() - wide(x.double())).abs().amax((0, 2, 3))
            assert (gap <= allowed).all()
            # What is stated is within some orders of magnitude of what is seen.
            if dtype != torch.float64 and strategy != "fused":
                assert allowed.max() < 3000 * gap.max()


def test_auto_is_certified_as_what_runs() -> None:
    attention, _, certificate = certified(alpha=3.0)
    assert attention.strategy == "auto"
    assert certificate.strategy == "separable"
    certificate.check()


def test_every_strategy_of_quadratic_heads_has_a_model() -> None:
    """Only of tables nothing is certified: ``normalised`` takes nothing else."""
    names = {strategy.name for strategy in STRATEGIES}
    assert set(rounding.MODELS) == names - {"normalised"} | {multihead.NAME}


class TestDocument:
    def test_reads_as_a_paragraph(self) -> None:
        _, _, certificate = certified(alpha=4.0, dtype=torch.float32)
        text = str(certificate)
        assert "For every input x of 6×5 pixels with ‖x‖_∞ ≤ 1" in text
        assert "in float32 and evaluated by 'separable'" in text
        assert "100.0000% of it" in text
        assert "provided that every operation rounds to nearest" in text
        stated = float(text.split("differ by at most ")[1].split(" ")[0])
        assert certificate.bound.max() <= stated <= 1.01 * certificate.bound.max()

    @pytest.mark.parametrize("size", [None, BASE.size])
    def test_is_saved_and_loaded_whole(
        self, tmp_path: Path, size: tuple[int, ...] | None
    ) -> None:
        attention, conv = perturbed(BASE, 5, torch.bfloat16)
        certificate = ex.certify(attention, conv, 0.3, size=size)
        certificate.save(tmp_path / "layer.json")
        loaded = ex.Certificate.load(tmp_path / "layer.json")
        assert loaded.to_dict() == certificate.to_dict()
        assert torch.equal(loaded.worst_input, certificate.worst_input)
        assert loaded.worst_input.dtype == torch.bfloat16
        assert loaded.worst_input.abs().max() <= 0.3
        assert str(loaded) == str(certificate)
        loaded.check(attention, conv)
        with pytest.raises(CertificateError, match="needs the layer and the"):
            loaded.check()

    def test_is_not_half_written(self, tmp_path: Path) -> None:
        _, _, certificate = certified()
        (tmp_path / "layer.json").write_text("old")
        broken = replace(certificate, input_bound=float("nan"))
        with pytest.raises(ValueError, match="JSON"):
            broken.save(tmp_path / "layer.json")
        assert (tmp_path / "layer.json").read_text() == "old"
        with pytest.raises(FileError, match="needs to exist"):
            certificate.save(tmp_path / "no" / "layer.json")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda document: document.pop("exact_part"),
            lambda document: document.update(exact_part="much"),
            lambda document: document.update(worst=[]),
            lambda document: document["worst"].pop("signs"),
            lambda document: document.update(format="else"),
        ],
    )
    def test_damage_is_reported(self, damage: Any, tmp_path: Path) -> None:
        _, _, certificate = certified()
        document = json.loads(json.dumps(certificate.to_dict()))
        damage(document)
        path = tmp_path / "layer.json"
        path.write_text(json.dumps(document))
        with pytest.raises(FileError, match="certificate"):
            ex.Certificate.load(path)
        path.write_text("{")
        with pytest.raises(FileError, match="cannot be read as JSON"):
            ex.Certificate.load(path)


class TestCheck:
    @pytest.mark.parametrize("name", ["exact_part", "layer_rounding"])
    @pytest.mark.parametrize("factor", [0.999, 1.001])
    def test_another_bound_fails(self, name: str, factor: float) -> None:
        _, _, certificate = certified(alpha=3.0)
        other = replace(certificate, **{name: getattr(certificate, name) * factor})
        with pytest.raises(CertificateError, match=f"{name} is stated"):
            other.check()

    def test_an_attained_error_that_is_too_large_fails(self) -> None:
        _, _, certificate = certified(alpha=3.0)
        worst = replace(certificate.worst, attained=certificate.attained * 1.001)
        with pytest.raises(CertificateError, match="stated to attain"):
            replace(certificate, worst=worst).check()

    @pytest.mark.parametrize("which", ["alpha", "centers", "output_weight", "bias"])
    def test_other_parameters_fail(self, which: str) -> None:
        attention, _, certificate = certified(alpha=3.0)
        with torch.no_grad():
            getattr(attention, which).flatten()[0].mul_(1 + 1e-15).add_(1e-300)
        with pytest.raises(CertificateError, match="parameters that were certified"):
            certificate.check()

    def test_another_convolution_fails(self) -> None:
        attention, _, certificate = certified(alpha=3.0)
        other = replace(BASE, seed=9).conv()
        with pytest.raises(CertificateError, match="parameters that were certified"):
            certificate.check(attention, other)


@contextmanager
def changed(owner: Any, **settings: Any) -> Iterator[None]:
    """Change settings of torch for a while."""
    before = {name: getattr(owner, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def test_heads_without_locality_are_bounded_by_their_weights() -> None:
    attention, conv = perturbed(BASE, 4)
    with torch.no_grad():
        attention.alpha[:2] = torch.tensor([0.0, 1e-9])
    certificate = ex.certify(attention, conv, size=BASE.size)
    x = certificate.worst_input
    gap = (attention(x) - conv(x)).abs().amax((0, 2, 3))
    assert (gap <= certificate.bound).all()
    assert certificate.attained >= 0.99 * certificate.exact_part.max()
    for_all = ex.certify(attention, conv)
    sizes = attention.heads().matrices().abs().sum((0, 3)).flatten()
    assert (certificate.exact_part <= for_all.exact_part).all()
    assert for_all.layer_rounding.max() <= 4 * LARGEST * sizes.max()


def test_strengths_out_of_range_are_refused() -> None:
    attention, conv = perturbed(BASE, 4)
    for alpha in (-0.3, -1e18, float("nan"), float("inf")):
        with torch.no_grad():
            attention.alpha[1] = alpha
        with pytest.raises(ex.errors.ExpressivityError, match=r"alpha|finite"):
            ex.certify(attention, conv, size=BASE.size)


def test_alpha_for_keeps_a_certified_tolerance() -> None:
    for seed, tolerance in enumerate((1e-2, 1e-7, 1e-13)):
        conv = replace(BASE, seed=seed).conv()
        attention = ex.attention_from_conv(conv, tolerance=tolerance)
        certificate = ex.certify(attention, conv)
        assert certificate.exact_part.max() <= tolerance
        alpha = ex.alpha_for(conv, tolerance=tolerance)
        softer = ex.attention_from_conv(conv, alpha=alpha * (1 - 1e-6))
        assert ex.certify(softer, conv).exact_part.max() > tolerance
