"""Submissions run with limits, and a submission that exceeds one gets no points."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from notebooks import grading
from notebooks.grading import LimitError, grade, limited, scores


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_command_prints_is_returned() -> None:
    assert limited(python("print('graded')")).strip() == "graded"


def test_an_endless_loop_is_stopped_with_all_that_it_started() -> None:
    code = f"""
import subprocess, sys
child = [sys.executable, "-c", "import time; time.sleep(99)  # {time.time_ns()}"]
subprocess.Popen(child, start_new_session=True).wait()
"""
    mark = code.split("# ")[1].split('"')[0]
    with pytest.raises(LimitError, match=r"it took more than 2 seconds"):
        limited(python(code), seconds=2)
    left = [p for p in psutil.process_iter(["cmdline"]) if mark in str(p.info)]
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]


def test_memory_has_a_limit() -> None:
    with pytest.raises(LimitError, match=r"MemoryError"):
        limited(python("bytearray(3 << 30)"), gib=2)


def test_a_failure_says_what_was_printed() -> None:
    with pytest.raises(LimitError, match=r"it failed: (.|\n)*no such thing"):
        limited(python("raise SystemExit('no such thing')"))


def test_a_submission_that_exceeds_a_limit_gets_no_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "otter"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(grading, "OTTER", slow)
    results = grade(tmp_path / "a.ipynb", tmp_path / "a.zip", tmp_path, seconds=1)
    assert results["score"] == 0
    assert "more than 1 seconds" in results["output"]
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert scores(results) == {}
