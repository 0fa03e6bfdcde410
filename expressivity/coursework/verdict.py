"""What a check says: passed or not, how far off, and the input that shows it."""

from dataclasses import dataclass
from html import escape

from jaxtyping import Float
from torch import Tensor

from expressivity.results import Result, plotted_html


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Result):
    """The verdict on one answer.

    Attributes:
        number: The exercise, such as ``"2.2"``.
        passed: Whether the answer is right.
        finding: What was found, in a sentence; never the right answer.
        basis: How it was judged: ``"certificate"``, ``"exact worst case"``, ….
        statement: The statement of ``proofs/`` that the judgement rests on.
        gap: How far off the answer is, in the unit of the finding; ``None`` where
            there is no number.
        counterexample: The input on which the answer is that far off,
            (inputs, in_channels, *size); ``None`` if it passed, and where the answer is
            no layer, matrix or input, or is right for every input and breaks a rule.
        output: The output that shows it, per axis; ``None`` for all outputs.
    """

    number: str
    passed: bool
    finding: str
    basis: str
    statement: str
    gap: float | None = None
    counterexample: Float[Tensor, "inputs in_channels ..."] | None = None
    output: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        mark = "✓" if self.passed else "✗"
        return (
            f"{mark} {self.number}: {self.finding} "
            f"[{self.basis}; statement {self.statement}]"
        )

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        colour = "#007a5a" if self.passed else "#b34700"
        line = (
            f'<div style="border-left: 4px solid {colour}; padding: 2px 10px">'
            f"{escape(str(self))}</div>"
        )
        if self.counterexample is None:
            return line
        return line + plotted_html("plot_counterexample", self)
