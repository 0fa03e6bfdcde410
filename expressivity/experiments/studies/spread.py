"""Numbers that differ from seed to seed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expressivity.experiments.journal import Record


@dataclass(frozen=True)
class Spread:
    """A number of every seed.

    Attributes:
        values: In the order of the seeds.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation, estimated; NaN for one seed."""
        if len(self.values) == 1:
            return math.nan
        squares = math.fsum((value - self.mean) ** 2 for value in self.values)
        return math.sqrt(squares / (len(self.values) - 1))

    def minus(self, other: "Spread") -> "Spread":
        """Return the differences, seed by seed."""
        pairs = zip(self.values, other.values, strict=True)
        return Spread(tuple(mine - theirs for mine, theirs in pairs))

    def percent(self) -> str:
        """Return mean and deviation in per cent.

        Example:
            >>> Spread((0.95, 0.97)).percent()
            '96.0 ± 1.4'
        """
        return _mean_and_deviation(100 * self.mean, 100 * self.deviation, 1)

    def text(self, digits: int = 2) -> str:
        """Return mean and deviation with so many digits after the point."""
        return _mean_and_deviation(self.mean, self.deviation, digits)

    def to_dict(self) -> dict[str, object]:
        """Return mean, deviation and values."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "values": list(self.values),
        }


def _mean_and_deviation(mean: float, deviation: float, digits: int) -> str:
    if math.isnan(deviation):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def last(
    records: Iterable[Record], run: str, seeds: Sequence[int], name: str = "accuracy"
) -> Spread:
    """Return a number of the last record of a run, for every seed."""
    latest = {r["seed"]: r[name] for r in records if r["run"] == run}
    return Spread(tuple(latest[seed] for seed in seeds))


def course(
    records: Iterable[Record], run: str, seeds: Sequence[int], name: str = "accuracy"
) -> tuple[list[int], list[list[float]]]:
    """Return a number over the epochs of a run.

    Args:
        records: Of all runs.
        run: Which.
        seeds: Of which seeds.
        name: Of the number.

    Returns:
        The epochs, and a list over them for each seed.
    """
    mine = [r for r in records if r["run"] == run and r.get(name) is not None]
    by_seed = {seed: [r for r in mine if r["seed"] == seed] for seed in seeds}
    epochs = [r["epoch"] for r in by_seed[seeds[0]]]
    return epochs, [[r[name] for r in by_seed[seed]] for seed in seeds]
