"""The raw numbers of a run, and their file."""

import json
import os
import platform
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_type_hints

import torch

from expressivity.errors import FileError
from expressivity.machine.files import check_input
from expressivity.machine.processor import processor_name
from expressivity.version import __version__

BASELINE = "nn.Conv2d"
_VERSION = 1
_LARGEST_FILE, _LARGEST_INTEGER = 2**26, 2**63
_ENVIRONMENT = ("processor", "threads", "torch")  # what a report needs


@dataclass(frozen=True)
class Measurement:
    """One contender on one case.

    Attributes:
        suite: What the case belongs to.
        case: The layer and the input, in words.
        contender: The name of what was run.
        times_in_network: How often the case occurs in its network.
        tokens: Pixels of the input.
        seconds: Median time of a call; ``None`` if it did not run.
        low: Lower quartile.
        high: Upper quartile.
        rounds: Number of timed calls.
        ratio: The time over that of the baseline in the same race.
        bytes: Peak of the memory of a call beyond weights and input.
        reason: Why it did not run.
    """

    suite: str
    case: str
    contender: str
    times_in_network: int = 1
    tokens: int = 0
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    ratio: float | None = None
    bytes: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Document:
    """All measurements of a run, with their environment.

    Attributes:
        setting: How long the run was: ``"quick"`` or ``"full"``.
        device: ``"cpu"`` or ``"cuda"``.
        dtype: Dtype of weights and inputs, such as ``"float32"``.
        environment: Versions, processor, threads.
        measurements: One a contender and case.
        facts: Single numbers that have no baseline, by name.
    """

    setting: str
    device: str
    dtype: str
    environment: dict[str, Any]
    measurements: tuple[Measurement, ...]
    facts: dict[str, float]

    def of(self, suite: str, contender: str) -> Iterator[Measurement]:
        """Yield the measurements of one contender in a suite that did run.

        Args:
            suite: Name of the suite.
            contender: Name of the contender.

        Yields:
            In the order they were made.
        """
        for m in self.measurements:
            if (m.suite, m.contender) == (suite, contender) and m.seconds is not None:
                yield m

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain data for JSON."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Args:
            content: The dictionary.

        Returns:
            The document.

        Raises:
            FileError: If it has another version, other fields, or numbers that no run
                gives.
        """
        fields = dict(content)
        try:
            written = fields.pop("version")
            if written != _VERSION:
                raise FileError(
                    f"a benchmark document of version {_VERSION} is needed, got "
                    f"{written}: run the benchmark again"
                )
            rows = tuple(Measurement(**row) for row in fields.pop("measurements"))
            document = cls(**fields, measurements=rows)
            document._check()
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(
                f"a document of `expressivity bench` is needed, got something else "
                f"({error}): run the benchmark again"
            ) from error
        return document

    def _check(self) -> None:
        """Refuse fields of other kinds, and numbers that no run gives.

        Raises:
            TypeError: If a field is of another kind.
            ValueError: If a number is missing or out of range.
        """
        _check_fields(self, exempt={"measurements"})
        if missing := [key for key in _ENVIRONMENT if key not in self.environment]:
            raise ValueError(f"its environment lacks {', '.join(missing)}")
        for name, fact in self.facts.items():
            if type(fact) not in (int, float):
                raise TypeError(f"the fact {name} is no number")
            _check_range(name, fact)
        for row in self.measurements:
            _check_fields(row)
            if 0 in (row.seconds, row.ratio, row.times_in_network):
                raise ValueError(f"a time of {row.contender} is zero")


def _check_fields(
    described: Document | Measurement, exempt: Set[str] = frozenset()
) -> None:
    for name, hint in get_type_hints(type(described)).items():
        if name in exempt:
            continue
        value = getattr(described, name)
        kind = dict if name in ("environment", "facts") else hint
        if type(value) is int and isinstance(1.0, kind):
            value = float(min(value, _LARGEST_INTEGER))
        if isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}")
        if isinstance(value, (int, float)):
            _check_range(name, value)


def _check_range(name: str, value: float) -> None:
    if not 0 <= value < _LARGEST_INTEGER:
        raise ValueError(f"{name} is out of range")


def read_document(path: Path) -> Document:
    """Read a document from its file.

    Args:
        path: A JSON file that ``expressivity bench`` wrote.

    Returns:
        The document.

    Raises:
        FileError: If it is missing, damaged or something else.
    """
    check_input(path)
    if path.stat().st_size > _LARGEST_FILE:
        raise FileError(f"{path} cannot be read: it has over {_LARGEST_FILE >> 20} MiB")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise FileError(
            f"{path} needs to hold a benchmark document, got a {type(content).__name__}"
        )
    return Document.from_dict(content)


def environment(device: torch.device) -> dict[str, Any]:
    """Describe the machine of a benchmark.

    Args:
        device: The device of the layers.

    Returns:
        Versions, processor, cores and threads; no name of a machine or a path.
    """
    described = {
        "expressivity": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
        described["cuda"] = torch.version.cuda
    return described
