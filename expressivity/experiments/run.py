"""One training run after another: a plain loop, a log, and a checkpoint an epoch.

Everything random in an epoch follows from the seed of the run and the number of the
epoch, so that a run that was interrupted continues as if it had not been.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.checks import check_choice, check_integer, check_positive
from expressivity.errors import ArgumentError
from expressivity.experiments.data.images import Dataset, Images
from expressivity.experiments.journal import Journal, Record, State
from expressivity.experiments.positions import kept_in_range, positions_apart
from expressivity.experiments.processes import Processes

Optimizer = Literal["sgd", "adam"]
_MOMENTUM = 0.9
_EVALUATED = 256  # images at a time


@dataclass(frozen=True)
class Schedule:
    """How a network is trained. The defaults are the paper's.

    Attributes:
        epochs: Passes over the training images.
        batch: Images a step, over all processes.
        learning_rate: The largest: it rises linearly, then falls as a cosine to zero.
        optimizer: ``"sgd"``, with momentum 0.9, or ``"adam"``, with decoupled decay.
        weight_decay: As torch's optimizers take it.
        positions_rate: Learning rate of centers, α and covariances, over that of
            weights. They are not decayed.
        warmup: Share of the steps in which the learning rate rises.
        crop: Pixels by which training images are shifted at random, at most.
        flip: Whether training images are mirrored at random.
        every: Epochs from one record and checkpoint to the next; the last epoch has
            one in any case.

    Raises:
        ArgumentError: If a number is out of range.
    """

    epochs: int = 300
    batch: int = 100
    learning_rate: float = 0.1
    optimizer: Optimizer = "sgd"
    weight_decay: float = 1e-4
    positions_rate: float = 1.0
    warmup: float = 0.05
    crop: int = 0
    flip: bool = False
    every: int = 1

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs, least=0)
        check_integer("batch", self.batch)
        check_integer("every", self.every)
        check_integer("crop", self.crop, least=0)
        check_positive("learning_rate", self.learning_rate)
        check_positive("positions_rate", self.positions_rate)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        if not (0 <= self.warmup <= 1 and 0 <= self.weight_decay < math.inf):
            raise ArgumentError(
                "warmup needs a share from 0 to 1 and weight_decay a number of at "
                f"least 0, got {self.warmup} and {self.weight_decay}"
            )

    def recorded(self, epoch: int) -> bool:
        """Whether an epoch ends with a record."""
        return epoch % self.every == 0 or epoch == self.epochs

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: Its number, from 0.
            steps: How many there are.

        Returns:
            The rate.

        Example:
            >>> schedule = Schedule(learning_rate=1.0, warmup=0.5)
            >>> [round(schedule.rate(step, 8), 2) for step in range(8)]
            [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
        """
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Run:
    """One network to train from one seed.

    Attributes:
        name: What the log calls it.
        seed: Decides its first weights, and the order of images.
        build: Returns the network; torch's generators are seeded then.
        data: What it is trained and tested on.
        schedule: How.
        observe: Returns what else the record of an epoch holds.
        keep: Name under which later runs find the trained network.
    """

    name: str
    seed: int
    build: Callable[[], nn.Module]
    data: Dataset
    schedule: Schedule
    observe: Callable[[nn.Module], Mapping[str, object]] | None = None
    keep: str | None = None


@dataclass
class Session:
    """Trains runs, and knows those that are in its journal.

    Attributes:
        journal: What has been recorded.
        processes: Who trains.
        advance: Called with the name of a run and the number of epochs just done.
    """

    journal: Journal = field(default_factory=lambda: Journal({}))
    processes: Processes = field(default_factory=Processes)
    advance: Callable[[str, int], object] = lambda *_: None

    def kept(self, name: str) -> State:
        """Return the weights that a run has kept."""
        return self.journal.kept[name]

    def train(self, run: Run) -> list[Record]:
        """Train a network, or what is missing of that.

        Args:
            run: What to do.

        Returns:
            A record for the beginning and one for every epoch: loss of the epoch,
            accuracy on the test images after it.
        """
        journal = self.journal
        done = journal.of(run.name, run.seed)
        reached = done[-1]["epoch"] if done else 0
        self.advance(run.name, reached)
        if done and reached == run.schedule.epochs:
            return done
        with _own_random_numbers(self.processes.device):
            _Training(run, self).finish()
        return journal.of(run.name, run.seed)


