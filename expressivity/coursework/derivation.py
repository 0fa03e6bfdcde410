"""Exercises that ask for a step of a derivation, which the proof engine decides.

The engine stands beside the package, in ``proofs/``, and nothing in the package is
built on it: the tests compare the two. A check finds it by its name when a derivation
is judged, as pictures find matplotlib.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

from expressivity.coursework.exercise import Exercise
from expressivity.coursework.verdict import Verdict
from expressivity.errors import MissingDependencyError

_BASIS = "proof engine"


def proof_engine() -> ModuleType:
    """Return the proof engine.

    Returns:
        The module ``proofs.engine``.

    Raises:
        MissingDependencyError: If it, or sympy, is not installed.
    """
    try:
        return import_module("proofs.engine")
    except ImportError as error:
        raise MissingDependencyError(
            "derivations are decided by the proof engine, which needs the folder "
            f"proofs/ of a checkout and sympy, and one is missing ({error}): "
            "pip install -e '.[proofs]' in a checkout"
        ) from error


@dataclass(frozen=True, eq=False, kw_only=True)
class Derive(Exercise):
    """Give the expression that makes a step of a derivation hold.

    Attributes:
        names: Names of the symbols that the answer may use.
        others: Names of the other symbols of the claim.
        entries: Expressions that are asked for.
    """

    kind: ClassVar[str] = "derive"

    names: str
    others: str = ""
    entries: int = 1
    _claim: Callable[[ModuleType, Any, tuple[Any, ...]], Any] = field(repr=False)

    def symbols(self) -> tuple[Any, ...]:
        """Return the symbols of ``names`` and ``others``: real, the first positive.

        Returns:
            Symbols of sympy, in this order.
        """
        sympy = import_module("sympy")
        first, *others = (self.names + " " + self.others).split()
        return (
            sympy.Symbol(first, positive=True),
            *(sympy.Symbol(name, real=True) for name in others),
        )

    def check(self, answer: Any) -> Verdict:  # noqa: ANN401 - a student's object
        """Judge an expression: proved, refuted by numbers, or open.

        Args:
            answer: An expression, or a list of them.

        Returns:
            The verdict; the counter-example of a refuted step stands in its finding.

        Raises:
            MissingDependencyError: If the proof engine or sympy is not installed.
        """
        engine, sympy = proof_engine(), import_module("sympy")
        symbols = self.symbols()
        parts = list(answer) if isinstance(answer, (list, tuple)) else answer
        if hasattr(parts, "flat") and not isinstance(parts, list):
            parts = list(parts.flat())
        parts = parts if isinstance(parts, list) else [parts]
        numbers = (sympy.Expr, int, float)  # no text: sympy would execute it
        parts = [sympy.sympify(p) if isinstance(p, numbers) else None for p in parts]
        if len(parts) != self.entries or not all(
            isinstance(part, sympy.Expr) for part in parts
        ):
            wanted = (
                "one expression"
                if self.entries == 1
                else f"a list of {self.entries} expressions"
            )
            return self.verdict(
                False, f"the answer needs {wanted} of sympy, got {answer!r}.", _BASIS
            )
        strange = set().union(*(part.free_symbols for part in parts))
        strange -= set(symbols[: len(self.names.split())])
        if strange:
            words = ", ".join(sorted(map(str, strange)))
            return self.verdict(
                False,
                f"the answer may use {self.names} as symbols() returns them, got "
                f"{words}.",
                _BASIS,
            )
        claim = self._claim(engine, parts if self.entries > 1 else parts[0], symbols)
        outcome = claim.decide()
        if outcome.proved:
            return self.verdict(True, f"proved: {outcome.evidence}.", _BASIS)
        if outcome.refuted:
            where, _, gap = outcome.evidence.rpartition(": ")
            return self.verdict(
                False, f"refuted: at {where} the two sides differ by {gap}.", _BASIS
            )
        return self.verdict(False, f"open: {outcome.evidence}.", _BASIS)
