"""The paper's networks side by side: accuracy, and where their heads end up."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.networks import network
from expressivity.experiments.run import Run
from expressivity.experiments.studies.spread import course, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.listing import Listing
from expressivity.plots.training import plot_centers, plot_courses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ISOTROPIC = "isotropic"
FIGURES = ("accuracy.png", "centers.png")


def positions(model: nn.Module) -> dict[str, object]:
    """Return α and the center of every head that is quadratic, layer by layer."""
    layers = [m for m in model.modules() if isinstance(m, RelativeSelfAttention)]
    return {
        "alpha": [layer.alpha.detach().tolist() for layer in layers],
        "centers": [layer.centers.detach().tolist() for layer in layers],
    }


def _size(model: nn.Module) -> dict[str, object]:
    return {"parameters": sum(p.numel() for p in model.parameters())}


def _observed(model: nn.Module) -> dict[str, object]:
    return {**_size(model), **positions(model)}


def _runs(plan: Plan, _: Journal) -> Iterator[Run]:
    for name in plan.networks:
        for seed in plan.seeds:
            yield Run(
                name,
                seed,
                partial(network, name, plan.sizes, plan.data),
                plan.data,
                plan.schedule,
                observe=_observed if name == ISOTROPIC else _size,
            )


def _epochs(plan: Plan) -> int:
    return len(plan.networks) * len(plan.seeds) * plan.schedule.epochs


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    accuracies = {name: last(records, name, plan.seeds) for name in plan.networks}
    losses = {name: last(records, name, plan.seeds, "loss") for name in plan.networks}
    sizes = {r["run"]: r["parameters"] for r in records}
    table = Listing.of(
        ["network"],
        ["weights", "test accuracy [%]", "worst", "best", "training loss"],
        [
            (
                name,
                f"{sizes[name]:,}",
                accuracy.percent(),
                f"{min(accuracy.values):.1%}",
                f"{max(accuracy.values):.1%}",
                losses[name].text(3),
            )
            for name, accuracy in accuracies.items()
        ],
        title=f"the paper's networks on {plan.data.name}, {plan.all_seeds}",
        caption="mean ± standard deviation over seeds",
    )
    fields = {
        name: {
            "parameters": sizes[name],
            "accuracy": accuracies[name].to_dict(),
            "loss": losses[name].to_dict(),
        }
        for name in plan.networks
    }
    courses = {name: course(records, name, plan.seeds) for name in plan.networks}
    figures = {
        "accuracy.png": partial(
            plot_courses, courses, x="epochs", y="accuracy on test images"
        )
    }
    if ISOTROPIC in plan.networks:
        figures["centers.png"] = partial(_draw_centers, plan, records)
    return Outcome([table], (), {"networks": fields}, figures)


def _draw_centers(plan: Plan, records: list[Record]) -> "Figure":
    first = [r for r in records if r["run"] == ISOTROPIC and r["seed"] == plan.seeds[0]]
    return plot_centers([r["centers"] for r in first], first[-1]["alpha"])


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
