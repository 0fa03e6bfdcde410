"""What the README tells a reader to type does what it says."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST, USE, ATLAS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_three_lines_convert_a_convolution(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(FIRST.splitlines()) == 3
    exec(FIRST, {})
    printed = re.search(r"tensor\(([^,)]*)", capsys.readouterr().out)
    assert printed is not None
    assert float(printed[1]) < 1e-6


def test_every_line_of_use_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)  # for what the lines write
    conv = nn.Conv2d(3, 16, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(16, 4, 1))
    names = {"ex": ex, "conv": conv, "model": model, "x": torch.rand(1, 3, 32, 32)}
    exec(USE, names)
    printed = capsys.readouterr().out
    assert "runs dense" in printed
    assert "2 of 2 convolutions converted" in printed


def test_every_line_of_the_atlas_runs() -> None:
    names = {"ex": ex, "conv": nn.Conv2d(2, 3, 3, padding=1)}
    exec(ATLAS.replace("steps=300", "steps=3"), names)
    assert names["witness"].bound > 0


def test_inputs_of_the_witnesses_are_as_large_as_is_said() -> None:
    one, few = map(float, re.findall(r"within ±([\d.]+)", README))
    large = {"mixer", "feed-forward-only"}
    for name, family in ex.atlas.FAMILIES.items():
        if family.refuter is not None:
            sample = family.fails()
            witness = family.refute(sample.conv.double(), sample.size)
            assert witness.input_bound <= (few if name in large else one)


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_make_knows_the_commands(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
