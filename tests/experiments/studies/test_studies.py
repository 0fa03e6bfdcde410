"""Every study, in the smallest size: what it trains, and what it says of records."""

import math
from dataclasses import replace

import pytest
import torch

from expressivity.attention import RelativeSelfAttention
from expressivity.experiments.data import Dataset, Images
from expressivity.experiments.networks import Architecture
from expressivity.experiments.run import Run, Session
from expressivity.experiments.schedule import Schedule
from expressivity.experiments.studies import (
    EXPERIMENTS,
    Outcome,
    Plan,
    data_size,
    must_have_content,
    small,
)
from expressivity.experiments.studies.corruptions import CORRUPTIONS, corrupted
from expressivity.experiments.studies.spread import Spread, last
from expressivity.results import as_text

SIZES = Architecture(
    width=4, layers=2, heads=4, hidden=4, dropout=0.0, residual_width=2
)
SCHEDULE = Schedule(epochs=1, batch=16, learning_rate=0.01, optimizer="adam")
SEEDS = (3, 4)


def stripes() -> Dataset:
    """Return images of two classes, with a bright row or a bright column."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 100, (96, 1, 4, 4), generator=generator)
    labels = torch.arange(96) % 2
    for number in range(96):
        line = pixels[number, 0, number % 4]
        column = pixels[number, 0, :, number % 4]
        (line if labels[number] else column).add_(150)
    part = Images(pixels.byte(), labels)
    first = torch.arange(96) < 64
    return Dataset("stripes", part[first], part[~first], ("column", "row"))


def plan_of(name: str, **changes: object) -> Plan:
    study = EXPERIMENTS[name]
    data = stripes() if study.data is None else study.data()
    plan = Plan(data, SIZES, SCHEDULE, SEEDS, ("isotropic", "resnet"))
    return replace(plan, **changes)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[Session, Outcome]]:
    done = {}
    for name, study in EXPERIMENTS.items():
        session = Session()
        done[name] = session, study.carry_out(plan_of(name), session)
    return done


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_study_shows_tables_and_draws_its_figures(
    name: str, outcomes: dict[str, tuple[Session, Outcome]]
) -> None:
    pytest.importorskip("matplotlib")
    _, outcome = outcomes[name]
    assert all("±" in as_text(table) for table in outcome.tables)
    assert set(outcome.figures) == set(EXPERIMENTS[name].figures)
    for draw in outcome.figures.values():
        assert draw().axes


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_number_of_epochs_is_what_is_said(name: str) -> None:
    counted = 0

    def advance(_: str, epochs: int) -> None:
        nonlocal counted
        counted += epochs

    plan = plan_of(name, seeds=(0,))
    session = Session(advance=advance)
    for run in EXPERIMENTS[name].runs(plan, session.journal):
        session.train(run)
    assert counted == EXPERIMENTS[name].epochs(plan)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_second_session_with_the_journal_trains_nothing(
    name: str,
    outcomes: dict[str, tuple[Session, Outcome]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, outcome = outcomes[name]
    monkeypatch.setattr("expressivity.experiments.run._Training", pytest.fail)
    again = EXPERIMENTS[name].carry_out(plan_of(name), Session(session.journal))
    assert again.fields == outcome.fields


def test_numbers_in_tables_are_those_of_the_records(
    outcomes: dict[str, tuple[Session, Outcome]],
) -> None:
    session, outcome = outcomes["networks"]
    values = [
        record["accuracy"]
        for record in session.journal.records
        if (record["run"], record["epoch"]) == ("resnet", 1)
    ]
    assert len(values) == len(SEEDS)
    (table,) = outcome.tables
    mean = 100 * sum(values) / 2
    spread = 100 * abs(values[0] - values[1]) / math.sqrt(2)
    assert f"{mean:.1f} ± {spread:.1f}" in as_text(table)


def test_heads_with_fixed_positions_keep_them(
    outcomes: dict[str, tuple[Session, Outcome]],
) -> None:
    session, _ = outcomes["heads"]
    for name, moves in (("fixed positions", False), ("trained positions", True)):
        for seed in SEEDS:
            first, *_, final = session.journal.of(name, seed)
            assert (first["centers"] != final["centers"]) == moves
            assert (first["alpha"] != final["alpha"]) == moves


def test_all_layers_of_the_study_on_data_size_reach_as_far() -> None:
    conv = torch.nn.Conv2d(2, 4, 3, padding=1)
    taps = small.converted(conv).centers.square().sum(1).mean().sqrt()
    torch.manual_seed(0)
    random = [
        small.random_quadratic(conv).centers.square().sum(1).mean() for _ in range(200)
    ]
    assert torch.stack(random).mean().sqrt().item() == pytest.approx(
        taps.item(), rel=0.05
    )
    image = torch.zeros(1, 2, 7, 7)
    image[..., 3, 3] = 1
    content = small.content(conv)
    seen = (content(image) - content(torch.zeros_like(image))).abs().sum(1)[0] > 0
    assert seen.nonzero().amin(0).tolist() == [2, 2]
    assert seen.nonzero().amax(0).tolist() == [4, 4]


def test_the_learning_rate_is_chosen_on_other_images() -> None:
    plan = plan_of("data-size")
    data, tuning = data_size._parts(plan)
    assert len(data.train) + len(tuning.test) == len(plan.data.train)
    trained = {str(image.tolist()) for image in data.train.pixels}
    judged = {str(image.tolist()) for image in tuning.test.pixels}
    assert not trained & judged
    assert torch.equal(data.test.pixels, plan.data.test.pixels)


def test_the_best_rate_is_taken(
    outcomes: dict[str, tuple[Session, Outcome]],
) -> None:
    session, outcome = outcomes["data-size"]
    records = session.journal.records
    for variant, sizes in outcome.fields["variants"].items():
        for size, found in sizes.items():
            prefix = f"{variant}, {size} images, tuning with "
            best = {
                record["run"]: record["accuracy"]
                for record in records
                if record["run"].startswith(prefix) and record["epoch"]
            }
            assert len(best) == len(data_size.RATES)
            rate = found["learning_rate"] / SCHEDULE.learning_rate
            assert best[f"{prefix}{rate:.2g} × the rate"] == max(best.values())


def test_every_size_trains_for_as_many_steps() -> None:
    plan = plan_of("data-size", schedule=replace(SCHEDULE, epochs=15))
    steps = {
        size: data_size.schedule(plan, size, 1.0).epochs * -(-size // 16)
        for size in (8, 50, 200, 1000)
    }
    assert min(steps.values()) >= 150
    assert max(steps.values()) < 150 + 1000 // 16 + 1


def test_a_recast_network_starts_where_the_cnn_stopped(
    outcomes: dict[str, tuple[Session, Outcome]],
) -> None:
    session, _ = outcomes["must-have-content"]
    for seed in SEEDS:
        stopped = session.journal.of("CNN", seed)[-1]
        continued = session.journal.of("CNN, continued", seed)[0]
        assert continued["accuracy"] == stopped["accuracy"]


def test_the_share_of_content_is_reported_and_starts_small(
    outcomes: dict[str, tuple[Session, Outcome]],
) -> None:
    for name in ("recast", "must-have-content"):
        session, _ = outcomes[name]
        share = session.journal.of("recast, gate", SEEDS[0])[0]["share"]
        assert share == pytest.approx(1 / (1 + math.exp(4)), rel=1e-5)


def test_only_the_second_convolution_is_recast() -> None:
    data = must_have_content.same_different()
    runs = must_have_content.EXPERIMENT.runs(
        plan_of("must-have-content"), Session().journal
    )
    names = [next(runs).name for _ in range(5)]
    assert names[0] == "CNN"
    model = small.replaced(
        must_have_content.convolutional(data),
        lambda conv: must_have_content._of_second(small.converted, conv),
    )
    kinds = [type(layer) for layer in model]
    assert kinds.count(RelativeSelfAttention) == 1
    assert isinstance(model[2], RelativeSelfAttention)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupted_images_are_others_with_the_same_labels(name: str) -> None:
    data = stripes()
    worse = corrupted(data, name)
    assert torch.equal(worse.test.labels, data.test.labels)
    assert torch.equal(worse.train.pixels, data.train.pixels)
    assert not torch.equal(worse.test.pixels, data.test.pixels)
    assert corrupted(data, name).digest == worse.digest


def test_corruptions_are_what_they_are_called() -> None:
    data = stripes()
    before = data.test.pixels.float()
    after = {name: corrupted(data, name).test.pixels.float() for name in CORRUPTIONS}
    assert torch.equal(after["shift"][:, :, 1:, 1:], before[:, :, :-1, :-1])
    ratio = after["contrast"].std((1, 2, 3)) / before.std((1, 2, 3))
    assert (ratio - 0.4).abs().max() < 0.02
    hidden = (after["occlusion"] != before).sum((1, 2, 3))
    assert hidden.max() == 1
    assert 20 < float((after["noise"] - before).std()) < 60
    middle = before[:, :, :3, :3].mean((2, 3))
    assert (after["blur"][:, :, 1, 1] - middle).abs().max() <= 1


def test_a_spread_is_of_the_last_record_of_every_seed() -> None:
    records = [
        {"run": "a", "seed": seed, "epoch": epoch, "accuracy": seed + epoch / 10}
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    ]
    spread = last(records, "a", (1, 0))
    assert spread.values == (1.2, 0.2)
    assert spread.deviation == pytest.approx(math.sqrt(0.5))
    assert spread.minus(Spread((1.0, 0.1))).text() == "0.15 ± 0.07"
    assert Spread((0.5,)).percent() == "50.0"


def test_runs_of_one_study_have_different_names() -> None:
    for name, study in EXPERIMENTS.items():
        plan = plan_of(name)
        session = Session()
        seen: list[tuple[str, int]] = []
        for run in study.runs(plan, session.journal):
            assert isinstance(run, Run)
            seen.append((run.name, run.seed))
            session.train(replace(run, schedule=replace(run.schedule, epochs=0)))
        assert len(set(seen)) == len(seen)
