"""Files of version 0.1 load as they did: by the lines of their report."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import FileError

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    monkeypatch.setattr(sys, "path", [str(DATA), *sys.path])


def test_the_lines_of_an_old_report_load_its_weights() -> None:
    lines = json.loads(Path("old.json").read_text())["load_back"]
    scope: dict[str, nn.Module] = {}
    exec("\n".join(lines), {}, scope)
    model = scope["model"]
    from old_network import build

    x = torch.rand(2, 1, 6, 6)
    layer = model.get_submodule("0")
    assert isinstance(layer, ex.RelativeSelfAttention)
    assert layer.alpha.tolist() == [9.0] * 9
    worst = ex.compare(build(), model, [x]).largest
    assert 0 < worst < 1e-2


def test_an_old_file_is_told_from_a_folder() -> None:
    with pytest.raises(FileError, match=r"loaded by the lines that their report"):
        ex.load("old.safetensors")
