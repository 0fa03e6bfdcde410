"""All exercises of one student."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from expressivity.checks import shown
from expressivity.coursework.draw import Draw
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.questions import QUESTIONS
from expressivity.coursework.verdict import Verdict
from expressivity.errors import ArgumentError


class Course(Mapping[str, Exercise]):
    """The exercises by number, drawn from a name.

    Example:
        >>> course = Course("Ada")
        >>> course["1.1"].kind, course["1.1"].points
        ('predict', 2)
        >>> course.check("1.1", (0.2, 0.1)).passed
        False
    """

    def __init__(self, student: str = "") -> None:
        """Draw the exercises.

        Args:
            student: A name; the empty one has the exercises of the reading form.

        Raises:
            ArgumentError: If it is no text.
        """
        if not isinstance(student, str):
            raise ArgumentError(f"student needs a name, got {shown(student)}")
        self.student = student

    @cached_property
    def _exercises(self) -> dict[str, Exercise]:
        draw = Draw(self.student)
        exercises = [each for question in QUESTIONS for each in question(draw)]
        return {exercise.number: exercise for exercise in exercises}

    def _redrawn(self, number: str) -> Exercise:
        """Return an exercise as it was given, whatever has become of its layers."""
        question = QUESTIONS[int(number.partition(".")[0]) - 1]
        exercises = question(Draw(self.student))
        return next(each for each in exercises if each.number == number)

    def __getitem__(self, number: str) -> Exercise:
        """Return an exercise by its number."""
        if number not in self._exercises:
            raise ArgumentError(
                f"number needs one of {', '.join(self._exercises)}, got {shown(number)}"
            )
        return self._exercises[number]

    def __contains__(self, number: object) -> bool:
        """Say whether there is an exercise of a number."""
        return number in self._exercises

    def __iter__(self) -> Iterator[str]:
        """Go through the numbers, in order."""
        return iter(self._exercises)

    def __len__(self) -> int:
        """Count the exercises."""
        return len(self._exercises)

    def __repr__(self) -> str:
        return f"Course({self.student!r}, {len(self)} exercises)"

    def check(self, number: str, answer: Any) -> Verdict:  # noqa: ANN401
        """Judge an answer.

        Args:
            number: The exercise, such as ``"2.2"``.
            answer: What it asks for.

        Returns:
            The verdict.

        Raises:
            ArgumentError: If there is no such exercise.
            MissingDependencyError: If a derivation is judged without the proof engine.
        """
        task = self._redrawn(self[number].number)
        if answer is ...:
            missing = "the answer needs to be written in the cell above."
            return task.verdict(False, missing, "nothing to judge")
        return task.check(answer)
