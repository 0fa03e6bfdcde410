"""The loop: what it computes, and that an interruption changes nothing."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from expressivity.errors import ArgumentError, FileError
from expressivity.experiments.journal import CHECKPOINT, LOG, Journal
from expressivity.experiments.networks import NETWORKS
from expressivity.experiments.positions import positions_apart
from expressivity.experiments.run import Run, Session, accuracy
from expressivity.experiments.schedule import Schedule
from tests.experiments.training_runs import SCHEDULE, run_of, stripes

SETTINGS = {"data": "stripes", "sizes": [1, 2]}
RUNS = [("isotropic", 0), ("isotropic", 1), ("resnet", 0)]


class Stop(Exception):
    """An interruption."""


def session_in(
    folder: Path, *, resume: bool = False, stop: int | None = None
) -> Session:
    """Return a session that writes, and stops after so many epochs."""
    journal = Journal.opened(folder, SETTINGS, resume=resume, force=False)
    count = 0

    def advance(_: str, epochs: int) -> None:
        nonlocal count
        count += epochs
        if count == stop:
            raise Stop("stopped")

    return Session(journal, advance=advance)


def all_runs(session: Session, **schedule: object) -> None:
    for name, seed in RUNS:
        kept = f"{name} {seed}" if seed else None
        session.train(run_of(name, seed, keep=kept, **schedule))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    all_runs(session_in(folder))
    return folder


@pytest.mark.parametrize("stop", range(1, 12))
def test_an_interruption_changes_no_byte_of_the_log(
    tmp_path: Path, uninterrupted: Path, stop: int
) -> None:
    """With dropout, augmentation, warm-up, Adam's moments and batch statistics."""
    with pytest.raises(Stop, match="stopped"):
        all_runs(session_in(tmp_path, stop=stop))
    left = (tmp_path / LOG).read_text()
    assert (uninterrupted / LOG).read_text().startswith(left)
    torch.manual_seed(stop)  # whatever else has drawn meanwhile
    resumed = session_in(tmp_path, resume=True)
    all_runs(resumed)
    assert (tmp_path / LOG).read_bytes() == (uninterrupted / LOG).read_bytes()
    other = Journal.opened(uninterrupted, SETTINGS, resume=True, force=False)
    for name, tensor in other.kept["isotropic 1"].items():
        assert torch.equal(resumed.kept("isotropic 1")[name], tensor)


def test_records_may_be_rarer_than_epochs(tmp_path: Path) -> None:
    every = session_in(tmp_path).train(run_of())
    rare = Session().train(run_of(every=3))
    assert [r["epoch"] for r in rare] == [0, 3, 4]
    assert rare == [every[0], *every[3:]]


def test_an_interrupted_run_may_be_of_rare_records(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="stopped"):
        all_runs(session_in(tmp_path, stop=3), every=2)
    resumed = session_in(tmp_path, resume=True)
    all_runs(resumed, every=2)
    whole = Session()
    all_runs(whole, every=2)
    assert resumed.journal.records == whole.journal.records


