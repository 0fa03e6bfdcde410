"""A trained CNN goes on training: as it is, or recast as attention.

A small CNN is trained and kept. From its weights five networks train on: the CNN
itself, and four in which soft attention stands in for its convolutions. Clean and
corrupted test images judge them. The ablation recasts with positions that stay.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import fmean

from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.conversion import attention_from_conv
from expressivity.experiments.data import Dataset
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.run import Run, accuracy
from expressivity.experiments.studies import small
from expressivity.experiments.studies.corruptions import CORRUPTIONS, corrupted
from expressivity.experiments.studies.spread import course, last
from expressivity.experiments.studies.study import Experiment, Outcome, Plan
from expressivity.listing import Listing
from expressivity.plots.training import plot_courses

FIGURES = ("recast.png",)
ALPHA = 4.0
KEY_DIM = 8
CNN, CONTINUED = "CNN", "CNN, continued"
_SLOWER = 1 / 3  # learning rate of what goes on training, over that of the CNN


def soft(conv: nn.Conv2d) -> RelativeSelfAttention:
    """Return a convolution as attention whose gradients are alive."""
    return attention_from_conv(conv, alpha=ALPHA)


def gated(conv: nn.Conv2d) -> RelativeSelfAttention:
    """Return the same with content beside its positions."""
    return soft(conv).add_content(KEY_DIM)


VARIANTS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    CONTINUED: lambda conv: conv,
    "recast": soft,
    "recast, positions fixed": lambda conv: small.with_fixed_positions(soft(conv)),
    "recast, gate": gated,
    "recast, content in the softmax": lambda conv: soft(conv).add_content(
        KEY_DIM, gate=None
    ),
}


def shares_of_content(model: nn.Module) -> dict[str, object]:
    """Return the mean share of content of all gated heads, if there are any."""
    gates = [
        m.gate
        for m in model.modules()
        if isinstance(m, RelativeSelfAttention) and m.gate is not None
    ]
    if not gates:
        return {}
    return {"share": fmean(v for g in gates for v in g.neg().sigmoid().tolist())}


def from_kept(
    journal: Journal,
    kept: str,
    build: Callable[[], nn.Sequential],
    make: Callable[[nn.Conv2d], nn.Module],
) -> nn.Module:
    """Return a network that has been trained, recast."""
    model = build()
    model.load_state_dict(journal.kept[kept])
    return small.replaced(model, make)


def _observed(worse: dict[str, Dataset], model: nn.Module) -> dict[str, object]:
    device = next(model.parameters()).device
    scores = {
        name: accuracy(model, data, data.test.to(device))
        for name, data in worse.items()
    }
    return {
        **scores,
        "corrupted": fmean(scores.values()),
        **shares_of_content(model),
    }


def _runs(plan: Plan, journal: Journal) -> Iterator[Run]:
    build = partial(small.convolutional, plan.data)
    worse = {name: corrupted(plan.data, name) for name in CORRUPTIONS}
    observe = partial(_observed, worse)
    slower = replace(plan.schedule, learning_rate=_SLOWER * plan.schedule.learning_rate)
    for seed in plan.seeds:
        kept = f"{CNN} {seed}"
        yield Run(
            CNN, seed, build, plan.data, plan.schedule, observe=observe, keep=kept
        )
        for name, make in VARIANTS.items():
            yield Run(
                name,
                seed,
                partial(from_kept, journal, kept, build, make),
                plan.data,
                slower,
                observe=observe,
            )


def _epochs(plan: Plan) -> int:
    return (1 + len(VARIANTS)) * len(plan.seeds) * plan.schedule.epochs


def _outcome(plan: Plan, records: list[Record]) -> Outcome:
    names = (CNN, *VARIANTS)
    clean = {name: last(records, name, plan.seeds) for name in names}
    worse = {name: last(records, name, plan.seeds, "corrupted") for name in names}

    def row(name: str) -> tuple[str, ...]:
        gains = (
            (
                scores[name].minus(scores[CONTINUED]).percent()
                for scores in (clean, worse)
            )
            if name not in {CNN, CONTINUED}
            else ("", "")
        )
        return name, clean[name].percent(), worse[name].percent(), *gains

    table = Listing.of(
        ["network"],
        ["clean [%]", "corrupted [%]", "clean, minus CNN", "corrupted, minus CNN"],
        [row(name) for name in names],
        title=f"going on from a trained CNN on {plan.data.name}, {plan.all_seeds}",
        caption="mean ± standard deviation over seeds; differences to the CNN that "
        "was continued, seed by seed, in points; corrupted: mean of "
        f"{', '.join(CORRUPTIONS)}",
    )
    share = last(records, "recast, gate", plan.seeds, "share")
    fields = {
        name: {
            "accuracy": clean[name].to_dict(),
            "corrupted": worse[name].to_dict(),
            **{
                kind: last(records, name, plan.seeds, kind).to_dict()
                for kind in CORRUPTIONS
            },
        }
        for name in names
    }
    epochs, continued = course(records, CONTINUED, plan.seeds, "corrupted")
    gains = {
        name: (
            epochs,
            [
                [mine - theirs for mine, theirs in zip(*pair, strict=True)]
                for pair in zip(
                    course(records, name, plan.seeds, "corrupted")[1],
                    continued,
                    strict=True,
                )
            ],
        )
        for name in VARIANTS
        if name != CONTINUED
    }
    draw = partial(
        plot_courses,
        gains,
        x="epochs",
        y="accuracy on corrupted images, minus CNN",
    )
    return Outcome(
        [table],
        [f"share of content behind the gate, after training: {share.percent()} %"],
        {"networks": fields, "share_of_content": share.to_dict()},
        {FIGURES[0]: draw},
    )


EXPERIMENT = Experiment(_runs, _epochs, _outcome, FIGURES)
