"""``expressivity convert``: from a user's weights to verified files, or to none."""

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file, save_model
from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.comparison import compare
from tests.user_project import MODULE, SHAPE, UserProject

BOTH = {"out.safetensors", "out.json"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    return UserProject.create(tmp_path, monkeypatch)


def load_back(lines: list[str]) -> nn.Module:
    """Do exactly what the three printed lines say."""
    assert len(lines) == 3
    scope: dict[str, nn.Module] = {}
    exec("\n".join(lines), {}, scope)
    return scope["model"]


WEIGHTS: dict[str, Callable[[nn.Module, str], None]] = {
    "model.pt": lambda model, path: torch.save(model.state_dict(), path),
    "old.pth": lambda model, path: torch.save(
        model.state_dict(), path, _use_new_zipfile_serialization=False
    ),
    "lightning.ckpt": lambda model, path: torch.save(
        {"state_dict": model.state_dict(), "epoch": 3}, path
    ),
    "trainer.bin": lambda model, path: torch.save({"model": model.state_dict()}, path),
    "shared_once.safetensors": save_model,
    "no_extension": save_model,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_printed_lines_load_a_model_with_the_same_outputs(
    project: UserProject, name: str
) -> None:
    original = project.model()
    WEIGHTS[name](original, name)
    result = project.convert("--weights", name)
    assert result.exit_code == 0, result.output
    assert project.files() == {name, *BOTH}
    lines = [line.strip() for line in result.stdout.splitlines() if "    " in line]
    loaded = load_back(lines[-3:])
    assert isinstance(loaded.get_submodule("stem"), RelativeSelfAttention)
    assert loaded.get_submodule("deep") is loaded.get_submodule("again")
    difference = compare(original, loaded, [torch.randn(SHAPE)])
    assert difference.scale > 0
    assert difference.relative < 1e-5


def test_the_lines_repeat_the_options_that_decide_the_structure(
    project: UserProject,
) -> None:
    result = project.convert(
        *("--where", "stem", "--where", "la*", "--head-dim", "4"),
        *("--strategy", "dense", "--alpha", "20", "--json"),
    )
    report = json.loads(result.stdout)
    loaded = load_back(report["load_back"])
    stem = loaded.get_submodule("stem")
    assert isinstance(stem, RelativeSelfAttention)
    assert (stem.head_dim, stem.strategy) == (4, "dense")
    assert stem.alpha.tolist() == [20.0] * 15
    assert type(loaded.get_submodule("deep")) is nn.Conv2d


def test_report_and_standard_output_hold_the_same_json(project: UserProject) -> None:
    result = project.convert("--json", "--tolerance", "1e-3", "--max-difference", "0.1")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert json.loads(Path("out.json").read_text()) == report
    assert report["holds"] is True
    assert report["files"] == ["out.safetensors", "out.json"]
    layers = {layer["name"]: layer for layer in report["layers"]}
    assert layers["stem"]["status"] == "converted"
    assert layers["stem"]["num_heads"] == 15
    assert 0 < layers["stem"]["worst_case_error"] <= 1e-3
    assert layers["up"]["status"] == "kept"
    assert "transposed" in layers["up"]["reason"]
    scales = [entry["inputs"] for entry in report["agreements"]]
    assert scales == [f"random, scale {scale}" for scale in ("0.1", "1", "10")]
    assert all(entry["output_scale"] > 0 for entry in report["agreements"])


def test_kept_layers_are_listed_and_the_model_talks_on_standard_error(
    project: UserProject,
) -> None:
    result = project.convert()
    assert "3 of 4 convolutions converted" in result.stdout
    assert "transposed" in result.stdout
    assert "talks" not in result.stdout
    assert "a model that talks" in result.stderr


@pytest.mark.parametrize("name", ["inputs.npy", "inputs.pt", "inputs.safetensors"])
def test_real_inputs_are_verified_on_in_batches(
    project: UserProject, name: str
) -> None:
    images = np.random.default_rng(0).random((5, *SHAPE[1:]))
    if name == "inputs.npy":
        np.save(name, images)
    elif name == "inputs.pt":
        torch.save(torch.from_numpy(images), name)
    else:
        save_file({"images": torch.from_numpy(images)}, name)
    report = json.loads(project.convert("--inputs", name, "--json").stdout)
    assert report["agreements"][-1]["inputs"] == name
    assert report["agreements"][-1]["count"] == 5


def test_a_model_that_is_one_convolution(project: UserProject) -> None:
    result = project.convert("--json", factory="single")
    loaded = load_back(json.loads(result.stdout)["load_back"])
    assert isinstance(loaded, RelativeSelfAttention)


def test_a_model_in_half_precision(project: UserProject) -> None:
    assert project.convert("--max-difference", "1e-2", factory="half").exit_code == 0
    with safe_open("out.safetensors", framework="pt") as file:
        assert file.get_tensor("bias").dtype == torch.float16
        assert file.metadata()["format"] == "pt"


@pytest.mark.parametrize(
    ("factory", "options"),
    [("build", ["--alpha", "2"]), ("nan_once_converted", [])],
    ids=["soft", "nan"],
)
def test_a_failed_verification_writes_nothing(
    project: UserProject, factory: str, options: list[str]
) -> None:
    result = project.convert(*options, factory=factory)
    assert result.exit_code == 1
    assert "FAILS  largest relative difference" in result.stdout
    assert "nothing was written" in result.stdout
    assert project.files() == set()


def test_a_failed_verification_says_so_in_json(project: UserProject) -> None:
    result = project.convert("--json", factory="nan_once_converted")
    report = json.loads(result.stdout, parse_constant=pytest.fail)
    assert (result.exit_code, report["holds"], report["files"]) == (1, False, [])
    assert float(report["agreements"][0]["relative_difference"]) == math.inf


def test_a_model_that_reads_the_weight(project: UserProject) -> None:
    result = project.convert("--json", factory="reads_the_weight")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["holds"]) == (0, True)
    asks, runs = report["remarks"]
    assert "ReadsTheWeight.penalty asks whether" in asks
    assert "1 of 1 converted layers run as convolutions" in runs
    text = project.convert("--force", factory="reads_the_weight").stdout
    assert "ReadsTheWeight.penalty asks whether" in text


def test_a_model_that_changes_its_input(project: UserProject) -> None:
    assert project.convert(factory="changes_its_input").exit_code == 0


def test_a_layer_that_is_ruled_out_is_left_out_of_the_lines_too(
    project: UserProject,
) -> None:
    result = project.convert("--json", factory="hidden")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["holds"]) == (0, True)
    statuses = {layer["name"]: layer["status"] for layer in report["layers"]}
    assert statuses == {"first": "converted", "last": "kept"}
    loaded = load_back(report["load_back"])
    assert type(loaded.get_submodule("last")) is nn.Conv2d
    assert isinstance(loaded.get_submodule("first"), RelativeSelfAttention)


