"""What every family of the catalogue has to have, and the evidence for all of them."""

from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.atlas.evidence import gather
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from tests import ROOT

PAGE = (ROOT / "docs" / "lookup" / "atlas.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ANSWERS = {"yes": "yes", "conditional": "on conditions", "no": "no"}
FAMILIES = ex.atlas.FAMILIES.values()
per_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@per_family
def test_a_verdict_has_its_evidence(family: ex.atlas.Family) -> None:
    can, cannot = family.constructor is not None, family.refuter is not None
    assert (
        family.verdict
        == {
            (True, False): "yes",
            (False, True): "no",
            (True, True): "conditional",
        }[can, cannot]
    )
    assert family.claim.statement.endswith(".")
    assert family.conditions
    assert any(letter.isdigit() for letter in family.source), "a paper has a year"
    assert f"| {family.title} | {family.verdict} |" in PAGE
    (row,) = (line for line in README.splitlines() if family.title in _titles(line))
    assert row.startswith(f"| {ANSWERS[family.verdict]} |")


def _titles(line: str) -> list[str]:
    """Return the families that a row of the README's table lists."""
    cells = line.split(" | ")
    return cells[1].split("; ") if len(cells) == 3 else []


@per_family
def test_the_evidence_agrees(family: ex.atlas.Family) -> None:
    evidence = gather(family)
    assert evidence.holds, evidence.to_dict()
    assert evidence.remarks == ()


@per_family
def test_what_is_no_convolution_is_refused(family: ex.atlas.Family) -> None:
    ask = family.construct if family.constructor else family.refute
    with pytest.raises(UnsupportedModuleError, match="Conv1d"):
        ask(nn.Linear(2, 2))
    with pytest.raises(InputError, match="works over"):
        ask(
            family.takes().conv if family.constructor else family.fails().conv, (1,) * 4
        )


@per_family
def test_what_a_family_has_not_is_named(family: ex.atlas.Family) -> None:
    if family.constructor is None:
        with pytest.raises(ArgumentError, match="ask for the witness with refute"):
            family.construct(nn.Conv2d(1, 1, 3, padding=1))
    elif family.strength is not None:
        name = family.strength.name
        with pytest.raises(ArgumentError, match=f"{name} needs a positive"):
            family.construct(family.takes().conv, family.takes().size, **{name: -1.0})
    if family.refuter is None:
        with pytest.raises(ArgumentError, match="ask for the layer with construct"):
            family.refute(nn.Conv2d(1, 1, 3, padding=1))


@per_family
def test_layers_are_modules_of_the_convolutions_dtype(family: ex.atlas.Family) -> None:
    if family.constructor is None:
        pytest.skip("no weights")
    sample = family.takes()
    conv = sample.conv.float()
    layer = family.construct(conv, sample.size)
    x = torch.rand(2, conv.in_channels, *sample.size)
    assert layer(x).dtype == torch.float32
    assert layer(x).shape == conv(x).shape
    assert any(True for _ in layer.parameters())


def test_a_witness_is_the_same_for_every_dtype() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    family = ex.atlas.FAMILIES["content"]
    single, double = (family.refute(c, (4, 4)) for c in (conv, conv.double()))
    assert single.bound == pytest.approx(double.bound, rel=1e-12)
    assert torch.equal(single.inputs, double.inputs)


RENAMED = {
    "gated": "convit",
    "windows": "swin",
    "buckets": "t5",
    "linear-bias": "alibi",
}


@pytest.mark.parametrize("old", RENAMED)
def test_the_names_of_earlier_releases_work_with_a_warning(old: str) -> None:
    families = ex.atlas.FAMILIES
    assert old in families
    assert old not in list(families)
    with pytest.warns(FutureWarning, match=f"'{old}' is now called '{RENAMED[old]}'"):
        assert families[old] is families[RENAMED[old]]


def test_a_name_of_no_family_is_a_key_error() -> None:
    assert "transformer" not in ex.atlas.FAMILIES
    with pytest.raises(KeyError, match="transformer"):
        ex.atlas.FAMILIES["transformer"]


def test_one_name_a_family_everywhere() -> None:
    """File of the layer, file of the verdict, file of the tests, name."""
    package, tests = ROOT / "expressivity" / "atlas", ROOT / "tests" / "atlas"
    families = _modules(package / "families")
    firsts = {}
    for family in FAMILIES:
        maker = family.constructor or family.refuter
        firsts.setdefault(maker.__module__.rpartition(".")[2], family.name)
    assert firsts == {name: name for name in families}
    assert _modules(package / "layers") <= families | {"biased", "multihead"}
    assert {f"test_{name}" for name in families} <= _modules(tests)


def _modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}
