"""``expressivity atlas FACTORY --layer`` on convolutions as torch initialises them.

A few of them with short attacks always; twenty with all steps by ``make atlas``.
"""

import json
from random import Random

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import gather
from expressivity.atlas.family import Sample, in_float64
from expressivity.cli import app
from expressivity.errors import InputError

FEW, ALL = range(3), range(20)  # one of each number of axes, and all options
SIZES = {1: "9", 2: "6x7", 3: "3x4x4"}


def layer(seed: int) -> nn.Module:
    """Return a random convolution of all options, as torch initialises it."""
    random = Random(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        axes = 1 + seed % 3
        groups = random.choice([1, 1, 2])
        padding = random.choice(["same", "valid", 0, 1, 2])
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        return kind(
            groups * random.choice([1, 2, 3]),
            groups * random.choice([1, 2, 4]),
            [random.choice([1, 2, 3]) for _ in range(axes)],
            stride=1 if padding == "same" else random.choice([1, 2, 3]),
            padding=padding,
            dilation=1 if axes == 3 else random.choice([1, 2]),
            groups=groups,
            bias=random.choice([True, True, False]),
            padding_mode=random.choice(["zeros", "reflect", "replicate", "circular"]),
            dtype=random.choice([torch.float32, torch.float64, torch.bfloat16]),
        )


def models(seeds: range) -> nn.Module:
    """Return a model with one layer a seed."""
    return nn.ModuleDict({f"layer{seed}": layer(seed) for seed in seeds})


def run(seed: int, *options: str):
    name = f"{__name__}:everything"
    size = SIZES[1 + seed % 3]
    arguments = ["atlas", name, "--layer", f"layer{seed}", "--size", size, *options]
    return CliRunner().invoke(app, [*arguments, "--json"])


def everything() -> nn.Module:
    return models(ALL)


def assert_holds(seed: int, *options: str) -> None:
    result = run(seed, *options)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [f["family"] for f in document["families"]] == list(FAMILIES)
    for family in document["families"]:
        assert family["holds"], family
        assert family["bound"] is None or family["attack"] >= family["bound"] * (
            1 - 1e-9
        )


@pytest.mark.parametrize("seed", FEW)
def test_short_attacks_on_a_few_layers(seed: int) -> None:
    assert_holds(seed, "--steps", "1")


@pytest.mark.atlas
@pytest.mark.parametrize("seed", ALL)
def test_all_steps_on_twenty_layers(seed: int) -> None:
    assert_holds(seed)


def test_a_control_that_says_nothing_is_a_remark() -> None:
    sample = Sample(nn.Conv2d(2, 2, 3, padding=1), (3, 3))
    evidence = gather(FAMILIES["content"], sample, steps=1)
    assert evidence.holds
    assert "so that the attack says little: take more steps" in evidence.remarks[-1]
    assert len(evidence.attack.reached) == len(evidence.attack.control) == 1 + 4


def test_a_control_gets_the_steps_that_it_needs() -> None:
    torch.manual_seed(0)
    sample = Sample(nn.Conv2d(2, 4, 3, padding=1), (4, 4))
    evidence = gather(FAMILIES["external"], sample, steps=30)
    assert evidence.remarks == ()
    assert len(evidence.attack.reached) == len(evidence.attack.control) == 1 + 4 * 30
    assert evidence.attack.control[-1] < 0.8 * evidence.attack.bound


@pytest.mark.parametrize("family", ["rope", "vit-pre-ln"])
def test_a_witness_without_a_layer_gives_way_to_the_example(family: str) -> None:
    conv = nn.Conv1d(2, 4, 3, padding=1, padding_mode="replicate")
    evidence = gather(FAMILIES[family], Sample(conv, (5,)), steps=2)
    assert evidence.holds
    assert evidence.attack.sample.conv is not conv
    assert any("this family needs zero padding" in r for r in evidence.remarks)


def test_a_convolution_of_zeros_is_computed() -> None:
    conv = in_float64(nn.Conv2d(2, 2, 3, padding=1))
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    assert gather(FAMILIES["quadratic"], Sample(conv, (3, 3))).weights.error == 0


def test_what_would_not_fit_is_refused() -> None:
    sample = Sample(nn.Conv2d(1, 1, 129, padding=64), (8, 8))
    with pytest.raises(InputError, match="GiB are free: take a smaller kernel"):
        gather(FAMILIES["quadratic"], sample)
