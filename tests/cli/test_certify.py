"""``expressivity certify``: every layer of a model, on a size or on all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

import expressivity as ex
from expressivity.cli.commands import certify
from tests.user_project import MODULE, UserProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    return UserProject.create(tmp_path, monkeypatch)


def test_every_layer_gets_a_certificate_for_every_size(project: UserProject) -> None:
    result = project.run("certify", f"{MODULE}:build", "--alpha", "4", "--json")
    document = json.loads(result.stdout)
    assert document["holds"] is True
    assert [layer["name"] for layer in document["layers"]] == ["stem", "deep", "last"]
    for layer in document["layers"]:
        certificate = ex.Certificate.from_dict(layer["certificate"])
        assert certificate.size is None
        assert layer["alpha"] == 4
        assert 0 < layer["measured"] <= certificate.bound.max()


def test_sizes_are_those_that_a_layer_sees(project: UserProject) -> None:
    options = ("--input", "2,3,9,7", "--input-bound", "2", "--output", "c.json")
    result = project.run("certify", f"{MODULE}:build", "--alpha", "3", *options)
    assert result.exit_code == 0, result.output
    assert "for every x with ‖x‖∞ ≤ 2" in result.stdout
    assert "holds  measured error ≤ certified bound in 3 layers" in result.stdout
    assert "up: kept" in result.stdout
    assert result.stdout.splitlines()[-1] == "wrote c.json"
    document = json.loads(Path("c.json").read_text())
    sizes = [layer["certificate"]["size"] for layer in document["layers"]]
    assert sizes == [[9, 7], [5, 4], [6, 5]]
    for layer in document["layers"]:
        certificate = ex.Certificate.from_dict(layer["certificate"])
        worst = certificate.exact_part[certificate.worst.channel]
        assert certificate.attained > 0.99 * worst
    again = project.run("certify", f"{MODULE}:build", *options)
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_a_saved_certificate_can_be_checked(project: UserProject) -> None:
    torch.manual_seed(0)
    model = project.model()
    torch.save(model.state_dict(), "model.pt")
    options = ("--weights", "model.pt", "--tolerance", "1e-3", "--json")
    result = project.run("certify", f"{MODULE}:build", *options)
    (stem, *_) = json.loads(result.stdout)["layers"]
    certificate = ex.Certificate.from_dict(stem["certificate"])
    assert certificate.exact_part.max() <= 1e-3
    converted = ex.convert(model, tolerance=1e-3).model
    certificate.check(converted.stem, model.stem)


def test_fine_tuned_layers_are_held_against_the_original(project: UserProject) -> None:
    torch.manual_seed(0)
    model = project.model()
    torch.save(model.state_dict(), "model.pt")
    tuned = ex.convert(model, alpha=3.0).model
    with torch.no_grad():
        tuned.stem.alpha.mul_(torch.linspace(0.5, 1.5, 15))
        tuned.stem.centers.add_(0.1)
    save_model(tuned, "tuned.safetensors")
    options = ("--weights", "model.pt", "--attention", "tuned.safetensors", "--json")
    result = project.run("certify", f"{MODULE}:build", *options)
    (stem, *_) = json.loads(result.stdout)["layers"]
    assert stem["alpha"] == pytest.approx(1.5)
    ex.Certificate.from_dict(stem["certificate"]).check(tuned.stem, model.stem)


def test_a_measured_error_above_the_bound_ends_with_status_1(
    project: UserProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certify, "_measured", lambda *_: 1.0)
    result = project.run("certify", f"{MODULE}:build")
    assert result.exit_code == 1
    assert "FAILS  measured error ≤ certified bound, not in stem" in result.stdout


def test_a_layer_that_cannot_be_certified_is_listed(project: UserProject) -> None:
    result = project.run("certify", f"{MODULE}:half", "--strategy", "fused")
    assert result.exit_code == 2
    assert "nothing can be certified" in result.stderr
    assert "range of float16" in result.stderr
    assert project.run("certify", f"{MODULE}:half").exit_code == 0


BAD_OPTIONS = {
    f"{MODULE}:build --input-bound 0": "--input-bound needs a positive finite number",
    f"{MODULE}:build --input 1,4,9,7": "the model needs to run on an input of shape",
    f"{MODULE}:build --alpha 3 --tolerance 1": "alpha",
    f"{MODULE}:build --attention none.safetensors": "none.safetensors",
    f"{MODULE}:build --output no/c.json": "the folder no needs to exist",
    f"{MODULE}:linear": "at least one convolution",
    f"{MODULE}:build --strategy fast": "strategy needs one of",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_bad_input(project: UserProject, options: str) -> None:
    result = project.run("certify", *options.split())
    assert result.exit_code == 2
    assert BAD_OPTIONS[options] in result.stderr
    assert result.stdout == ""
    assert project.files() == set()
