"""``expressivity bench``: it measures, writes, reads back, and says what was missed."""

import json
from collections import Counter
from pathlib import Path

import pytest
from torch import nn
from typer.testing import CliRunner

from expressivity.bench import SETTINGS, Document, read_document, suites
from expressivity.bench.contenders import DENSE, HARD
from expressivity.bench.document import BASELINE
from expressivity.bench.resnet import Bottleneck, LayerShape, head, stem
from expressivity.cli import app
from tests.bench.test_bench import MADE_UP, TINY


def bench(*arguments: object):
    return CliRunner().invoke(
        app, ["bench", *map(str, arguments)], env={"COLUMNS": "200"}
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(MADE_UP.to_dict()))
    return path


def test_measures_and_writes_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETTINGS, "tiny", TINY)
    monkeypatch.setattr(suites, "resnet50", thin_network)
    monkeypatch.setattr(suites, "layer_shapes", one_layer)
    output, figure = tmp_path / "run.json", tmp_path / "growth.png"
    result = bench("--setting", "tiny", "--output", output, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert "tiny run in float32 on" in result.stdout
    assert "converting 53 layers" in result.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")
    again = bench("--read", output, "--json")
    assert json.loads(again.stdout) == json.loads(output.read_text())
    assert_is_complete(read_document(output))


def thin_network() -> nn.Sequential:
    """Return a network with the blocks of ResNet-50, which takes seconds to convert."""
    blocks = Bottleneck(4, 2, 8), Bottleneck(8, 2, 8), Bottleneck(8, 4, 16, stride=2)
    return nn.Sequential(stem(4), *blocks, head(16, 10))


def one_layer(size: int) -> Counter[LayerShape]:
    return Counter({LayerShape(3, 4, 7, 2, size): 1})


def assert_is_complete(document: Document) -> None:
    """Every case has raced the baseline, every contender ran or says why not."""
    suites_run = {m.suite for m in document.measurements}
    assert len(suites_run) == 11
    cases = {(m.suite, m.case) for m in document.measurements}
    baselines = [m for m in document.measurements if m.contender == BASELINE]
    assert {(m.suite, m.case) for m in baselines} == cases
    assert all(m.ratio == 1 for m in baselines)
    for m in document.measurements:
        assert (m.seconds is None) == (m.reason is not None)
        assert m.seconds is None or m.low <= m.seconds <= m.high
    dense, separable = (
        next(document.of(suites.GROWTH, name)).bytes for name in (DENSE, HARD)
    )
    assert dense > separable
    assert set(document.facts) == {suites.CONVERT_SECONDS, suites.CONVERT_MEMORY}


def test_shows_targets_and_verdicts(saved: Path) -> None:
    result = bench("--read", saved)
    assert result.exit_code == 0
    lines = {line.split("│")[1].strip(): line for line in table_rows(result.stdout)}
    assert "3 s" in lines["converting 53 layers"]
    assert "missed" in lines["converting 53 layers"]
    assert "not measured" in lines["converting 53 layers: peak memory"]
    assert "90 × less memory" in result.stdout


def test_a_missed_target_is_a_failure_on_request_only(saved: Path) -> None:
    assert bench("--read", saved).exit_code == 0
    assert bench("--read", saved, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--setting", "slow"], "setting needs one of"),
        (["--dtype", "int8"], "--dtype needs one of"),
        (["--output", "run.txt"], "--output needs a name that ends in .json"),
        (["--figure", "growth.gif"], "--figure needs a name that ends in one of .png"),
        (["--read", "nothing.json"], "cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    arguments: list[str], message: str
) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_existing_files_are_kept_unless_forced(saved: Path) -> None:
    before = saved.read_text()
    refused = bench("--read", saved, "--output", saved)
    assert refused.exit_code == 2
    assert saved.read_text() == before
    assert bench("--read", saved, "--output", saved, "--force").exit_code == 0
    assert json.loads(saved.read_text()) == json.loads(before)


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]
