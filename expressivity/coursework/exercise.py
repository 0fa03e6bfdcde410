"""What all exercises have in common: their line in the assignment sheet."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from expressivity.coursework.verdict import Verdict


@dataclass(frozen=True, eq=False, kw_only=True)
class Exercise(ABC):
    """One exercise, with what is given to the student.

    Attributes:
        number: Notebook and place in it, such as ``"2.2"``.
        title: What it is called.
        minutes: How long it takes.
        points: What it counts.
        misconception: What a student who fails it may believe.
        statement: The statement of ``proofs/`` that it covers.
    """

    kind: ClassVar[str]

    number: str
    title: str
    minutes: int
    points: int
    misconception: str
    statement: str

    @abstractmethod
    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge an answer.

        Args:
            answer: Whatever the student hands in.

        Returns:
            The verdict; an answer of the wrong kind is rejected, too.
        """

    def verdict(
        self,
        passed: bool,
        finding: str,
        basis: str,
        *,
        gap: float | None = None,
        counterexample: Float[Tensor, "inputs in_channels ..."] | None = None,
        output: tuple[int, ...] | None = None,
    ) -> Verdict:
        """Return a verdict on this exercise; the other arguments are its attributes."""
        return Verdict(
            self.number,
            passed,
            finding,
            basis,
            self.statement,
            gap,
            counterexample,
            output,
        )