def test_the_random_state_outside_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    Session().train(run_of(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_is_another_run() -> None:
    first, second = (Session().train(run_of(seed=seed)) for seed in (0, 1))
    assert [r["loss"] for r in first] != [r["loss"] for r in second]
    assert first == Session().train(run_of(seed=0))


@pytest.mark.parametrize("name", NETWORKS)
def test_training_lowers_the_loss(name: str) -> None:
    run = run_of(
        name, epochs=40, learning_rate=0.02, crop=0, flip=False, dropout=0.0, every=40
    )
    first, last = Session().train(run)
    assert first["loss"] is None
    assert last["loss"] < 0.4  # log 2 is that of guessing


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_is_torchs(optimizer: str) -> None:
    """One step on one batch, beside the same by hand."""
    data = stripes()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    twin = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    twin.load_state_dict(model.state_dict())
    schedule = Schedule(
        epochs=1,
        batch=100,
        learning_rate=0.1,
        optimizer=optimizer,
        weight_decay=0.3,
        warmup=1.0,
    )
    session = Session()
    run = Run("linear", 0, lambda: model, data, schedule)
    loss = session.train(run)[1]["loss"]
    kinds = {
        "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.3),
        "adam": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.3),
    }
    step = kinds[optimizer](twin.parameters())
    expected = nn.functional.cross_entropy(
        twin(data.inputs(data.train.pixels)), data.train.labels
    )
    expected.backward()
    step.step()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert (mine - theirs).abs().max() < 1e-6


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    schedule = Schedule(learning_rate=2.0, warmup=0.25)
    rates = [schedule.rate(step, 40) for step in range(40)]
    assert rates[:10] == pytest.approx([0.2 * (n + 1) for n in range(10)])
    assert rates[10] == 2.0
    assert rates[25] == pytest.approx(1.0)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01


def test_positions_have_a_rate_of_their_own_and_no_decay() -> None:
    for name in ("isotropic", "full-covariance", "learned", "resnet"):
        model = run_of(name).build()
        groups = positions_apart(model, 0.1, 0.3, factor=5.0)
        positions = [
            parameter
            for name, parameter in model.named_parameters()
            if name.rpartition(".")[2] in {"alpha", "centers", "spans"}
        ]
        for group in groups:
            for parameter in group["params"]:
                apart = any(parameter is position for position in positions)
                assert group["lr"] == pytest.approx(0.5 if apart else 0.1)
                assert group["weight_decay"] == (0.0 if apart else 0.3)
        assert sum(len(group["params"]) for group in groups) == len(
            list(model.parameters())
        )


def test_alpha_stays_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the steps are; without the clamp the layer refuses to run."""
    run = run_of(
        optimizer="sgd",
        positions_rate=100.0,
        epochs=6,
        keep="network",
        build=soft_network,
    )
    session = Session()
    session.train(run)
    assert session.kept("network")["blocks.0.attention.alpha"].min() == 0
    monkeypatch.setattr("expressivity.experiments.run.kept_in_range", lambda _: None)
    with pytest.raises(ArgumentError, match="alpha needs finite numbers of at least 0"):
        Session().train(run)


def soft_network() -> nn.Module:
    model = run_of().build()
    nn.init.constant_(model.get_parameter("blocks.0.attention.alpha"), 1e-3)
    return model


def test_augmented_images_are_shifted_and_mirrored_ones() -> None:
    """Each epoch sees every image within the shifts that are allowed, or its mirror."""
    seen: list[torch.Tensor] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(x.detach())
            return self.linear(x.flatten(1))

    run = run_of(build=Watching, epochs=2)
    Session().train(run)
    inputs = run.data.inputs(run.data.train.pixels)
    wide = nn.functional.pad(inputs, [1] * 4)
    allowed = torch.cat([
        moved
        for row in range(3)
        for column in range(3)
        for moved in (
            wide[:, :, row : row + 4, column : column + 4],
            wide[:, :, row : row + 4, column : column + 4].flip(-1),
        )
    ])
    images = torch.cat(seen)
    assert len(images) == 2 * len(run.data.train)
    gaps = (images[:, None] - allowed).abs().amax((2, 3, 4))
    assert gaps.amin(1).max() == 0
    assert len(set(gaps.argmin(1).tolist())) > len(run.data.train)


def test_accuracy_is_a_share() -> None:
    data = stripes()

    class Knowing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows, columns = (x.mean(axis).amax(-1).flatten() for axis in (3, 2))
            return torch.stack([columns, rows], 1)

    assert accuracy(Knowing(), data, data.test) == 1.0
    wrong = replace(data.test, labels=1 - data.test.labels)
    assert accuracy(Knowing(), data, wrong) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs needs an integer of at least 0"),
        ({"batch": 0}, "batch needs an integer of at least 1"),
        ({"every": 0}, "every needs an integer of at least 1"),
        ({"learning_rate": 0.0}, "learning_rate needs a positive finite number"),
        ({"optimizer": "rprop"}, r"optimizer needs one of \('sgd', 'adam'\)"),
        ({"warmup": 2.0}, "warmup needs a share from 0 to 1"),
        ({"weight_decay": -1.0}, "weight_decay a number of at least 0"),
    ],
)
def test_schedules_out_of_range_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        replace(SCHEDULE, **options)


def test_a_run_that_diverges_is_logged_as_json_and_resumed(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    run = run_of("resnet", optimizer="sgd", learning_rate=1e30)
    records = session.train(run)
    assert math.isnan(records[-1]["loss"])
    for line in (tmp_path / LOG).read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    again = session_in(tmp_path, resume=True).journal.records
    assert repr(again) == repr(records)


# The journal by itself.


@pytest.fixture
def started(tmp_path: Path) -> Path:
    with pytest.raises(Stop, match="stopped"):
        all_runs(session_in(tmp_path, stop=2))
    return tmp_path


def test_a_log_is_never_replaced_unasked(started: Path) -> None:
    before = (started / LOG).read_bytes()
    with pytest.raises(FileError, match=r"log.jsonl exists: pass --resume to go on"):
        Journal.opened(started, SETTINGS, resume=False, force=False)
    assert (started / LOG).read_bytes() == before
    fresh = Journal.opened(started, SETTINGS, resume=False, force=True)
    assert fresh.records == []
    fresh.write()
    assert len((started / LOG).read_text().splitlines()) == 1


def test_other_settings_are_refused(started: Path) -> None:
    with pytest.raises(FileError, match=r"written with sizes=\[1, 2\], got \[1, 3\]"):
        Journal.opened(started, {**SETTINGS, "sizes": [1, 3]}, resume=True, force=False)


def test_every_line_is_json(started: Path) -> None:
    settings, *records = map(json.loads, (started / LOG).read_text().splitlines())
    assert settings == {"settings": SETTINGS}
    assert [r["epoch"] for r in records] == [0, 1, 2]
    assert records[0]["loss"] is None


@pytest.mark.parametrize("name", [LOG, CHECKPOINT])
@pytest.mark.parametrize("damage", ["cut", "noise", "missing"])
def test_damage_is_named(started: Path, name: str, damage: str) -> None:
    path = started / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
        if name == LOG:  # then there is nothing to go on with
            assert Journal.opened(started, {}, resume=True, force=False).records == []
            return
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\xff")
    with pytest.raises(FileError, match=r"start anew with --force|cannot be read"):
        Journal.opened(started, SETTINGS, resume=True, force=False)


def test_a_log_and_a_checkpoint_of_two_runs_are_noticed(started: Path) -> None:
    lines = (started / LOG).read_text().splitlines()
    (started / LOG).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(FileError, match=r"has 3 lines and checkpoint.pt is of 4"):
        Journal.opened(started, SETTINGS, resume=True, force=False)


def test_a_second_process_in_the_same_folder_is_noticed(tmp_path: Path) -> None:
    first, second = session_in(tmp_path), session_in(tmp_path)
    first.train(run_of(epochs=1))
    with pytest.raises(FileError, match="has been changed by another process"):
        second.train(run_of(epochs=1))
