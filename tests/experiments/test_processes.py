"""Two processes train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from expressivity.errors import ArgumentError
from expressivity.experiments.journal import LOG
from expressivity.experiments.processes import Processes, joined
from expressivity.experiments.run import Session
from tests import ROOT
from tests.experiments.two_processes import NAMES, train_all

gloo = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="needs torch.distributed"
)


@gloo
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2"),
            *("-m", "tests.experiments.two_processes", str(tmp_path)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    alone = Session()
    train_all(alone)
    assert len(lines) - 1 == len(alone.journal.records) == 5 * len(NAMES)
    for mine, theirs in zip(alone.journal.records, lines[1:], strict=True):
        assert (mine["run"], mine["epoch"]) == (theirs["run"], theirs["epoch"])
        if mine["epoch"]:
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert abs(mine["accuracy"] - theirs["accuracy"]) < 0.15  # one image of nine


def test_shares_are_disjoint_and_complete() -> None:
    batch = torch.arange(7)
    shares = [Processes(rank, 3).share(batch).tolist() for rank in range(3)]
    assert sorted(shares[0] + shares[1] + shares[2]) == batch.tolist()
    assert [len(share) for share in shares] == [3, 2, 2]


def test_one_process_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as alone:
        assert alone.leads
        assert alone.total(1.0, 2.5) == [1.0, 2.5]
        assert alone.agreed("value") == "value"
        model = torch.nn.Linear(1, 1)
        assert alone.wrapped(model) is model


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "device needs one of auto, cpu and cuda, got 'tpu'"),
        pytest.param(
            "cuda",
            "device='cuda' needs a GPU that torch can see",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU"),
        ),
    ],
)
def test_devices_that_are_not_there_are_refused(device: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message), joined(device):
        pass
