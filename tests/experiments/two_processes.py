"""What each process of ``torchrun`` does in the test of two of them."""

import argparse
from pathlib import Path

import torch

from expressivity.experiments.journal import Journal
from expressivity.experiments.processes import joined
from expressivity.experiments.run import Session
from tests.experiments.training_runs import run_of

NAMES = ("isotropic", "full-covariance", "learned-content")


def train_all(session: Session) -> None:
    """Train one run of each network, on 15 images, in batches of 7 or 8."""
    for name in NAMES:
        session.train(run_of(name, dropout=0.0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the log goes")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    with joined("cpu") as processes:
        train_all(Session(Journal({}, folder=folder), processes))
