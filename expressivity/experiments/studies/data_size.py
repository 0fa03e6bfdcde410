"""Convolution's prior against attention's freedom, as data grow.

Five networks that differ in their two layers alone, all with 3×3 pixels of reach, on
nested subsets. The learning rate of each network is chosen for each size, by its
accuracy on images that are neither trained on nor tested with. All train for as many
steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from torch import nn

from expressivity.experiments.data import Dataset
from expressivity.experiments.data.images import split_by_class
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.run import Run
from expressivity.experiments.schedule import Schedule
from expressivity.experiments.studies import small
from expressivity.experiments.studies.spread import Spread, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.listing import Listing
from expressivity.plots.training import plot_courses

FIGURES = ("data-size.png",)
SIZES = (50, 100, 200, 400, 2000, 10000)
RATES = (0.3, 1.0, 3.0, 10.0)  # over the learning rate of the plan
CONVOLUTION = "convolution"
VARIANTS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    CONVOLUTION: lambda conv: conv,
    "converted, α = 2": small.converted,
    "converted, frozen": small.frozen,
    "random quadratic": small.random_quadratic,
    "content": small.content,
}
_VALIDATION = 0.25
_TUNING_SEED = 1_000_003
_STEPS = 10  # for an epoch of the plan


def _build(data: Dataset, variant: str) -> nn.Module:
    return small.replaced(small.convolutional(data), VARIANTS[variant])


def _parts(plan: Plan) -> tuple[Dataset, Dataset]:
    """Return the data to train on and test with, and those for tuning."""
    train, held_out = split_by_class(
        plan.data.train,
        len(plan.data.classes),
        test_fraction=_VALIDATION,
        seed=_TUNING_SEED,
    )
    data = replace(plan.data, train=train)
    return data, replace(data, test=held_out)


def sizes(plan: Plan) -> list[int]:
    """Return the sizes of subsets, all images last."""
    data, _ = _parts(plan)
    total, classes = len(data.train), len(data.classes)
    return [size for size in SIZES if classes <= size < total] + [total]


def schedule(plan: Plan, size: int, rate: float) -> Schedule:
    """Return the schedule for a subset: as many steps as for any other.

    Args:
        plan: Of the experiment.
        size: Number of training images.
        rate: Over the learning rate of the plan.

    Returns:
        The schedule, with records of the beginning and the end.
    """
    steps = _STEPS * plan.schedule.epochs
    epochs = -(-steps // -(-size // plan.schedule.batch))
    return replace(
        plan.schedule,
        epochs=epochs,
        every=epochs,
        learning_rate=rate * plan.schedule.learning_rate,
    )


def _runs(plan: Plan, journal: Journal) -> Iterator[Run]:
    data, tuning = _parts(plan)
    for variant in VARIANTS:
        for size in sizes(plan):
            for rate in RATES:
                name = _tuning(variant, size, rate)
                yield _run(plan, tuning, name, variant, size, rate, _TUNING_SEED)
            best = chosen(journal.records, variant, size)
            for seed in plan.seeds:
                name = _final(variant, size)
                yield _run(plan, data, name, variant, size, best, seed)


def _run(
    plan: Plan,
    data: Dataset,
    name: str,
    variant: str,
    size: int,
    rate: float,
    seed: int,
) -> Run:
    return Run(
        name,
        seed,
        partial(_build, data, variant),
        data.subset(size, seed=seed),
        schedule(plan, size, rate),
    )


def chosen(records: list[Record], variant: str, size: int) -> float:
    """Return the learning rate that did best in tuning, over that of the plan."""
    scores = {
        rate: last(records, _tuning(variant, size, rate), (_TUNING_SEED,)).mean
        for rate in RATES
    }
    return max(scores, key=scores.__getitem__)


def _tuning(variant: str, size: int, rate: float) -> str:
    return f"{variant}, {size} images, tuning with {rate:.2g} × the rate"


def _final(variant: str, size: int) -> str:
    return f"{variant}, {size} images"


def _epochs(plan: Plan) -> int:
    return sum(
        len(VARIANTS)
        * (len(RATES) + len(plan.seeds))
        * schedule(plan, size, 1.0).epochs
        for size in sizes(plan)
    )


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    counts = sizes(plan)
    scores = {
        variant: [last(records, _final(variant, size), plan.seeds) for size in counts]
        for variant in VARIANTS
    }
    tables = [
        _table(plan, counts, scores, f"test accuracy [%] on {plan.data.name}"),
        _table(
            plan,
            counts,
            {
                variant: [
                    mine.minus(conv)
                    for mine, conv in zip(row, scores[CONVOLUTION], strict=True)
                ]
                for variant, row in scores.items()
                if variant != CONVOLUTION
            },
            "minus the convolution, seed by seed, in points",
        ),
    ]
    fields = {
        variant: {
            str(size): {
                **score.to_dict(),
                "learning_rate": plan.schedule.learning_rate
                * chosen(records, variant, size),
            }
            for size, score in zip(counts, row, strict=True)
        }
        for variant, row in scores.items()
    }
    courses = {
        variant: (
            counts,
            [list(run) for run in zip(*(s.values for s in row), strict=True)],
        )
        for variant, row in scores.items()
    }
    draw = partial(
        plot_courses,
        courses,
        x="training images",
        y="accuracy on test images",
        logarithmic=True,
    )
    return Outcome(
        tables, _remarks(plan, records), {"variants": fields}, {FIGURES[0]: draw}
    )


def _remarks(plan: Plan, records: list[Record]) -> list[str]:
    """Say where the best learning rate may lie outside of those that were tried."""
    ends = {min(RATES), max(RATES)}
    outside = [
        _final(variant, size)
        for variant in VARIANTS
        for size in sizes(plan)
        if chosen(records, variant, size) in ends
    ]
    tried = ", ".join(f"{rate * plan.schedule.learning_rate:.2g}" for rate in RATES)
    where = "; ".join(outside) if outside else "none"
    return [f"learning rates {tried}; chosen at an end of these: {where}"]


def _table(
    plan: Plan, counts: list[int], scores: dict[str, list[Spread]], title: str
) -> Listing:
    return Listing.of(
        ["layers"],
        [f"{size} images" for size in counts],
        [(name, *(score.percent() for score in row)) for name, row in scores.items()],
        title=title,
        caption=f"mean ± standard deviation over {plan.all_seeds}",
    )


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