BAD_FACTORIES = {
    f"{MODULE}:text": "needs to return an nn.Module, got a str",
    f"{MODULE}:fails": "RuntimeError: out of luck",
    f"{MODULE}:leaves": "SystemExit: 0",
    f"{MODULE}:wants": "missing 1 required positional argument: 'width'",
    f"{MODULE}:number": "'int' object is not callable",
    f"{MODULE}:nothing": "has no attribute 'nothing'",
    "no_such_module:build": "No module named 'no_such_module'",
    MODULE: "FACTORY needs the form package.module:callable",
    f"{MODULE}:build()": "FACTORY needs the form package.module:callable",
}


@pytest.mark.parametrize("factory", BAD_FACTORIES)
def test_a_bad_factory_is_bad_input(project: UserProject, factory: str) -> None:
    result = project.run(*(
        "convert",
        factory,
        "--input",
        "1,3,9,9",
        "--output",
        "out.safetensors",
    ))
    assert result.exit_code == 2
    assert BAD_FACTORIES[factory] in result.stderr
    assert result.stdout == ""


BAD_MODELS = {
    "linear": "at least one convolution that can be converted, got none at all",
    "infinite": "the model itself returns NaN or infinite numbers",
    "calls_internals": "the network reads what attention does not have",
    "empty": "the model needs to return tensors with elements",
}


@pytest.mark.parametrize("factory", BAD_MODELS)
def test_a_model_that_cannot_be_judged_is_bad_input(
    project: UserProject, factory: str
) -> None:
    result = project.convert(factory=factory)
    assert result.exit_code == 2
    assert BAD_MODELS[factory] in result.stderr
    assert project.files() == set()


