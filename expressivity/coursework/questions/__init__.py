"""The exercises of every notebook, one file a question."""

from collections.abc import Callable

from expressivity.coursework.draw import Draw
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.questions import (
    border,
    convolution,
    cost,
    head,
    limits,
    network,
    training,
)

QUESTIONS: tuple[Callable[[Draw], list[Exercise]], ...] = (
    head.exercises,
    convolution.exercises,
    border.exercises,
    network.exercises,
    cost.exercises,
    limits.exercises,
    training.exercises,
)
