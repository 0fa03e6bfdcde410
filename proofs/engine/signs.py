"""The sign of an expression: of every term and factor, or by counting roots."""

from dataclasses import dataclass

from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    Mul,
    Poly,
    Pow,
    S,
    Sum,
    Symbol,
    exp,
    expand,
    factor,
    powsimp,
)
from sympy.polys.polyerrors import BasePolynomialError

from proofs.engine.equality import Equal
from proofs.engine.printing import latex
from proofs.engine.ranges import UnsoundError, check_assumptions, sound
from proofs.engine.verdict import Verdict
from proofs.engine.witness import counter_example


@dataclass(frozen=True)
class Nonnegative:
    """An expression is never negative.

    Attributes:
        expression: Any expression; what is assumed of its symbols is the hypothesis.
        form: The same expression, written so that its sign can be read off.
    """

    expression: Expr
    form: Expr | None = None

    def decide(self) -> Verdict:
        """Read the sign off the terms and factors.

        Returns:
            Proved if sympy's assumptions give the sign; refuted by a value below zero.
        """
        return _decide_sign(self.expression, self.form, strict=False)

    def latex(self) -> str:
        """Return an inequality.

        Returns:
            LaTeX.
        """
        return _inequality(self.expression, self.form, r"\ge")


@dataclass(frozen=True)
class Positive:
    """An expression is always above zero.

    Attributes:
        expression: Any expression; what is assumed of its symbols is the hypothesis.
        form: The same expression, written so that its sign can be read off.
    """

    expression: Expr
    form: Expr | None = None

    def decide(self) -> Verdict:
        """Read the sign off the terms and factors.

        Returns:
            Proved if sympy's assumptions give the sign; refuted by a value at or below
            zero.
        """
        return _decide_sign(self.expression, self.form, strict=True)

    def latex(self) -> str:
        """Return an inequality.

        Returns:
            LaTeX.
        """
        return _inequality(self.expression, self.form, ">")


@dataclass(frozen=True)
class PositiveBetween:
    """A polynomial in one variable is above zero on an open interval.

    Attributes:
        polynomial: With rational coefficients.
        variable: Its variable.
        low: The left end, rational.
        high: The right end, rational.
    """

    polynomial: Expr
    variable: Symbol
    low: Expr = S.Zero
    high: Expr = S.One

    def decide(self) -> Verdict:
        """Count the roots exactly (Sturm), and look at one sign.

        Returns:
            Proved if there is none between the ends and the sign is right.
        """
        if not self.low < self.high:
            return Verdict.open("there is nothing between the ends")
        try:
            check_assumptions(
                self.variable,
                _between(self.low, self.high),
                f"{self.low} to {self.high}",
            )
        except UnsoundError as error:
            return Verdict.open(str(error))
        try:
            polynomial = Poly(self.polynomial, self.variable, domain="QQ")
        except BasePolynomialError as error:
            return Verdict.open(str(error))
        ends = sum(polynomial.eval(end) == 0 for end in {self.low, self.high})
        roots = polynomial.count_roots(self.low, self.high) - ends
        middle = S(self.low + self.high) / 2
        value = polynomial.eval(middle)
        if roots == 0 and value > 0:
            return Verdict.proof("Sturm: no root in between")
        if value <= 0:
            return Verdict.refutation(f"{self.variable} = {middle}: {value}")
        return Verdict.refutation(f"{roots} roots between {self.low} and {self.high}")

    def latex(self) -> str:
        """Return an inequality and its range.

        Returns:
            LaTeX.
        """
        where = f"{latex(self.low)} < {latex(self.variable)} < {latex(self.high)}"
        return rf"{latex(self.polynomial)} > 0 \quad ({where})"


def _between(low: Expr, high: Expr) -> Symbol:
    """Return a number of which no more is known than that it lies between two."""
    if low.is_nonnegative:
        return Dummy(positive=True)
    return Dummy(negative=True) if high.is_nonpositive else Dummy(real=True)


def _decide_sign(expression: Expr, form: Expr | None, *, strict: bool) -> Verdict:
    try:
        expression, form = sound(expression), form if form is None else sound(form)
    except UnsoundError as error:
        return Verdict.open(str(error))
    if form is not None:
        rewritten = Equal(expression, form).decide()
        if not rewritten.proved:
            return Verdict(
                proved=False, refuted=rewritten.refuted, evidence=rewritten.evidence
            )
    for written in _forms(expression if form is None else form):
        if _has_sign(written, strict=strict):
            return Verdict.proof("the sign of every term and factor")
    example = counter_example(
        expression,
        lambda number: bool(number.is_real and (number <= 0 if strict else number < 0)),
    )
    return (
        Verdict.refutation(example)
        if example
        else Verdict.open("the sign is not known")
    )


def _forms(expression: Expr) -> list[Expr]:
    forms = [expression]
    if not expression.has(Sum):
        forms += [expand(expression), factor(expression), powsimp(factor(expression))]
    return forms


def _has_sign(expression: Expr, *, strict: bool) -> bool:
    """Whether every term and factor shows that an expression is (strictly) positive."""
    # Of a sum, sympy takes the sign of its term, in whatever direction it runs.
    trusted = not expression.has(Sum) or isinstance(expression, Abs | exp)
    if trusted and (expression.is_positive if strict else expression.is_nonnegative):
        return True
    if isinstance(expression, Sum):  # may be empty: never known to be above zero
        term = _over_its_range(expression)
        return not strict and term is not None and _has_sign(term, strict=False)
    if isinstance(expression, Add):
        signs = [_has_sign(term, strict=False) for term in expression.args]
        return all(signs) and (
            not strict or any(_has_sign(term, strict=True) for term in expression.args)
        )
    if isinstance(expression, Mul):
        return all(_has_sign(part, strict=strict) for part in expression.args)
    if isinstance(expression, Pow) and expression.exp.is_real:
        if expression.exp == -1 or not strict:
            return _has_sign(
                expression.base, strict=strict or expression.exp.is_negative
            )
        return _has_sign(expression.base, strict=True)
    return False


def _over_its_range(sum_: Sum) -> Expr | None:
    """Return the term of a sum, its indices not negative and counted from their start.

    A sum that runs backwards counts negative, and what is assumed of an index must
    hold where it runs: else there is no term to speak of.
    """
    term = sum_.function
    ends: dict[Symbol, Expr] = {}
    for index, *limits in reversed(sum_.limits):  # outer ones first
        low, high = (limit.subs(ends) for limit in limits)
        start = low.is_positive, low.is_nonnegative
        assumed = index.is_positive, index.is_nonnegative
        too_much = any(a and not s for a, s in zip(assumed, start, strict=True))
        if too_much or index.is_negative or not (high - low + 1).is_nonnegative:
            return None
        ends[index] = low + Dummy(integer=True, nonnegative=True)
    return term.subs(ends)


def _inequality(expression: Expr, form: Expr | None, relation: str) -> str:
    middle = "" if form is None else f" = {latex(form)}"
    return f"{latex(expression)}{middle} {relation} 0"
