"""What all experiments have in common: a plan, runs, and what they show."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expressivity.experiments.data import Dataset
from expressivity.experiments.journal import Journal, Record
from expressivity.experiments.networks import Architecture
from expressivity.experiments.run import Run, Session
from expressivity.experiments.schedule import Schedule
from expressivity.listing import Listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plan:
    """What an experiment is given.

    Attributes:
        data: Images.
        sizes: How large networks are.
        schedule: How they are trained.
        seeds: One run of every variant for each.
        networks: Which networks, of those that an experiment compares.
    """

    data: Dataset
    sizes: Architecture
    schedule: Schedule
    seeds: tuple[int, ...]
    networks: tuple[str, ...]

    @property
    def all_seeds(self) -> str:
        """How many seeds there are, in words."""
        return f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"


@dataclass(frozen=True)
class Outcome:
    """What an experiment shows.

    Attributes:
        tables: For a reader.
        remarks: Sentences below the tables.
        fields: For a program.
        figures: What draws each file.
    """

    tables: Sequence[Listing]
    remarks: Sequence[str] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], "Figure"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A question that training answers.

    Attributes:
        runs: Yields what to train, in this order; later runs may depend on what the
            journal says of earlier ones.
        epochs: How many epochs that takes in all.
        outcome: What the records show.
        figures: Names of the files that it draws.
        data: Returns images of its own; by default the user's are taken.
        schedule: What suits these.
    """

    runs: Callable[[Plan, Journal], Iterator[Run]]
    epochs: Callable[[Plan], int]
    outcome: Callable[[Plan, list[Record]], Outcome]
    figures: tuple[str, ...]
    data: Callable[[], Dataset] | None = None
    schedule: Schedule | None = None

    def carry_out(self, plan: Plan, session: Session) -> Outcome:
        """Train what is missing in the journal, and say what is seen.

        Args:
            plan: What the experiment is given.
            session: Trains.

        Returns:
            What the records show.
        """
        for run in self.runs(plan, session.journal):
            session.train(run)
        return self.outcome(plan, session.journal.records)
