"""``expressivity show``: a folder is read, and nothing in it is believed."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

import expressivity as ex
from expressivity.cli import app
from tests.saved.damage import Change, certificates, content, tensors
from tests.user_project import UserProject


def show(folder: Path, *options: str) -> Result:
    arguments = ["show", str(folder), *options]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ConvTranspose2d(2, 1, 2))
    ex.convert(model).save(tmp_path, inputs=torch.ones(1, 1, 8, 8))
    return tmp_path


def test_a_folder_is_shown(folder: Path) -> None:
    result = show(folder)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "network Sequential, saved by expressivity 0.1.0"
    assert "holds  1 of 1 layers have a certificate, and every one came out again" in (
        lines
    )
    assert "holds  the numbers of the model card came out again" in lines
    assert any("2: kept, it is a transposed" in line for line in lines)


def test_the_same_for_a_program(folder: Path) -> None:
    result = show(folder, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["kind"], report["holds"]) == ("network", True)
    (layer,) = report["layers"]
    assert layer["certificate"]["size"] == [8, 8]
    assert layer["num_heads"] == 9


def test_a_single_layer_is_shown(tmp_path: Path) -> None:
    ex.attention_from_conv(nn.Conv1d(2, 2, 3)).save(tmp_path)
    result = show(tmp_path)
    assert result.exit_code == 0, result.output
    assert "(the layer)" in result.stdout


FALSE: dict[str, tuple[Change, str]] = {
    "weight": (
        tensors("model.safetensors", lambda t: t["0.output_weight"].mul_(2)),
        "FAILS  every certificate holds: the certificate needs the parameters",
    ),
    "bound": (
        certificates(
            lambda d: d["layers"][0]["certificate"].update(
                exact_part=[0.0, 0.0],
                layer_rounding=[0.0, 0.0],
                bound=[1e-9, 1e-9],
                convolution_rounding=[1e-9, 1e-9],
            )
        ),
        "FAILS  every certificate holds: exact_part is stated",
    ),
    "card": (
        content("README.md", lambda d: d.replace(b"| 9 |", b"| 8 |")),
        "FAILS  the numbers of the model card came out again",
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_what_is_false_fails(what: str, folder: Path) -> None:
    change, message = FALSE[what]
    change(folder)
    result = show(folder)
    assert result.exit_code == 1, result.output
    assert message in " ".join(result.stdout.split("\n"))


def test_convert_writes_what_show_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = UserProject.create(tmp_path, monkeypatch)
    result = project.convert("--json", "--output", "taken_home")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert json.loads(Path("taken_home/report.json").read_text()) == report
    shown = show(Path("taken_home"))
    assert shown.exit_code == 0, shown.output
    scope: dict[str, nn.Module] = {}
    exec("\n".join(report["load_back"]), {}, scope)
    assert isinstance(scope["model"].get_submodule("stem"), ex.RelativeSelfAttention)
    again = project.convert("--output", "taken_home")
    assert again.exit_code == 2
    assert "exists: choose another output, or pass --force" in again.stderr


def test_a_program_needs_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = UserProject.create(tmp_path, monkeypatch)
    result = project.convert("--program")
    assert result.exit_code == 2
    assert "--program needs a folder as --output, got 'out.safetensors'" in (
        result.stderr
    )
