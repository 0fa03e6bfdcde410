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

    seeds = f"mean ± standard deviation over {plan.all_seeds}"
    tables = [
        Listing.of(
            ["initialiser"],
            [
                f"epoch {soon} [%]",
                f"epoch {plan.schedule.epochs} [%]",
                "minus default",
            ],
            [
                (
                    name,
                    first[name].percent(),
                    score.percent(),
                    "" if name == DEFAULT else score.minus(scores[DEFAULT]).percent(),
                )
                for name, score in scores.items()
            ],
            title=f"test accuracy of a vision transformer on {plan.data.name}",
            caption=f"{seeds}; differences seed by seed, in points",
        ),
        Listing.of(
            ["initialiser"],
            ["before training", "first block, before", "after training"],
            [
                (name, *(distance.text(3) for distance in found.values()))
                for name, found in distances.items()
            ],
            title="distance of heads from shifts",
            caption="attention that is not where the nearest shift leads to, mean over "
            f"heads; {seeds}",
        ),
    ]
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
    return Outcome(tables, (), {"initialisers": fields}, {FIGURES[0]: draw})


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
