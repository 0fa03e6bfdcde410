"""A task that needs content: are two distant squares of one kind?

A network of convolutions whose windows meet one square at most cannot get its loss
below that of guessing: :mod:`expressivity.experiments.data.same_different` says why.
The same network, recast with a gate, attends to what tokens hold, wherever they are.
The ablation recasts without content.
"""

from collections.abc import Callable, Iterator
from functools import partial

from torch import nn

from expressivity.experiments.data import Dataset
from expressivity.experiments.data.same_different import same_different
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.run import Run
from expressivity.experiments.schedule import Schedule
from expressivity.experiments.studies import small
from expressivity.experiments.studies.recast import (
    from_kept,
    gated,
    shares_of_content,
    soft,
)
from expressivity.experiments.studies.spread import Spread, course, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.listing import Listing
from expressivity.plots.training import plot_courses

FIGURES = ("must-have-content.png",)
_SCHEDULE = Schedule(
    epochs=30,
    batch=32,
    learning_rate=0.003,
    optimizer="adam",
    weight_decay=0.0,
)
CNN, CONTINUED, GATED = "CNN", "CNN, continued", "recast, gate"
VARIANTS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    CONTINUED: lambda conv: conv,
    "recast": soft,
    "recast, positions fixed": lambda conv: small.with_fixed_positions(soft(conv)),
    GATED: gated,
}


def convolutional(data: Dataset) -> nn.Sequential:
    """Return two 3×3 convolutions, a map of every pixel, and a mean of all.

    Args:
        data: What it is to classify.

    Returns:
        A network whose logits are sums over windows of 5×5 pixels.
    """
    width, kernel = small.WIDTH, small.KERNEL
    return nn.Sequential(
        nn.Conv2d(data.channels, width, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, len(data.classes)),
    )


def _of_second(make: Callable[[nn.Conv2d], nn.Module], conv: nn.Conv2d) -> nn.Module:
    """Replace the second 3×3 convolution alone."""
    wide = conv.in_channels == conv.out_channels and conv.kernel_size[0] > 1
    return make(conv) if wide else conv


def _runs(plan: Plan, journal: Journal) -> Iterator[Run]:
    build = partial(convolutional, plan.data)
    for seed in plan.seeds:
        kept = f"{CNN} {seed}"
        yield Run(CNN, seed, build, plan.data, plan.schedule, keep=kept)
        for name, make in VARIANTS.items():
            recast = partial(_of_second, make)
            yield Run(
                name,
                seed,
                partial(from_kept, journal, kept, build, recast),
                plan.data,
                plan.schedule,
                observe=shares_of_content,
            )


def _epochs(plan: Plan) -> int:
    return (1 + len(VARIANTS)) * len(plan.seeds) * plan.schedule.epochs


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    names = (CNN, *VARIANTS)
    accuracies = {name: last(records, name, plan.seeds) for name in names}
    losses = {name: last(records, name, plan.seeds, "loss") for name in names}
    share = last(records, GATED, plan.seeds, "share")
    table = Listing.of(
        ["network"],
        ["test accuracy [%]", "worst", "best", "training loss"],
        [_row(name, accuracies[name], losses[name]) for name in names],
        title=f"are two distant squares of one kind? {plan.all_seeds}",
        caption="mean ± standard deviation over seeds; no such CNN gets its loss below "
        "that of guessing, 0.693",
    )
    fields = {
        name: {"accuracy": accuracies[name].to_dict(), "loss": losses[name].to_dict()}
        for name in names
    }
    courses = {name: course(records, name, plan.seeds) for name in VARIANTS}
    draw = partial(plot_courses, courses, x="epochs", y="accuracy on test images")
    return Outcome(
        [table],
        [f"share of content behind the gate, after training: {share.percent()} %"],
        {"networks": fields, "share_of_content": share.to_dict()},
        {FIGURES[0]: draw},
    )


def _row(name: str, accuracy: Spread, loss: Spread) -> tuple[str, ...]:
    worst, best = min(accuracy.values), max(accuracy.values)
    return name, accuracy.percent(), f"{worst:.1%}", f"{best:.1%}", loss.text(3)


EXPERIMENT = Experiment(
    _runs, _epochs, _outcome, FIGURES, data=same_different, schedule=_SCHEDULE
)
