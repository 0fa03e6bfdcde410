"""``expressivity explore``: of known kernels, or of a layer of a model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from expressivity.explorer import read
from tests.user_project import MODULE, UserProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    return UserProject.create(tmp_path, monkeypatch)


def test_without_a_model_known_kernels_are_shown(project: UserProject) -> None:
    result = project.run("explore", "--output", "page.html", "--json")
    report = json.loads(result.stdout)
    assert report["holds"] is True
    names = [layer["name"] for layer in report["layers"]]
    assert names == ["sobel", "blur", "sharpen", "laplacian", "digits"]
    assert report["bytes"] == Path("page.html").stat().st_size < 1.5e6
    assert all(layer["live"] for layer in report["layers"])
    assert set(read("page.html")) == set(names)


def test_a_layer_of_a_model_is_shown_on_its_own_input(project: UserProject) -> None:
    image = np.random.default_rng(0).random((2, 3, 9, 7), dtype=np.float32)
    np.save("image.npy", image)
    options = ("--layer", "deep", "--image", "image.npy", "--json")
    result = project.run("explore", f"{MODULE}:Net", *options)
    assert json.loads(result.stdout)["holds"] is True
    conv, x = read("explorer.html")["deep"]
    assert x.shape == (1, 8, 5, 4)
    assert (conv.in_channels, conv.groups) == (8, 8)
    assert bool((x >= 0).all())  # it comes from a ReLU


@pytest.mark.parametrize("name", ["cat.png", "cat.jpg"])
def test_a_picture_is_an_input(name: str, project: UserProject) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name)
    result = project.run("explore", f"{MODULE}:single", "--image", name, "--json")
    assert json.loads(result.stdout)["holds"] is True
    [(_, x)] = read("explorer.html").values()
    assert x.shape == (1, 3, 9, 7)
    if name.endswith("png"):
        wanted = torch.from_numpy(pixels).movedim(-1, 0)[None] / 255
        assert torch.allclose(x, wanted)


def test_a_window_of_a_large_image_is_said_to_be_one(project: UserProject) -> None:
    result = project.run("explore", f"{MODULE}:single", "--input", "1,3,60,70")
    assert result.exit_code == 0
    assert "shown: a 24×24 window of 60×70 pixels" in result.stdout
    assert "holds  measured error ≤ certified bound at 6 pairs" in result.stdout


def test_a_page_starts_where_a_tolerance_says(project: UserProject) -> None:
    options = ("--input", "1,3,9,7", "--tolerance", "1e-2", "--strategy", "dense")
    result = project.run("explore", f"{MODULE}:single", *options, "--json")
    report = json.loads(result.stdout)
    assert (report["tolerance"], report["strategy"]) == (1e-2, "dense")
    assert "at 7 pairs of layer and α" in json.dumps(
        report["claims"], ensure_ascii=False
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--layer deep", "--layer needs a FACTORY"),
        ("--input 1,3,9,7", "--input needs a FACTORY"),
        (f"{MODULE}:single", "either --image, a file, or --input"),
        (f"{MODULE}:Net --input 1,3,9,7", "--layer needs the name of a convolution"),
        ("--alpha 30", "alpha needs α between 0.1 and 24"),
        ("--alpha 2 --tolerance 1e-3", "alpha or tolerance, not both"),
        ("--strategy slow", "slow"),
        (f"{MODULE}:single --image none.png", "none.png cannot be read"),
        (f"{MODULE}:single --image broken.png", "is no picture that can be read"),
        (f"{MODULE}:single --input 1,4,9,7", "the model needs to run on an input"),
        (f"{MODULE}:single --input 1,3,9,7 --output a.txt", "ends in .html"),
    ],
)
def test_bad_input_is_named(arguments: str, message: str, project: UserProject) -> None:
    Path("broken.png").write_bytes(b"no picture")
    result = project.run("explore", *arguments.split())
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not Path("explorer.html").exists()
