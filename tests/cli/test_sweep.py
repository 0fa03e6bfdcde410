"""``expressivity sweep``: of a random convolution, or of a layer of a model."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from expressivity.conversion.network.selection import convolution_like
from expressivity.heads.leak import saturation_alpha
from tests.user_project import MODULE, UserProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    return UserProject.create(tmp_path, monkeypatch)


def test_the_default_covers_both_regimes(project: UserProject) -> None:
    sweep = json.loads(project.run("sweep", "--json").stdout)
    assert sweep["holds"] is True
    assert sweep["dtype"] == "float32"
    lengths = {len(sweep[name]) for name in ("alphas", "measured", "worst_case")}
    assert lengths == {30}
    assert sweep["alphas"][0] == 0.5
    assert sweep["alphas"][-1] > saturation_alpha(torch.float32, axes=2)
    decay = math.log(sweep["predicted"][0] / sweep["predicted"][1])
    assert decay == pytest.approx(sweep["alphas"][1] - sweep["alphas"][0])
    assert sweep["measured"][-1] < 10 * sweep["rounding_floor"]


def test_a_table_has_one_row_an_alpha(project: UserProject) -> None:
    result = project.run("sweep", "--points", "4", "--size", "8x9")
    assert result.exit_code == 0
    assert "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1)) on 8×9" in result.stdout
    assert sum(line.startswith("│") for line in result.stdout.splitlines()) == 4
    assert "holds  measured ≤ worst case" in result.stdout


@pytest.mark.parametrize(
    ("options", "convolution"),
    [
        ("--size 20", "Conv1d(3, 8, kernel_size=(3,), stride=(1,))"),
        (
            "--size 5x6x7 --kernel-size 3x1x2 --padding 1,0,1 --padding-mode circular",
            (
                "Conv3d(3, 8, kernel_size=(3, 1, 2), stride=(1, 1, 1), "
                "padding=(1, 0, 1), padding_mode=circular)"
            ),
        ),
        (
            "--in-channels 4 --out-channels 6 --groups 2 --stride 2 --dilation 2",
            (
                "Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), dilation=(2, 2), "
                "groups=2)"
            ),
        ),
        (
            "--padding same --dtype float64",
            "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=same)",
        ),
    ],
    ids=["1 axis", "3 axes", "groups", "same"],
)
def test_options_of_a_random_convolution(
    project: UserProject, options: str, convolution: str
) -> None:
    result = project.run("sweep", *options.split(), "--points", "3", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["convolution"] == convolution


def test_the_seed_decides_the_numbers(project: UserProject) -> None:
    once, again, other = (
        json.loads(project.run("sweep", "--points", "2", "--seed", n, "--json").stdout)
        for n in ("1", "1", "2")
    )
    assert once == again
    assert once["measured"] != other["measured"]


def test_a_layer_of_a_model_with_its_weights(project: UserProject) -> None:
    model = project.model()
    weight = dict(convolution_like(model))["stem"].weight
    torch.nn.init.constant_(weight, 2.0)
    torch.save(model.state_dict(), "model.pt")
    result = project.run(
        *("sweep", f"{MODULE}:build", "--weights", "model.pt", "--layer", "stem"),
        *("--size", "9x7", "--alpha-min", "1", "--alpha-max", "3", "--points", "2"),
        "--json",
    )
    sweep = json.loads(result.stdout)
    assert sweep["alphas"] == [1.0, 3.0]
    assert sweep["convolution"].startswith("Conv2d(3, 8, kernel_size=(3, 5)")
    # One output sums 3 · 15 taps of weight 2, of which no one exceeds 1.
    assert max(sweep["worst_case"]) <= 2 * 2 * 3 * 15


def test_the_only_layer_needs_no_name(project: UserProject) -> None:
    result = project.run("sweep", f"{MODULE}:half", "--points", "2", "--json")
    assert json.loads(result.stdout)["dtype"] == "float16"


@pytest.mark.parametrize("name", ["error.png", "error.pdf", "error.svg"])
def test_the_figure_is_written_once(project: UserProject, name: str) -> None:
    pytest.importorskip("matplotlib")
    options = ("sweep", "--points", "3", "--output", name)
    result = project.run(*options)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"wrote {name}"
    assert project.files() == {name}
    written = Path(name).read_bytes()
    assert len(written) > 1000
    assert project.run(*options).exit_code == 2
    assert Path(name).read_bytes() == written
    assert project.run(*options, "--force").exit_code == 0


def test_an_error_above_the_worst_case_ends_with_status_1(
    project: UserProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SimpleNamespace(above=torch.zeros(1))
    monkeypatch.setattr(
        "expressivity.sweep.converted",
        lambda *_: SimpleNamespace(largest=lambda _: nothing),
    )
    result = project.run("sweep", "--points", "3")
    assert result.exit_code == 1
    assert "FAILS  measured ≤ worst case" in result.stdout


BAD_OPTIONS = {
    "--size 8x8x8x8": "--size needs 1, 2 or 3 numbers, got '8x8x8x8'",
    "--size 2": "axis 0: the padded input needs at least 3 pixels",
    "--kernel-size 3x3x3": "--kernel-size needs one number, or 2 as --size has",
    "--padding wide": "--padding needs integers of at least 0",
    "--padding same --stride 2": "padding='same' needs stride 1",
    "--padding-mode mirror": "padding_mode needs one of",
    "--padding 9 --padding-mode reflect --size 8": "reflect padding of an input of 8",
    "--groups 2": "--groups needs to divide the channels, got 2 for 3 and 8",
    "--dtype int8": "--dtype needs one of",
    "--alpha-min 0": "--alpha-min needs a positive finite number, got 0.0",
    "--alpha-min 9 --alpha-max 8": "--alpha-max needs to be at least --alpha-min",
    "--output error.txt": "--output needs a name that ends in one of .png, .pdf, .svg",
    "--output no/error.png": "the folder no needs to exist and be writable",
    "--layer stem": "--layer needs a FACTORY to take a model from",
    "--weights model.pt": "--weights needs a FACTORY to take a model from",
    f"{MODULE}:build": "one of stem, deep, up, last; got None",
    f"{MODULE}:build --layer head": "one of stem, deep, up, last; got 'head'",
    f"{MODULE}:build --layer up": "transposed",
    f"{MODULE}:linear": "(it has none); got None",
    f"{MODULE}:single --stride 1": "--stride needs no FACTORY",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_bad_input(project: UserProject, options: str) -> None:
    result = project.run("sweep", *options.split())
    assert result.exit_code == 2
    assert BAD_OPTIONS[options] in result.stderr
    assert result.stdout == ""
    assert project.files() == set()
