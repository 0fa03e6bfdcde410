"""``expressivity train``: experiments in training, with a log that can be resumed."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from expressivity.cli.arguments import Train
from expressivity.cli.console import counter
from expressivity.cli.options import parse_size
from expressivity.cli.report import Report, Writer
from expressivity.errors import ArgumentError
from expressivity.experiments.data import (
    Dataset,
    load_digits,
    load_mnist,
    read_cifar10,
    read_folders,
)
from expressivity.experiments.journal import Journal
from expressivity.experiments.networks import NETWORKS, Architecture
from expressivity.experiments.processes import Processes, joined
from expressivity.experiments.run import Session
from expressivity.experiments.schedule import Schedule
from expressivity.experiments.studies import EXPERIMENTS, Experiment, Outcome, Plan
from expressivity.plots.style import new_figure

# For images that are small and few; all other data get the sizes of the paper.
_SMALL = Architecture(width=24, hidden=48, dropout=0.0, residual_width=8)
_BRIEF = Schedule(
    epochs=15,
    batch=64,
    learning_rate=0.005,
    optimizer="adam",
    weight_decay=0.01,
    positions_rate=10.0,
)
_FEWER = replace(_SMALL, patch=4)
_PRESETS = {
    "digits": (_SMALL, _BRIEF),
    "mnist": (_FEWER, replace(_BRIEF, epochs=10)),
}
_SMALL_IMAGE = 1024  # pixels
_AXES = ("height", "width")


class _Silent(Report):
    """The report of a process that does not lead: nothing."""

    def write(self, reservation: object) -> None:
        """Write nothing."""

    def print(self, stream: object, *, as_json: bool) -> None:
        """Print nothing."""


def run(arguments: Train) -> Report:
    """Train what the experiment needs, and report what is seen."""
    new_figure(1, 1)  # training takes hours: what draws the figures has to be there
    with joined(arguments.device) as processes:
        experiment = EXPERIMENTS[arguments.experiment]
        data = _data(arguments, experiment)
        plan = _plan(arguments, experiment, data)
        settings = _settings(arguments, plan)
        if (
            processes.device.type == "cpu"
            and data.size[0] * data.size[1] < _SMALL_IMAGE
        ):
            # On images this small a second thread costs more time than it saves.
            torch.set_num_threads(1)
        journal = _journal(arguments, settings, processes)
        with counter(experiment.epochs(plan), shown=processes.leads) as advance:
            session = Session(journal, processes, advance)
            outcome = experiment.carry_out(plan, session)
    if not processes.leads:
        return _Silent("train", [], {}, [])
    return _report(arguments, settings, outcome)


def _report(
    arguments: Train, settings: Mapping[str, object], outcome: Outcome
) -> Report:
    *figures, results = arguments.targets()
    files: dict[Path, Writer | None] = {}
    for path in figures:
        files[path] = outcome.figures[path.name]().savefig
    files[results] = None
    return Report(
        "train",
        [],
        {"settings": settings, **outcome.fields},
        [
            *outcome.tables,
            *outcome.remarks,
            "wrote",
            *(f"  {path}" for path in files),
        ],
        files,
    )


def _data(arguments: Train, experiment: Experiment) -> Dataset:
    """Return the images that the options name, or those of the experiment."""
    name, folder = arguments.data, arguments.folder
    if experiment.data is not None:
        if name != Train.data:
            raise ArgumentError(
                f"--experiment {arguments.experiment} brings its own images: leave "
                f"--data out, got --data {name}"
            )
        return experiment.data()
    if (folder is not None) != (name == "cifar10"):
        raise ArgumentError(
            "--folder goes with --data cifar10, which needs it, got "
            f"--data {name} and --folder {folder}"
        )
    if folder is not None:
        return read_cifar10(folder)
    if name in _PRESETS:
        return {"digits": load_digits, "mnist": load_mnist}[name]()
    path = Path(name)
    if not path.is_dir():
        raise ArgumentError(
            f"--data needs digits, mnist, cifar10 or a folder, got {name!r}"
        )
    return read_folders(path, image_size=_image_size(arguments.image_size))


def _image_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = parse_size("--image-size", text)
    if len(sides) > len(_AXES):
        raise ArgumentError(f"--image-size needs one or two numbers, got {text!r}")
    return sides[0], sides[-1]


def _plan(arguments: Train, experiment: Experiment, data: Dataset) -> Plan:
    """Return the plan: what is given, and for the rest what suits the data."""
    sizes, schedule = _PRESETS.get(arguments.data, (Architecture(), Schedule()))
    schedule = experiment.schedule or schedule
    names = tuple((arguments.networks or ",".join(NETWORKS)).split(","))
    if arguments.networks is not None and arguments.experiment != "networks":
        raise ArgumentError(
            "--networks goes with --experiment networks, got --experiment "
            f"{arguments.experiment}"
        )
    unknown = [name for name in names if name not in NETWORKS]
    if unknown or len(set(names)) < len(names):
        raise ArgumentError(
            f"--networks needs some of {', '.join(NETWORKS)}, each once, got "
            f"{arguments.networks!r}"
        )
    return Plan(
        data,
        replace(sizes, **_given(arguments, sizes)),
        replace(schedule, **_given(arguments, schedule)),
        tuple(range(arguments.seed, arguments.seed + arguments.seeds)),
        names,
    )


def _given(arguments: Train, preset: Architecture | Schedule) -> dict[str, Any]:
    """Return the fields of a preset that the user has given."""
    values = {name: getattr(arguments, name, None) for name in asdict(preset)}
    return {name: value for name, value in values.items() if value is not None}


def _settings(arguments: Train, plan: Plan) -> dict[str, object]:
    """Return what the log depends on."""
    return {
        "experiment": arguments.experiment,
        "data": plan.data.name,
        "pixels": plan.data.digest,
        "networks": list(plan.networks),
        "seeds": list(plan.seeds),
        **asdict(plan.sizes),
        **asdict(plan.schedule),
    }


def _journal(
    arguments: Train, settings: Mapping[str, object], processes: Processes
) -> Journal:
    """Return the journal of the process that leads."""
    journal = None
    if processes.leads:
        journal = Journal.opened(
            arguments.output.absolute(),
            settings,
            resume=arguments.resume,
            force=arguments.force,
        )
    shared = processes.agreed(journal)
    return Journal(settings) if shared is None else shared
