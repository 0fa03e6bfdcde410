"""Do heads arrange themselves as the taps of a convolution?

The isotropic network is trained; beside it, as the ablation, the same network whose
centers and α stay where they start.
"""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.networks import network
from expressivity.experiments.run import Run
from expressivity.experiments.studies.arrangement import (
    Arrangement,
    arrangement,
    trend,
)
from expressivity.experiments.studies.networks import ISOTROPIC, positions
from expressivity.experiments.studies.spread import Spread, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.listing import Listing
from expressivity.plots.style import new_figure, side_by_side
from expressivity.plots.training import draw_courses, plot_centers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED, FIXED = "trained positions", "fixed positions"
FIGURES = ("centers.png", "scores.png")
SIGNIFICANT = 0.05


def _fixed(plan: Plan) -> nn.Module:
    model = network(ISOTROPIC, plan.sizes, plan.data)
    for layer in model.modules():
        if isinstance(layer, RelativeSelfAttention):
            layer.alpha.requires_grad_(False)
            layer.centers.requires_grad_(False)
    return model


def _runs(plan: Plan, _: Journal) -> Iterator[Run]:
    builders = {
        TRAINED: partial(network, ISOTROPIC, plan.sizes, plan.data),
        FIXED: partial(_fixed, plan),
    }
    for name, build in builders.items():
        for seed in plan.seeds:
            yield Run(name, seed, build, plan.data, plan.schedule, observe=positions)


def _epochs(plan: Plan) -> int:
    return 2 * len(plan.seeds) * plan.schedule.epochs


def _scores(record: Record) -> list[Arrangement]:
    """Return the scores of every layer at one time."""
    pairs = zip(record["centers"], record["alpha"], strict=True)
    return [arrangement(centers, alphas) for centers, alphas in pairs]


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    trained = [r for r in records if r["run"] == TRAINED]
    final = {r["seed"]: _scores(r) for r in trained}  # the last record of each seed
    layers = [
        [final[seed][layer] for seed in plan.seeds]
        for layer in range(plan.sizes.layers)
    ]
    accuracies = {name: last(records, name, plan.seeds) for name in (TRAINED, FIXED)}
    by_seed = list(zip(*layers, strict=True))
    trends = {
        name: trend([[getattr(scores, name) for scores in run] for run in by_seed])
        for name in ("sharpness", "reach")
    }
    gain = accuracies[TRAINED].minus(accuracies[FIXED])
    tables = [*_layer_tables(plan, layers), _accuracy_table(plan, accuracies)]
    fields = {
        "layers": [[asdict(scores) for scores in layer] for layer in layers],
        "accuracy": {name: a.to_dict() for name, a in accuracies.items()},
        "gain": gain.to_dict(),
        "trends": {name: {"correlation": r, "p": p} for name, (r, p) in trends.items()},
    }
    figures = {
        "centers.png": partial(_draw_centers, plan, trained),
        "scores.png": partial(_draw_scores, plan, layers),
    }
    remarks = [
        *_remarks([scores for layer in layers for scores in layer]),
        *(
            f"{name} against depth: rank correlation {rho:.2f}, p = {p:.3f}"
            for name, (rho, p) in trends.items()
        ),
        f"trained minus fixed positions, seed by seed: {gain.percent()} points",
    ]
    return Outcome(tables, remarks, fields, figures)


def _remarks(scores: list[Arrangement]) -> list[str]:
    """Say how often chance explains a score, beside how often it would by itself."""
    lines = []
    for what, values in (
        ("a grid", [s.gridness_p for s in scores]),
        ("whole pixels", [s.integrality_p for s in scores]),
    ):
        known = [p for p in values if p is not None]
        if known:
            few = sum(p < SIGNIFICANT for p in known)
            lines.append(
                f"closer to {what} than chance (p < {SIGNIFICANT:g}): {few} of "
                f"{len(known)} layers; {SIGNIFICANT * len(known):.1f} are to be "
                "expected without any effect"
            )
    return lines


def _layer_tables(plan: Plan, layers: list[list[Arrangement]]) -> list[Listing]:
    def below(values: list[float | None]) -> str:
        known = [p for p in values if p is not None]
        return f"{sum(p < SIGNIFICANT for p in known)} of {len(known)}"

    def text(values: list[float | None]) -> str:
        known = tuple(v for v in values if v is not None)
        return Spread(known).text() if known else "-"

    numbered = list(enumerate(layers, 1))
    spread = f"mean ± standard deviation over {plan.all_seeds}"
    return [
        Listing.of(
            ["layer"],
            ["gridness", "p < 0.05", "to whole pixel", "p < 0.05"],
            [
                (
                    str(number),
                    text([s.gridness for s in scores]),
                    below([s.gridness_p for s in scores]),
                    text([s.integrality for s in scores]),
                    below([s.integrality_p for s in scores]),
                )
                for number, scores in numbered
            ],
            title=f"heads of the isotropic network on {plan.data.name}, after training",
            caption=f"{spread}; distances in tokens; p against clouds of the same "
            "covariance",
        ),
        Listing.of(
            ["layer"],
            ["α [1/token²]", "reach"],
            [
                (
                    str(number),
                    text([s.sharpness for s in scores]),
                    text([s.reach for s in scores]),
                )
                for number, scores in numbered
            ],
            title="how sharply they attend, and how far",
            caption=f"{spread}; reach in tokens",
        ),
    ]


def _accuracy_table(plan: Plan, accuracies: dict[str, Spread]) -> Listing:
    return Listing.of(
        ["network"],
        ["test accuracy [%]"],
        [(name, accuracy.percent()) for name, accuracy in accuracies.items()],
        title=f"the ablation, {plan.all_seeds}",
    )


def _draw_centers(plan: Plan, trained: list[Record]) -> "Figure":
    first = [r for r in trained if r["seed"] == plan.seeds[0]]
    return plot_centers([r["centers"] for r in first], first[-1]["alpha"])


def _draw_scores(plan: Plan, layers: list[list[Arrangement]]) -> "Figure":
    numbers = list(range(1, 1 + len(layers)))
    shown = {
        "gridness": "gridness",
        "integrality": "distance to whole pixels",
        "reach": "reach  (tokens)",
    }
    if layers[0][0].gridness is None:
        del shown["gridness"]
    figure = new_figure(3.0 * len(shown), 2.6)
    parts = side_by_side(figure, [1.0] * len(shown))
    for part, (name, label) in zip(parts, shown.items(), strict=True):
        runs = [
            [getattr(layer[seed], name) for layer in layers]
            for seed in range(len(plan.seeds))
        ]
        draw_courses(part, {name: (numbers, runs)}, x="layer", y=label)
    return figure


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
