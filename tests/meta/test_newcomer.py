"""A clone, ``make demo``, and then any command of the documents as it stands."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
BLOCKS = [
    [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]
    for block in re.findall(r"```sh\n(.*?)```", re.sub(r"\\\n\s*", "", TEXT), re.DOTALL)
]
MAKE = sorted({line for b in BLOCKS for line in b if line.startswith("make ")})
SEQUENCES = [s for b in BLOCKS if (s := [x for x in b if not x.startswith("make ")])]
# Of these a reader waits half a minute or more for the result.
SLOW = ("demo", "atlas", "bench", "html", "--open", "paper_step --batch 10")
TOOLS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in ("benchmarks", "expressivity", "notebooks", "proofs", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    and path != Path(__file__)
    # The program sets up the process that it runs in; its own tests have its help.
    and path.parent != ROOT / "expressivity"
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder that looks like a clone after ``make demo``."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, main = project["scripts"]["expressivity"].split(":")
    for name, arguments in {
        "python": '"$@"',
        "expressivity": f'-c "from {module} import {main}; {main}()" "$@"',
    }.items():
        (folder / name).write_text(
            f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}\n"
        )
        (folder / name).chmod(0o755)
    return tmp_path


def typed(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a line into a shell that knows of no virtual environment."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the README's shell is sh")
@pytest.mark.parametrize("lines", SEQUENCES, ids=" && ".join)
def test_commands_of_a_document_work_as_they_stand(
    lines: list[str], clone: Path
) -> None:
    for line in lines:
        command, redirected, target = line.partition(" > ")
        if command.endswith(SLOW) or "expressivity train" in command:
            command += " --help"
        done = typed(command + redirected + target, clone)
        assert done.returncode == 0, done.stderr
        assert not redirected or (clone / target).stat().st_size


@pytest.mark.parametrize("line", MAKE)
def test_make_would_run_the_targets_of_the_readme(line: str) -> None:
    assert re.search(
        rf"^{line.removeprefix('make ')}:",
        (ROOT / "Makefile").read_text(),
        re.MULTILINE,
    )


def test_commands_in_sentences_say_where_the_program_is() -> None:
    commands = [
        code
        for code in re.findall(r"`([^`\n]+)`", PROSE)
        if re.search(r"(^|/)(python3?|pytest|expressivity|pip) .", code)
    ]
    outside = {"pip install .", "pip install '.[demo]'", "python3 -m venv .venv"}
    assert len(commands) > len(outside)
    for code in set(commands) - outside:
        assert code.startswith(".venv/bin/"), code


def test_there_are_commands_to_type() -> None:
    assert sum(map(len, SEQUENCES)) > 7
    assert len(MAKE) > 3


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_help_shows_help_and_changes_nothing(
    tool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (*DOCUMENTS, ROOT / "proofs/coq/THEOREMS.md")
    before = [path.stat().st_mtime_ns for path in written]
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module(tool, run_name="__main__", alter_sys=True)
    assert "usage: " in capsys.readouterr().out.lower()
    assert [path.stat().st_mtime_ns for path in written] == before


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_proofs_name_the_library_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    for name in [name for name in sys.modules if name.startswith("proofs.document")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit, match=r"need latex2mathml.*type make proofs"):
        runpy.run_module("proofs", run_name="__main__")


def test_the_source_distribution_is_the_repository() -> None:
    """Tests read documents, figures and results: nothing tracked may be left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    targets = project["tool"]["hatch"]["build"]["targets"]
    assert "sdist" not in targets
    assert not {"include", "exclude", "only-include"} & set(
        project["tool"]["hatch"]["build"]
    )


def test_no_message_sends_readers_to_another_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] != "expressivity"
    for path in (ROOT / "expressivity").rglob("*.py"):
        assert not re.search(
            r"pip install '?expressivity", path.read_text(encoding="utf-8")
        ), path
