"""How should a vision transformer start? Four initialisers side by side.

Accuracy against epochs, and the distance of attention maps from shifts, before training
and after it. The ablation is the default: the same network.
"""

from collections.abc import Iterator
from functools import partial

from torch import nn

from expressivity.experiments.data import Dataset
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.run import Run
from expressivity.experiments.studies.spread import course, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.experiments.vision_transformer import (
    VisionTransformer,
    distance_from_shifts,
)
from expressivity.listing import Listing
from expressivity.plots.training import plot_courses
from expressivity.stock import attention_maps
from expressivity.training.initialisers import INITIALISERS, Initialiser

FIGURES = ("initialisation.png",)
_OBSERVED = 32  # test images
DEFAULT = "default"


def _build(plan: Plan, initialise: Initialiser) -> VisionTransformer:
    sizes, data = plan.sizes, plan.data
    canvas = sizes.canvas(data.size)
    model = VisionTransformer(
        heads=sizes.heads,
        layers=sizes.layers,
        patch=sizes.patch,
        canvas=canvas,
        channels=data.channels,
        classes=len(data.classes),
    )
    initialise(model, size=canvas)
    return model


def _observed(
    data: Dataset, canvas: tuple[int, int], model: nn.Module
) -> dict[str, object]:
    device = next(model.parameters()).device
    images = data.inputs(data.test.pixels[:_OBSERVED].to(device))
    distances = [
        float(distance_from_shifts(maps, canvas).mean())
        for maps in attention_maps(model, images)
    ]
    return {
        "distance": sum(distances) / len(distances),
        "first distance": distances[0],
    }


def _runs(plan: Plan, _: Journal) -> Iterator[Run]:
    canvas = plan.sizes.canvas(plan.data.size)
    for name, initialise in INITIALISERS.items():
        for seed in plan.seeds:
            yield Run(
                name,
                seed,
                partial(_build, plan, initialise),
                plan.data,
                plan.schedule,
                observe=partial(_observed, plan.data, canvas),
            )


def _epochs(plan: Plan) -> int:
    return len(INITIALISERS) * len(plan.seeds) * plan.schedule.epochs


def _at(records: list[Record], epoch: int) -> list[Record]:
    return [record for record in records if record["epoch"] == epoch]


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    soon = max(1, plan.schedule.epochs // 5)
    scores = {name: last(records, name, plan.seeds) for name in INITIALISERS}
    first = {name: last(_at(records, soon), name, plan.seeds) for name in INITIALISERS}
    distances = {
        name: {
            "before": last(_at(records, 0), name, plan.seeds, "distance"),
            "first block, before": last(
                _at(records, 0), name, plan.seeds, "first distance"
            ),
            "after": last(records, name, plan.seeds, "distance"),
        }
        for name in INITIALISERS
    }

    def row(name: str) -> tuple[str, ...]:
        gain = scores[name].minus(scores[DEFAULT])
        return (
            name,
            first[name].percent(),
            scores[name].percent(),
            "" if name == DEFAULT else gain.percent(),
            *(distance.text(3) for distance in distances[name].values()),
        )

    table = Listing.of(
        ["initialiser"],
        [
            f"epoch {soon} [%]",
            f"epoch {plan.schedule.epochs} [%]",
            "minus default",
            "distance before",
            "first block",
            "after",
        ],
        [row(name) for name in INITIALISERS],
        title=f"a vision transformer on {plan.data.name}, {len(plan.seeds)} seeds",
        caption="test accuracy, mean ± standard deviation over seeds; differences seed "
        "by seed, in points; distance: attention that is not where the nearest shift "
        "leads to, mean over heads",
    )
    fields = {
        name: {
            "accuracy": scores[name].to_dict(),
            f"accuracy at epoch {soon}": first[name].to_dict(),
            "distance": {w: d.to_dict() for w, d in distances[name].items()},
        }
        for name in INITIALISERS
    }
    courses = {name: course(records, name, plan.seeds) for name in INITIALISERS}
    draw = partial(plot_courses, courses, x="epochs", y="accuracy on test images")
    return Outcome([table], (), {"initialisers": fields}, {FIGURES[0]: draw})


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
