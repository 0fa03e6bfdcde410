"""A statement: what is claimed, from what, by which steps, and what is not claimed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sympy import Expr, Symbol, lambdify, latex

from proofs.engine.claim import Claim
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


@dataclass(frozen=True)
class Step:
    """One step of a derivation.

    Attributes:
        reason: Why it is taken, and what follows; mathematics between dollars.
        claim: What sympy decides.
        shown: The claim as a formula, where sympy simplifies its own on sight.
    """

    reason: str
    claim: Claim
    shown: str = ""

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
        wrong: What is wrong about it.
        claim: The claim.
        shown: The claim as a formula, where sympy simplifies its own on sight.
    """

    wrong: str
    claim: Claim
    shown: str = ""

    def latex(self) -> str:
        """Return the claim as a formula.

        Returns:
            LaTeX.
        """
        return self.shown or self.claim.latex()


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
        formulas: What the package computes of it, by name.
        remarks: What follows, and what does not.
        formal: What of it Coq has proved as well: what a theorem says here, by its
            name in ``proofs/coq``.
        informal: What of it Coq has not proved; empty if that is nothing.
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
    formulas: Mapping[str, Formula] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    formal: Mapping[str, str] = field(default_factory=dict)
    informal: str = ""

    @property
    def coverage(self) -> Coverage:
        """How much of it Coq has proved as well; empty if nothing."""
        if not self.formal:
            return ""
        return "part" if self.informal else "full"

    def check(self) -> Outcome:
        """Let sympy decide every step and every control.

        Returns:
            The verdicts.
        """
        start = time.perf_counter()
        steps = tuple(step.claim.decide() for step in self.steps)
        controls = tuple(control.claim.decide() for control in self.controls)
        return Outcome(self, steps, controls, time.perf_counter() - start)