class _Training:
    """A run in progress."""

    def __init__(self, run: Run, session: Session) -> None:
        self.run, self.session = run, session
        processes = session.processes
        self.data = run.data.to(processes.device)
        torch.manual_seed(run.seed)
        self.model = run.build().to(processes.device)
        rate = run.schedule.learning_rate
        groups = positions_apart(
            self.model,
            rate,
            run.schedule.weight_decay,
            factor=run.schedule.positions_rate,
        )
        self.optimizer = _optimizer(run.schedule, groups)
        for group in self.optimizer.param_groups:
            group["share"] = group["lr"] / rate
        self.epoch = -1
        self._restore()
        self.trained = processes.wrapped(self.model)

    def finish(self) -> None:
        """Do the epochs that are missing."""
        if self.epoch < 0:
            self._record(0, None)
            self.epoch = 0
        schedule = self.run.schedule
        for epoch in range(self.epoch + 1, schedule.epochs + 1):
            loss = self._pass(epoch)
            if schedule.recorded(epoch):
                self._record(epoch, loss)
            self.session.advance(self.run.name, 1)

    def _restore(self) -> None:
        left, run = self.session.journal.unfinished, self.run
        if left is None or (left["run"], left["seed"]) != (run.name, run.seed):
            return
        self.model.load_state_dict(left["model"])
        self.optimizer.load_state_dict(left["optimizer"])
        self.epoch = left["epoch"]

    def _pass(self, epoch: int) -> float:
        """Train for one epoch and return the mean loss."""
        run, processes = self.run, self.session.processes
        schedule, images = run.schedule, self.data.train
        self.trained.train()
        generator = torch.Generator("cpu").manual_seed(_mixed(run.seed, epoch))
        torch.manual_seed(_mixed(run.seed, epoch, 1 + processes.rank))
        count = len(images)
        batches = torch.randperm(count, generator=generator, device="cpu").tensor_split(
            -(-count // schedule.batch)
        )
        steps = schedule.epochs * len(batches)
        total = 0.0
        for number, batch in enumerate(batches, (epoch - 1) * len(batches)):
            rate = schedule.rate(number, steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["share"]
            inputs = self.data.inputs(images.pixels[batch])
            inputs = _augmented(inputs, schedule, generator)
            own = processes.share(torch.arange(len(batch), device="cpu"))
            labels = images.labels[batch][own]
            losses = functional.cross_entropy(
                self.trained(inputs[own]), labels, reduction="sum"
            )
            self.optimizer.zero_grad()
            # Gradients become means over the processes.
            (losses * (processes.count / len(batch))).backward()
            self.optimizer.step()
            kept_in_range(self.model)
            total += float(losses.detach())
        return processes.total(total)[0] / count

    def _record(self, epoch: int, loss: float | None) -> None:
        run, journal = self.run, self.session.journal
        self.model.eval()
        self.session.processes.align(self.model)
        seen = {} if run.observe is None else run.observe(self.model)
        journal.records.append({
            "run": run.name,
            "seed": run.seed,
            "epoch": epoch,
            "loss": loss,
            "accuracy": accuracy(
                self.model, self.data, self.data.test, self.session.processes
            ),
            **seen,
        })
        last = epoch == run.schedule.epochs
        if last and run.keep is not None:
            journal.kept[run.keep] = _copy(self.model.state_dict())
        journal.unfinished = (
            None
            if last
            else {
                "run": run.name,
                "seed": run.seed,
                "epoch": epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            }
        )
        if self.session.processes.leads:
            journal.write()


def accuracy(
    model: nn.Module,
    data: Dataset,
    images: Images,
    processes: Processes | None = None,
) -> float:
    """Return the share of images that a network classifies correctly.

    Args:
        model: In evaluation mode.
        data: Says how pixels become inputs.
        images: The images.
        processes: Those that share the work; by default this one alone.

    Returns:
        Between 0 and 1.
    """
    processes = Processes() if processes is None else processes
    own = processes.share(torch.arange(len(images), device="cpu"))
    hits = 0
    with torch.no_grad():
        for part in own.split(_EVALUATED):
            logits = model(data.inputs(images.pixels[part]))
            hits += int((logits.argmax(1) == images.labels[part]).sum())
    return processes.total(hits)[0] / len(images)


def _optimizer(
    schedule: Schedule, groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    decay = schedule.weight_decay
    if schedule.optimizer == "adam":
        return torch.optim.AdamW(groups, weight_decay=decay)
    return torch.optim.SGD(groups, momentum=_MOMENTUM, weight_decay=decay)


def _augmented(
    inputs: Tensor, schedule: Schedule, generator: torch.Generator
) -> Tensor:
    """Return images that are shifted and mirrored at random, each by itself."""
    count, _, height, width = inputs.shape
    if schedule.crop:
        wide = functional.pad(inputs, [schedule.crop] * 4)
        shifts = torch.randint(
            2 * schedule.crop + 1, (2, count, 1), generator=generator, device="cpu"
        )
        rows, columns = (
            shift + torch.arange(pixels, device="cpu")
            for shift, pixels in zip(shifts, (height, width), strict=True)
        )
        image = torch.arange(count, device="cpu")[:, None, None]
        moved = wide.movedim(1, -1)[image, rows[:, :, None], columns[:, None]]
        inputs = moved.movedim(-1, 1)
    if schedule.flip:
        chosen = torch.rand(count, generator=generator, device="cpu") < 1 / 2
        mirrored = chosen[:, None, None, None].to(inputs.device)
        inputs = torch.where(mirrored, inputs.flip(-1), inputs)
    return inputs


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's random states as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _mixed(*numbers: int) -> int:
    """Return a seed that differs for other numbers, small ones too."""
    digest = sha256(",".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _copy(state: Mapping[str, Tensor]) -> State:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
