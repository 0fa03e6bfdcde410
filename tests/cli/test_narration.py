"""``-v`` says what happens, and shells complete commands."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from docs.building.command_line import pages, write_schemas
from docs.building.json_documents import DOCUMENTS
from expressivity.cli.app import COMMANDS
from expressivity.cli.console import narrated
from expressivity.cli.options import STRATEGIES
from expressivity.strategies import AUTO
from expressivity.strategies.select import STRATEGIES as IMPLEMENTED
from tests import ROOT
from tests.user_project import MODULE, UserProject

TIMED = re.compile(r"^ +\d+\.\d s  ", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserProject:
    return UserProject.create(tmp_path, monkeypatch)


def test_a_conversion_tells_of_every_layer(project: UserProject) -> None:
    options = ("--input", "1,3,9,7", "--output", "a.safetensors", "--json")
    silent = project.run("convert", f"{MODULE}:build", *options)
    told = project.run("convert", f"{MODULE}:build", *options, "--force", "-v")
    assert TIMED.search(silent.stderr) is None
    for words in ("converting stem", "last: 1 head, α = 18", "up stays: "):
        assert words in told.stderr
    assert json.loads(told.stdout).keys() == json.loads(silent.stdout).keys()


def test_a_certificate_tells_of_its_parts(project: UserProject) -> None:
    told = project.run("certify", f"{MODULE}:build", "--alpha", "4", "--verbose")
    assert told.exit_code == 0
    assert told.stderr.count("the worst case on") == 3
    assert re.findall(r"certifying (\w+)", told.stderr) == ["stem", "deep", "last"]
    assert len(TIMED.findall(told.stderr)) > 9


def test_the_atlas_tells_of_its_attacks(project: UserProject) -> None:
    told = project.run("atlas", "--family", "swin", "--steps", "2", "-v")
    for words in ("swin: weights for", "swin: 2 steps against its bound"):
        assert words in told.stderr


def test_names_from_a_model_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("expressivity.test")
    with narrated(wanted=True):
        log.info("layer %s", "a\x1b[2J\nb")
    log.info("not heard")
    line = capsys.readouterr().err
    assert line.endswith("layer a␛[2J b\n")
    assert logging.getLogger("expressivity").handlers == []


def completed(words: str) -> list[str]:
    """Complete a line as bash does, in a process of its own."""
    typed = ["expressivity", *words.split(" ")]
    environment = {
        **os.environ,
        "_EXPRESSIVITY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from expressivity.__main__ import main; main()"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cert", ["certify"]),
        ("certify --tol", ["--tolerance"]),
        ("convert --strategy s", ["separable"]),
    ],
)
def test_a_shell_completes(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


def test_the_strategies_that_are_offered_are_those_there_are() -> None:
    assert sorted(STRATEGIES) == sorted([AUTO, *(s.name for s in IMPLEMENTED)])


def test_the_page_names_every_option() -> None:
    [(_, page)] = pages()
    for name, kind in COMMANDS.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert kind.__doc__ in section
        assert "`--json`" in section
    assert "`--max-difference` `FLOAT`" in page


def test_a_schema_describes_every_command(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(COMMANDS)
    schema = json.loads((tmp_path / "certify.json").read_text(encoding="utf-8"))
    assert "CertificateDocument" in schema["$defs"]


def test_a_document_with_another_field_is_noticed() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"version": 1, "speed": 2}, DOCUMENTS["bench"], strict=True)
