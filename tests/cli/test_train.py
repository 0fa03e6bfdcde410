"""``expressivity train``, end to end with short trainings."""

import json
import os
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from expressivity.cli import app
from expressivity.cli.arguments.training import FIGURES, Train
from expressivity.cli.report import Report
from expressivity.experiments.studies import EXPERIMENTS
from tests import ROOT
from tests.experiments.data.test_cifar10 import written

for library in ("sklearn", "matplotlib"):  # not imported: collecting takes seconds then
    if find_spec(library) is None:
        pytest.skip(f"needs {library}", allow_module_level=True)

PAGE = (ROOT / "docs" / "understand" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^(?:\S*expressivity|torchrun .* expressivity) train\b([^#`\n]*)",
    PAGE.replace("\\\n", " "),
    re.MULTILINE,
)
PNG = b"\x89PNG\r\n\x1a\n"
QUICK = ("--epochs", "1", "--seeds", "2", "--layers", "1", "--width", "4")


def train(folder: Path, *arguments: str) -> Result:
    options = ["train", *QUICK, "--output", str(folder), *arguments]
    return CliRunner().invoke(app, options, env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train") / "new" / "folder"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    result = train(folder)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_all_networks_stand_side_by_side_with_their_spread(printed: str) -> None:
    for name in ("isotropic", "full-covariance", "learned", "learned-content"):
        assert f"│ {name} " in printed
    assert "│ resnet " in printed
    assert printed.count("±") >= 5
    assert "the paper's networks on digits, 2 seeds" in printed


@pytest.mark.usefixtures("printed")
def test_the_folder_holds_log_checkpoint_figures_and_results(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    figures = {"accuracy.png", "centers.png"}
    assert names == figures | {"results.json", "log.jsonl", "checkpoint.pt"}
    assert all((folder / name).read_bytes().startswith(PNG) for name in figures)
    results = json.loads((folder / "results.json").read_text())
    assert results["holds"] is True
    assert results["settings"]["width"] == 4
    lines = [
        json.loads(line) for line in (folder / "log.jsonl").read_text().split("\n")[:-1]
    ]
    assert lines[0]["settings"] == results["settings"]
    assert len(lines) == 1 + 5 * 2 * 2
    accuracies = [
        r["accuracy"] for r in lines[1:] if r["run"] == "resnet" and r["epoch"]
    ]
    assert results["networks"]["resnet"]["accuracy"]["values"] == accuracies


@pytest.mark.usefixtures("printed")
def test_nothing_is_replaced_unasked(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = train(folder)
    assert result.exit_code == 2
    assert "exists: choose another output, or pass --force" in result.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("printed")
def test_a_finished_run_is_resumed_in_no_time_with_the_same_results(
    folder: Path, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expressivity.experiments.run._Training", pytest.fail)
    log = (folder / "log.jsonl").read_bytes()
    result = train(folder, "--resume")
    assert result.exit_code == 0, result.output
    assert result.stdout == printed
    assert (folder / "log.jsonl").read_bytes() == log


@pytest.mark.usefixtures("printed")
def test_a_resumed_run_needs_the_same_settings(folder: Path) -> None:
    result = train(folder, "--resume", "--batch", "32")
    assert result.exit_code == 2
    assert "log.jsonl was written with batch=64, got 32" in result.stderr


def test_an_interrupted_run_is_resumed_to_the_same_log(
    tmp_path: Path, folder: Path, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expressivity.experiments import run

    passes, count = run._Training._pass, 0

    def interrupted(self: object, epoch: int) -> float:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return passes(self, epoch)

    monkeypatch.setattr(run._Training, "_pass", interrupted)
    result = train(tmp_path)
    assert result.exit_code == 130
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", "checkpoint.pt"}
    monkeypatch.undo()
    result = train(tmp_path, "--resume")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "log.jsonl").read_bytes() == (folder / "log.jsonl").read_bytes()
    assert result.stdout == printed.replace(str(folder), str(tmp_path))


def test_only_some_networks_on_cifar10(tmp_path: Path) -> None:
    written(tmp_path / "data")
    options = ["--data", "cifar10", "--folder", str(tmp_path / "data")]
    few = ["--networks", "learned", "--heads", "2", "--hidden", "3", "--patch", "16"]
    result = train(tmp_path / "out", *options, *few, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert list(report["networks"]) == ["learned"]
    assert report["settings"]["data"] == "cifar10"
    assert report["settings"]["optimizer"] == "sgd"  # the paper's
    assert [Path(name).name for name in report["files"]] == [
        "accuracy.png",
        "results.json",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--experiment", "x"], "--experiment needs one of networks, heads, data-size"),
        (["--networks", "vgg"], "--networks needs some of isotropic, full-covariance"),
        (
            ["--networks", "learned", "--experiment", "heads"],
            "--networks goes with --experiment networks, got --experiment heads",
        ),
        (["--networks", "learned,learned"], "each once, got 'learned,learned'"),
        (["--data", "imagenet"], "--data needs digits, mnist, cifar10 or a folder"),
        (["--data", "cifar10"], "--folder goes with --data cifar10, which needs it"),
        (["--folder", "x"], "--folder goes with --data cifar10, which needs it"),
        (["--data", "cifar10", "--folder", "nowhere"], "nowhere is no folder: get"),
        (["--data", "tests", "--image-size", "2x2x2"], "one or two numbers"),
        (["--optimizer", "lion"], "optimizer needs one of ('sgd', 'adam')"),
        (["--dropout", "1"], "dropout needs a probability from 0 to below 1"),
        (["--patch", "3"], "patches of 3×3 pixels need to cover an image of 8×8"),
        (["--device", "tpu"], "device needs one of auto, cpu and cuda, got 'tpu'"),
        (
            ["--experiment", "must-have-content", "--data", "mnist"],
            "must-have-content brings its own images: leave --data out",
        ),
    ],
)
def test_bad_options_are_refused_and_leave_nothing(
    tmp_path: Path, options: list[str], message: str
) -> None:
    result = train(tmp_path / "new", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("library", "package"),
    [("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib")],
)
def test_a_missing_library_is_named_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("expressivity.experiments.run._Training", pytest.fail)
    result = train(tmp_path / "new")
    assert result.exit_code == 2
    assert f"pip install {package}" in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_process_that_does_not_lead_writes_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    arguments = Train(output=tmp_path / "new")
    assert arguments.targets() == []
    assert not arguments.leads
    monkeypatch.setenv("RANK", "0")
    assert len(arguments.targets()) == 3
    assert os.environ["RANK"] == "0"


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_on_training_is_one(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Train] = []

    def noted(arguments: Train) -> Report:
        seen.append(arguments)
        return Report("train", [], {}, [])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("expressivity.cli.commands.train.run", noted)
    result = CliRunner().invoke(app, ["train", *shlex.split(line)])
    assert result.exit_code == 0, result.output
    assert seen[0].experiment in EXPERIMENTS


def test_the_command_line_knows_the_studies_and_their_figures() -> None:
    assert {name: study.figures for name, study in EXPERIMENTS.items()} == FIGURES
