"""A statement: what is claimed, from what, by which steps, and what is not claimed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from sympy import Expr, Symbol, lambdify

from proofs.engine.claim import Claim
from proofs.engine.notation import names_of
from proofs.engine.printing import latex
from proofs.engine.shown import mismatch, names_in
from proofs.engine.tokens import Names
from proofs.engine.verdict import Verdict

Coverage = Literal["", "part", "full"]


@dataclass(frozen=True)
class Formula:
    """A formula that the package computes, as proved.

    Attributes:
        arguments: Its variables, in the order of its function.
        expression: The formula.
        meaning: What it is, in words.
    """

    arguments: tuple[Symbol, ...]
    expression: Expr
    meaning: str = ""

    def function(self, modules: str = "mpmath") -> Callable[..., Any]:
        """Turn the formula into a function of numbers.

        Args:
            modules: What computes it, as for ``sympy.lambdify``.

        Returns:
            A function of the arguments.

        Example:
            >>> from sympy.abc import x
            >>> Formula((x,), x**2).function("math")(3)
            9
        """
        function: Callable[..., Any] = lambdify(
            self.arguments, self.expression, modules
        )
        return function

    def latex(self) -> str:
        """Return the formula.

        Returns:
            LaTeX.
        """
        return str(latex(self.expression))


Formulas = Mapping[str, Formula]


@dataclass(frozen=True)
class Step:
    """One step of a derivation.

    Attributes:
        reason: Why the step is taken, and what follows; mathematics between dollars.
        claim: What sympy decides.
        shown: The claim written by hand, in LaTeX, where sympy's form reads badly. The
            step is proved only if this is decided to say what the claim says.
        where: The meaning of the names in ``shown`` that the claim does not have.
    """

    reason: str
    claim: Claim
    shown: str = ""
    where: Names = field(default_factory=dict)

    def decide(self, notation: Names = MappingProxyType({})) -> Verdict:
        """Decide the claim, and that it is what is shown.

        Args:
            notation: The meaning of names in the whole statement.

        Returns:
            The verdict of the claim; open if something else is shown.
        """
        return _decide(self, notation)

    def latex(self) -> str:
        """Return the claim as a formula.

        Returns:
            LaTeX.
        """
        return self.shown or self.claim.latex()


@dataclass(frozen=True)
class Control:
    """A claim with a sign, index or constant wrong, which must be refuted.

    Attributes:
        wrong: The mistake that it makes.
        claim: The claim.
        shown: As in a step.
        where: As in a step.
    """

    wrong: str
    claim: Claim
    shown: str = ""
    where: Names = field(default_factory=dict)

    def decide(self, notation: Names = MappingProxyType({})) -> Verdict:
        """Decide the claim, and that it is what is shown.

        Args:
            notation: The meaning of names in the whole statement.

        Returns:
            The verdict of the claim; open if something else is shown.
        """
        return _decide(self, notation)

    def latex(self) -> str:
        """Return the claim as a formula.

        Returns:
            LaTeX.
        """
        return self.shown or self.claim.latex()


def _decide(part: Step | Control, notation: Names) -> Verdict:
    verdict = part.claim.decide()
    if not part.shown or not (verdict.proved or verdict.refuted):
        return verdict
    difference = mismatch(part.claim, part.shown, part.where, notation)
    return Verdict.open(difference) if difference else verdict


@dataclass(frozen=True)
class Outcome:
    """What sympy decided about a statement.

    Attributes:
        statement: The statement.
        steps: A verdict for every step.
        controls: A verdict for every control.
        seconds: How long that took.
    """

    statement: "Statement"
    steps: tuple[Verdict, ...]
    controls: tuple[Verdict, ...]
    seconds: float

    @property
    def proved(self) -> bool:
        """Whether every step is proved."""
        return all(verdict.proved for verdict in self.steps)

    @property
    def controlled(self) -> bool:
        """Whether every control is refuted."""
        return all(verdict.refuted for verdict in self.controls)


@dataclass(frozen=True)
class Statement:
    """A statement with its derivation.

    Texts are plain English with mathematics between dollars, in LaTeX.

    Attributes:
        name: The name of its file.
        title: What it is called.
        source: Paper, theorem, equation; or where it comes from.
        words: What it says, in a sentence or two without formulas.
        formula: What it says, in LaTeX.
        hypotheses: What is assumed.
        steps: The derivation.
        controls: What must be refuted.
        scope: For which sizes and parameters it is proved.
        formulas: The formulas that the package computes, by name.
        remarks: Consequences, and limits.
        notation: The meaning of names in shown formulas that no claim has.
        formal: What Coq has proved of it: what each theorem of ``proofs/coq`` says
            here, by the name of the theorem.
        informal: What Coq has not proved of it; empty if it has proved all.
    """

    name: str
    title: str
    source: str
    words: str
    formula: str
    hypotheses: Sequence[str]
    steps: Sequence[Step]
    controls: Sequence[Control]
    scope: str
    formulas: Formulas = field(default_factory=dict)
    remarks: Sequence[str] = ()
    notation: Names = field(default_factory=dict)
    formal: Mapping[str, str] = field(default_factory=dict)
    informal: str = ""

    @property
    def coverage(self) -> Coverage:
        """How much of it Coq has proved as well; empty if nothing."""
        if not self.formal:
            return ""
        return "part" if self.informal else "full"

    def names(self) -> Names:
        """Return what names mean in its formulas.

        Returns:
            The notation; then the symbols and functions of all claims.
        """
        names = names_of(*(formula.expression for formula in self.formulas.values()))
        parts: list[Step | Control] = [*self.controls, *self.steps]
        for part in parts:
            names |= names_in(part.claim)
        return {**names, **self.notation}

    def check(self) -> Outcome:
        """Let sympy decide every step and every control.

        Returns:
            The verdicts.
        """
        start = time.perf_counter()
        names = self.names()
        steps = tuple(step.decide(names) for step in self.steps)
        controls = tuple(control.decide(names) for control in self.controls)
        return Outcome(self, steps, controls, time.perf_counter() - start)
