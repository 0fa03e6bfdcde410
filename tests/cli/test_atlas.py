"""``expressivity atlas``: the table, one family in words, the page."""

import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import gather
from expressivity.cli.commands import atlas
from tests.user_project import MODULE, UserProject

SOME = ("quadratic", "content")
GATHER = cache(gather)  # tables, words and pages show the same evidence


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    monkeypatch.setattr(atlas, "FAMILIES", {name: FAMILIES[name] for name in SOME})
    monkeypatch.setattr(atlas, "gather", GATHER)
    return UserProject.create(tmp_path, monkeypatch)


def test_the_table_has_a_row_for_every_family(project: UserProject) -> None:
    result = project.run("atlas", "--steps", "60")
    assert result.exit_code == 0, result.output
    for name in SOME:
        assert name in result.stdout
    assert "error ≥" in result.stdout
    assert "holds  the evidence agrees with the verdict in 2 families" in result.stdout


def test_the_numbers_as_json(project: UserProject) -> None:
    document = json.loads(project.run("atlas", "--steps", "60", "--json").stdout)
    assert document["holds"] is True
    quadratic, content = document["families"]
    assert quadratic["error"] <= 1e-9
    assert quadratic["bound"] is None
    assert content["error"] is None
    assert content["attack"] >= content["bound"] > content["control"] > 0
    assert content["witness"] == "swap"


def test_one_family_in_words_with_its_figure(project: UserProject) -> None:
    pytest.importorskip("matplotlib")
    options = ("--family", "content", "--steps", "5", "--figure", "content.png")
    result = project.run("atlas", *options)
    assert "content only: no" in result.stdout
    assert "swap witness against Conv2d(2, 3" in result.stdout
    assert "no setting errs less than" in result.stdout
    assert Path("content.png").stat().st_size > 1000
    assert project.run("atlas", *options).exit_code == 2
    quadratic = project.run("atlas", "--family", "quadratic", "--steps", "5").stdout
    assert "heads: K²" in quadratic
    assert quadratic.count("at α =") == 9


def test_a_layer_of_a_model_is_looked_at(project: UserProject) -> None:
    model = project.model()
    torch.save(model.state_dict(), "model.pt")
    options = ("--weights", "model.pt", "--layer", "last", "--size", "5x4")
    result = project.run("atlas", f"{MODULE}:build", *options, "--json", "--steps", "5")
    document = json.loads(result.stdout)
    assert document["size"] == [5, 4]
    quadratic, content = document["families"]
    assert quadratic["remarks"] == []
    # A 1×1 kernel weighs all other pixels alike: there the example is used instead.
    assert "weighs differently" in content["remarks"][0]


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids, self.links, self.pictures = [], [], 0

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        self.ids.append(found.get("id"))
        self.links += [v for k, v in attributes if k in ("href", "src")]
        self.pictures += tag == "svg"


def test_the_page_needs_no_other_file(project: UserProject) -> None:
    pytest.importorskip("matplotlib")
    result = project.run("atlas", "--html", "atlas.html", "--steps", "5")
    assert result.stdout.splitlines()[-1] == "wrote atlas.html"
    page = Links()
    page.feed(Path("atlas.html").read_text(encoding="utf-8"))
    assert page.pictures == 2
    for name in SOME:
        assert name in page.ids
        assert f"#{name}" in page.links
    assert all(link.startswith("#") for link in page.links)


def test_evidence_against_a_verdict_ends_with_status_1(
    project: UserProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expressivity.atlas.evidence.LARGEST_ERROR", 0.0)
    result = project.run("atlas", "--steps", "5", "--family", "quadratic")
    assert result.exit_code == 1
    assert "FAILS  the evidence agrees with the verdict, not for" in result.stdout


BAD_OPTIONS = {
    "--family transformer": "--family needs one of quadratic, content, got",
    "--figure a.png": "--figure needs --family",
    "--family content --figure a.txt": "--figure needs a name that ends in",
    "--html no/atlas.html": "the folder no needs to exist",
    f"{MODULE}:build --layer head": "got 'head'",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_bad_input(project: UserProject, options: str) -> None:
    result = project.run("atlas", *options.split())
    assert result.exit_code == 2
    assert BAD_OPTIONS[options] in result.stderr
    assert result.stdout == ""
    assert project.files() == set()


def test_errors_say_whether_they_are_absolute_and_on_what(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = UserProject.create(tmp_path, monkeypatch)
    family = FAMILIES["feed-forward-only"]
    sample = family.fails()
    bound = family.refute(sample.conv.double(), sample.size).input_bound
    assert bound > 1
    shown = project.run("atlas", "--family", family.name, "--steps", "2").stdout
    assert f"inputs within ±{bound:.3g}; all errors absolute" in shown


def test_the_old_name_of_a_family_works_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = UserProject.create(tmp_path, monkeypatch)
    with pytest.warns(FutureWarning, match="'gated' is now called 'convit'"):
        result = project.run("atlas", "--family", "gated")
    assert result.exit_code == 0
    assert "ConViT gated positional attention: yes" in result.stdout