BAD_OPTIONS = {
    "--alpha 0": "alpha needs a positive finite number, got 0.0",
    "--alpha nan": "alpha needs a positive finite number, got nan",
    "--tolerance -1": "tolerance needs a positive finite number, got -1.0",
    "--tolerance inf": "tolerance needs a positive finite number, got inf",
    "--alpha 1 --tolerance 1": "give alpha or tolerance, not both",
    "--head-dim 0": "head_dim needs an integer of at least 1",
    "--strategy fast": "strategy needs one of",
    "--where layer9": "where='layer9' matches no convolution of the model",
    "--max-difference 0": "max_difference needs a positive finite number",
    "--input 3,3": "--input",
    "--input 1,4,9,7": "to have 3 channels, but got 4 channels",
    "--input 1,3,9,0": "--input needs integers of at least 1",
    "--output out.pt": "--output needs a name that ends in .safetensors",
    "--output no/out.safetensors": "the folder no needs to exist and be writable",
    "--weights no.pt": "no.pt cannot be read: No such file or directory",
    "--inputs no.npy": "no.npy cannot be read: No such file or directory",
    "--weights .": ". cannot be read: Is a directory",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_bad_input(project: UserProject, options: str) -> None:
    result = project.convert(*options.split())
    assert result.exit_code == 2
    assert "error: " in result.stderr
    assert BAD_OPTIONS[options] in result.stderr
    assert result.stdout == ""
    assert project.files() == set()


def test_weights_of_another_model_name_the_first_differences(
    project: UserProject,
) -> None:
    weights = project.model().state_dict()
    weights = {
        name if name.startswith("norm") else f"module.{name}": tensor
        for name, tensor in weights.items()
    }
    torch.save(weights, "other.pt")
    result = project.convert("--weights", "other.pt")
    assert result.exit_code == 2
    assert "the weights in other.pt are not those of Net: 9 missing" in result.stderr
    assert "missing (stem.weight, deep.weight, deep.bias, …); 9" in result.stderr
    assert "unexpected (module.stem.weight, " in result.stderr


@pytest.mark.parametrize("option", ["--weights", "--inputs"])
def test_a_pickle_that_would_run_code_is_not_run(
    project: UserProject, option: str
) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, ("was_run",)

    torch.save({"stem.weight": Malicious()}, "zip.pt")
    torch.save(Malicious(), "old.pt", _use_new_zipfile_serialization=False)
    Path("plain.pt").write_bytes(pickle.dumps(Malicious(), protocol=2))
    Path("plain.safetensors").write_bytes(pickle.dumps(Malicious()))
    for path in ("zip.pt", "old.pt", "plain.pt", "plain.safetensors"):
        result = project.convert(option, path)
        assert result.exit_code == 2
        assert f"error: {path} " in result.stderr
        assert not Path("was_run").exists()
    # The same file does run its code when it is trusted.
    torch.load("zip.pt", weights_only=False)
    assert Path("was_run").exists()


@pytest.mark.parametrize("name", sorted(BOTH))
def test_existing_files_are_kept_unless_forced(project: UserProject, name: str) -> None:
    Path(name).write_text("precious")
    result = project.convert()
    assert result.exit_code == 2
    assert f"error: {name} exists" in result.stderr
    assert "talks" not in result.stderr  # before the long work
    assert Path(name).read_text() == "precious"
    assert project.convert("--force").exit_code == 0
    assert "precious" not in Path("out.json").read_text()
    assert project.files() == BOTH


def test_a_failure_in_the_middle_of_writing_leaves_the_old_files(
    project: UserProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: nn.Module, path: str, __: dict[str, str]) -> None:
        Path(path).write_text("half a fi")
        raise SafetensorError("no space left on device")

    for name in BOTH:
        Path(name).write_text("precious")
    monkeypatch.setattr("expressivity.cli.commands.convert.save_model", full_disk)
    result = project.convert("--force")
    assert result.exit_code == 2
    assert "out.safetensors cannot be written: no space left" in result.stderr
    assert project.files() == BOTH
    assert {Path(name).read_text() for name in BOTH} == {"precious"}
