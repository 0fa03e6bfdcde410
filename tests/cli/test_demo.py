"""``expressivity demo``, end to end with a short training."""

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from expressivity.cli import app
from expressivity.saved.names import written

for library in ("sklearn", "matplotlib"):  # not imported: collecting takes seconds then
    if find_spec(library) is None:
        pytest.skip(f"needs {library}", allow_module_level=True)

PICTURES = ("overview.png", "attention-maps.png", "error-vs-alpha.png")
PNG = b"\x89PNG\r\n\x1a\n"


def demo(folder: Path, *arguments: str) -> Result:
    options = ["demo", "--epochs", "1", "--output", str(folder), *arguments]
    return CliRunner().invoke(app, options, env={"COLUMNS": "80"})


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the network as it is initialised: every claim holds for any weights."""
    monkeypatch.setattr(
        "expressivity.cli.commands.demo.train", lambda model, *_, **__: model.eval()
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, which take most of the time."""
    monkeypatch.setattr(
        "expressivity.cli.commands.demo._draw", lambda *_: [Path.touch] * 3
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made" / "on the way"


@pytest.fixture(scope="module")
def report(folder: Path) -> Mapping[str, Any]:
    result = demo(folder, "--json")
    assert result.exit_code == 0, result.output
    document: Mapping[str, Any] = json.loads(result.stdout)
    return document


def test_the_claims_hold(report: Mapping[str, Any]) -> None:
    assert report["holds"] is True
    assert report["accuracy_before"] == report["accuracy_after"] > 0.5
    assert 0 < report["largest_logit_difference"] < 1e-4 < report["largest_logit"]


def test_every_kind_of_layer_is_reported(report: Mapping[str, Any]) -> None:
    assert [layer["num_heads"] for layer in report["layers"]] == [9, 9, 1, 9]
    for layer in report["layers"]:
        assert layer["status"] == "converted"
        assert 0 < layer["measured_error"] <= layer["worst_case_error"]


def test_files_are_pictures_and_the_same_json(
    folder: Path, report: Mapping[str, Any]
) -> None:
    names = {*PICTURES, "results.json"}
    network = {folder / "attention" / name for name in written(program=True)}
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files == network | {folder / name for name in names}
    assert files == {Path(path) for path in report["files"]}
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(PNG)
    assert json.loads((folder / "results.json").read_text()) == report


@pytest.mark.usefixtures("undrawn")
def test_a_second_run_replaces_its_files_and_ends_by_naming_them(
    folder: Path, report: Mapping[str, Any]
) -> None:
    (folder / "mine.txt").write_text("precious")
    for name in report["files"]:
        Path(name).write_text("old")
    refused = demo(folder)
    assert refused.exit_code == 2
    assert "overview.png exists: choose another output, or pass --force" in (
        refused.stderr
    )
    assert all(Path(name).read_bytes() == b"old" for name in report["files"])
    result = demo(folder, "--force")
    assert result.exit_code == 0
    assert json.loads((folder / "results.json").read_text()) == report
    assert all(Path(name).read_bytes() != b"old" for name in report["files"])
    assert (folder / "mine.txt").read_text() == "precious"
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[-5:-1] == [str(folder / name) for name in [*PICTURES, "results.json"]]
    network = folder / "attention"
    assert lines[-1] == f"{network}: expressivity show {network} checks it"
    assert "holds  the accuracy is unchanged" in lines
    (folder / "mine.txt").unlink()


@pytest.mark.usefixtures("undrawn")
def test_a_tolerance_changes_what_is_claimed(tmp_path: Path) -> None:
    result = demo(tmp_path, "--tolerance", "0.05", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert len(report["claims"]) == 2
    assert report["claims"][1]["statement"].endswith("≤ 0.05")
    assert report["largest_logit_difference"] > 1e-3
    assert all(0.04 < layer["worst_case_error"] <= 0.05 for layer in report["layers"])


@pytest.mark.usefixtures("undrawn", "untrained")
@pytest.mark.parametrize("alpha", ["1", "60"])
def test_the_worst_case_is_kept_at_any_alpha(tmp_path: Path, alpha: str) -> None:
    result = demo(tmp_path, "--alpha", alpha)
    assert result.exit_code == 0
    assert "holds  on the test images every layer errs at most by" in result.stdout
    assert "unchanged" not in result.stdout


@pytest.mark.usefixtures("undrawn", "untrained")
def test_a_claim_that_fails_ends_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expressivity.cli.commands.demo.LARGEST_LOGIT_DIFFERENCE", 0.0)
    result = demo(tmp_path)
    assert result.exit_code == 1
    assert "FAILS  largest logit difference" in result.stdout
    assert not json.loads((tmp_path / "results.json").read_text())["holds"]


@pytest.mark.usefixtures("undrawn", "untrained")
def test_a_layer_beyond_its_worst_case_ends_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "expressivity.cli.commands.demo.layer_errors",
        lambda _, conversion, __: {layer.name: 1.0 for layer in conversion.layers},
    )
    result = demo(tmp_path)
    assert result.exit_code == 1
    assert "FAILS  on the test images every layer" in result.stdout


@pytest.mark.parametrize("name", ["train", "convert", "plot_overview"])
@pytest.mark.usefixtures("untrained")
def test_an_interruption_ends_with_130_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"expressivity.cli.commands.demo.{name}", interrupted)
    result = demo(tmp_path / "new" / "folder")
    assert result.exit_code == 130
    assert (result.stdout, result.stderr) == ("", "interrupted\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", "-1"], "alpha needs a positive finite number, got -1.0"),
        (["--tolerance", "nan"], "tolerance needs a positive finite number, got nan"),
        (["--alpha", "1", "--tolerance", "1"], "give alpha or tolerance, not both"),
    ],
)
def test_bad_options_are_refused_before_the_training(
    tmp_path: Path, options: list[str], message: str
) -> None:
    result = demo(tmp_path / "new", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_folder_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = demo(tmp_path / "file")
    assert result.exit_code == 2
    assert "file cannot be created" in result.stderr


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("library", "package"),
    [("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib")],
)
def test_a_missing_library_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    result = demo(tmp_path)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"not installed: pip install {package}\n")
    assert not any(tmp_path.iterdir())
