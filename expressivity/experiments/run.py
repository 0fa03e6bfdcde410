"""One training run after another: a plain loop, a log, and a checkpoint an epoch.

Everything random in an epoch follows from the seed of the run and the number of the
epoch, so that a run that was interrupted continues as if it had not been.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import torch
from torch import Tensor, nn
from torch.nn import functional

from expressivity.experiments.data.images import Dataset, Images
from expressivity.experiments.journal import Journal, Record, State
from expressivity.experiments.positions import kept_in_range, positions_apart
from expressivity.experiments.processes import Processes
from expressivity.experiments.schedule import Schedule

_EVALUATED = 256  # images at a time


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
        self.optimizer = run.schedule.optimizer_of(groups)
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
            inputs = schedule.augmented(inputs, generator)
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
