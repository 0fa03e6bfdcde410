"""The measurements on a GPU: refused without one, resumed where they stopped."""

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


def campaign(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", *arguments])
    return gpu.main()


def test_says_that_no_gpu_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert campaign(monkeypatch, "--output", str(tmp_path / "new")) == 2
    assert "no GPU that torch can see" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_refuses_a_stage_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"2"):
        campaign(monkeypatch, "nonsense")
    assert "stages are tests, epoch" in capsys.readouterr().err


def test_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in gpu.STAGES:
        (tmp_path / f"{name}.json").write_text("{}", encoding="utf-8")
    (tmp_path / "epoch.json").unlink()
    started = []

    class Finished:
        returncode = 0

    def run(command: list[str], **options: object) -> Finished:
        started.append(command[3])
        return Finished()

    monkeypatch.setattr(gpu.subprocess, "run", run)
    assert campaign(monkeypatch, "--output", str(tmp_path)) == 0
    assert started == ["epoch"]
    assert capsys.readouterr().out.count("done before") == len(gpu.STAGES) - 1


def test_a_stage_writes_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu, "environment", lambda device: {"gpu": "none"})
    monkeypatch.setitem(gpu.STAGES, "epoch", lambda device: {"seconds": 1.0})
    gpu.run_stage("epoch", tmp_path)
    written = json.loads((tmp_path / "epoch.json").read_text(encoding="utf-8"))
    assert written == {"environment": {"gpu": "none"}, "epoch": {"seconds": 1.0}}
