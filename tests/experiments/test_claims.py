"""What documents say of trained networks, trained again: minutes each."""

import time

import pytest
import torch

from expressivity.experiments.data import load_digits
from expressivity.experiments.data.same_different import same_different
from expressivity.experiments.run import Session
from expressivity.experiments.studies import EXPERIMENTS, Plan
from expressivity.experiments.studies.must_have_content import CONTINUED, GATED

SEEDS = tuple(range(5))
pytestmark = pytest.mark.training


def carried_out(name: str) -> dict[str, object]:
    """Carry out a study as the command does by default, for five seeds."""
    from expressivity.cli.commands.train import _BRIEF, _SMALL

    torch.set_num_threads(1)
    study = EXPERIMENTS[name]
    data = load_digits() if study.data is None else same_different()
    schedule = study.schedule or _BRIEF
    names = ("isotropic", "full-covariance", "learned", "learned-content", "resnet")
    plan = Plan(data, _SMALL, schedule, SEEDS, names)
    return dict(study.carry_out(plan, Session()).fields)


def test_content_solves_what_no_convolution_can() -> None:
    networks = carried_out("must-have-content")["networks"]
    assert min(networks[GATED]["accuracy"]["values"]) > 0.95
    # Guessing: the loss is that of no information, log 2, in training too.
    assert min(networks[CONTINUED]["loss"]["values"]) > 0.69


def test_the_default_command_takes_less_than_five_minutes_of_one_core() -> None:
    start = time.process_time()
    networks = carried_out("networks")["networks"]
    assert time.process_time() - start < 300
    for found in networks.values():
        assert min(found["accuracy"]["values"]) > 0.9


def test_exact_shifts_start_near_shifts_and_learn() -> None:
    found = carried_out("initialisation")["initialisers"]["shifts"]
    assert max(found["distance"]["before"]["values"]) < 0.15
    assert min(found["accuracy"]["values"]) > 0.9
