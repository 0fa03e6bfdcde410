"""A small attack on certificates; ``make attack`` is the long one."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch

import expressivity as ex
from tests import attack
from tests.attack import DTYPES, STRATEGIES, Target, random_target
from tests.cases import BASE
from tests.settings import USUAL, Settings


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_input_exceeds_a_certificate(dtype: torch.dtype, strategy: str) -> None:
    for seed in range(4):
        target = random_target(f"small/{seed}", dtype, strategy)
        for about, ratio in attack.attack(target, 60, seed).items():
            assert ratio <= 1, (seed, about)


def test_inputs_stay_in_the_box() -> None:
    for seed, dtype in enumerate(DTYPES):
        target = replace(random_target(f"box/{seed}", dtype, "dense"), bound=0.3)
        certificate = target.certificate()
        for x in (
            attack.inputs(target, 30, seed),
            attack.ascended(target, certificate, seed),
        ):
            assert x.dtype == dtype
            assert x.double().abs().max() <= 0.3
            assert x.double().abs().max() > 0.29


def weak(certificate: ex.Certificate, part: float) -> Any:
    """Return a certificate that claims less than it should."""
    return replace(certificate, exact_part=part * certificate.exact_part)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bound_that_is_two_percent_too_small_is_exceeded(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = BASE.conv()
    layer = ex.attention_from_conv(conv, alpha=3.0, strategy=strategy)
    target = Target(BASE, layer, conv, 1.0)
    right = ex.certify
    monkeypatch.setattr(ex, "certify", lambda *a, **k: weak(right(*a, **k), 0.98))
    assert attack.attack(target, 30, 0)["size"] > 1


def test_ascent_finds_what_random_inputs_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv = BASE.conv()
    target = Target(BASE, ex.attention_from_conv(conv, alpha=3.0), conv, 1.0)
    certificate = target.certificate()
    climbed = target.errors(attack.ascended(target, certificate, 0)).amax()
    assert climbed > 0.95 * certificate.exact_part.max()
    assert climbed > 1.2 * target.errors(attack.inputs(target, 200, 0)).amax()


def test_a_rounding_part_that_is_too_small_is_exceeded() -> None:
    conv = BASE.conv(torch.bfloat16)
    target = Target(BASE, ex.attention_from_conv(conv), conv, 1.0)
    certificate = target.certificate()
    x = attack.inputs(target, 50, 0)
    assert attack._rounding(target, certificate, x) <= 1
    small = replace(certificate, layer_rounding=certificate.layer_rounding / 100)
    assert attack._rounding(target, small, x) > 1


def test_settings_are_drawn_applied_and_restored() -> None:
    def state() -> list[object]:
        return [
            torch.get_num_threads(),
            torch.backends.mkldnn.enabled,
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            (torch.tensor(1e-310, dtype=torch.float64) * 1).item() > 0,
        ]

    before, drawn = state(), set[str]()
    for seed in range(60):
        settings = Settings.draw(Random(seed))
        with settings.applied():
            assert torch.backends.mkldnn.enabled == settings.onednn
            assert torch.get_num_threads() == settings.threads
        assert state() == before
        drawn |= {n for n, v in vars(settings).items() if v != vars(USUAL)[n]}
    assert drawn == set(vars(USUAL))


def test_a_refusal_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack, "INPUTS", 30)
    layers = iter(["refuse", "refuse", "attack"])

    def attacked(*_: object) -> dict[str, float]:
        if next(layers) == "refuse":
            raise ex.errors.CertificateError("autocast is on: certify outside of it")
        return {"size": 0.5}

    monkeypatch.setattr(attack, "attack", attacked)
    assert attack.main(["--inputs", "30"]) == 0
    printed = capsys.readouterr().out
    assert "no certificate of 2 layers: autocast is on" in printed
    assert "30 random inputs" in printed


def test_the_command_reports(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack, "INPUTS", 30)
    assert attack.main(["--inputs", "90", "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    assert "90 random inputs and sign patterns" in printed
    assert "0 violations; seed 5" in printed
    monkeypatch.setattr(attack, "attack", lambda *_: {"size": float("nan")})
    assert attack.main(["--inputs", "90"]) == 1
    assert "VIOLATION nan: 0/0" in capsys.readouterr().out
