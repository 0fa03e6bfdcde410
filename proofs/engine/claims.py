"""What sympy can be asked to decide, and how it decides it.

No claim is decided by sampling. Numbers serve only to refute: there one exact value is
a proof. ``Below`` compares constants in interval arithmetic, rounded outward.
"""

from dataclasses import dataclass
from typing import Protocol

from mpmath import iv
from sympy import (
    Abs,
    Add,
    Basic,
    Dummy,
    E,
    Expr,
    Float,
    Limit,
    Mul,
    NumberSymbol,
    Poly,
    Pow,
    Rational,
    S,
    Sum,
    Symbol,
    exp,
    expand,
    factor,
    fraction,
    lambdify,
    latex,
    limit,
    oo,
    pi,
    powsimp,
    simplify,
    together,
)
from sympy.matrices import MatrixBase
from sympy.polys.polyerrors import BasePolynomialError

from proofs.engine.sums import difference_is_zero, normal, peeled
from proofs.engine.verdict import Verdict
from proofs.engine.witness import counter_example

_SMALL = range(4)
_DIGITS = 60


class Claim(Protocol):
    """A statement in symbols that can be decided."""

    def decide(self) -> Verdict:
        """Return whether it holds for everything it quantifies over."""

    def latex(self) -> str:
        """Return the claim as a formula."""


@dataclass(frozen=True)
class Equal:
    """Two expressions, or matrices, are the same wherever both are defined.

    Attributes:
        left: An expression or a matrix.
        right: Another of the same kind.

    Example:
        >>> from sympy.abc import x, y
        >>> Equal((x + y) ** 2, x**2 + 2 * x * y + y**2).decide().proved
        True
        >>> Equal((x + y) ** 2, x**2 + y**2).decide().evidence
        'x = 2, y = 2: 8.00000'

        What is zero up to rounding refutes nothing, as here at x = y:

        >>> from sympy import exp
        >>> Equal(1 / (1 + exp(-x)), exp(y) / (1 + exp(y))).decide().evidence
        'x = -2, y = 5/2: -0.804939'
    """

    left: Expr | MatrixBase
    right: Expr | MatrixBase

    def decide(self) -> Verdict:
        """Compare normal forms.

        Returns:
            Proved if they agree; refuted if some numbers tell the two apart.
        """
        if isinstance(self.left, MatrixBase):
            return self._entries()
        gap = self.left - self.right
        if gap == 0 or difference_is_zero(self.left, self.right):
            return Verdict.proof("one normal form")
        # Before the slow search for a simpler form.
        if found := counter_example(gap, _is_not_zero):
            return Verdict.refutation(found)
        if simplify(normal(gap)) == 0:
            return Verdict.proof("simplified to zero")
        return Verdict.open(f"the difference is {normal(gap)}")

    def _entries(self) -> Verdict:
        if self.left.shape != self.right.shape:
            return Verdict.refutation(f"{self.left.shape} and {self.right.shape}")
        verdicts = [
            Equal(*pair).decide() for pair in zip(self.left, self.right, strict=True)
        ]
        failed = [v for v in verdicts if not v.proved]
        return failed[0] if failed else Verdict.proof("one normal form, entry by entry")

    def latex(self) -> str:
        """Return an equation.

        Returns:
            LaTeX.
        """
        return f"{latex(self.left)} = {latex(self.right)}"


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
    low: Expr
    high: Expr

    def decide(self) -> Verdict:
        """Count the roots exactly (Sturm), and look at one sign.

        Returns:
            Proved if there is none between the ends and the sign is right.
        """
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


@dataclass(frozen=True)
class Tends:
    """An expression has a limit.

    Attributes:
        expression: What tends.
        variable: The variable that moves.
        to: Where to.
        value: The limit.
    """

    expression: Expr
    variable: Symbol
    to: Expr
    value: Expr

    def decide(self) -> Verdict:
        """Compute the limit (Gruntz).

        Returns:
            Proved if it is the value; refuted if it is another.
        """
        try:
            found = self._from_all_sides()
        except NotImplementedError as error:
            return Verdict.open(str(error))
        if found.has(Limit):
            return Verdict.open(f"no limit found: {found}")
        if found in (oo, -oo) or self.value in (oo, -oo):
            same = found == self.value
            return (
                Verdict.proof("limit computed")
                if same
                else Verdict.refutation(f"the limit is {found}")
            )
        verdict = Equal(found, self.value).decide()
        if verdict.refuted:
            return Verdict.refutation(f"the limit is {found}")
        return Verdict.proof("limit computed") if verdict.proved else verdict

    def _from_all_sides(self) -> Expr:
        """Return the limit, taken where the variable can be; open if it has two."""
        positive = self.to == 0 and self.variable.is_nonnegative
        sides = "-" if self.to is oo else "+" if positive or self.to is -oo else "+-"
        found, *others = (
            limit(self.expression, self.variable, self.to, side) for side in sides
        )
        if any(other != found for other in others):
            raise NotImplementedError("the two sides have different limits")
        return found

    def latex(self) -> str:
        """Return a limit and its value.

        Returns:
            LaTeX.
        """
        arrow = rf"\lim_{{{latex(self.variable)} \to {latex(self.to)}}}"
        return rf"{arrow} {_wrapped(self.expression)} = {latex(self.value)}"


@dataclass(frozen=True)
class ByInduction:
    """Two expressions in n are equal for every n from a first one on.

    Attributes:
        left: An expression with sums up to n, or n plus a number.
        right: Another.
        variable: n, an integer symbol.
        start: The first n.
        multiplier: What left − right is multiplied by from n to n + 1.
    """

    left: Expr
    right: Expr
    variable: Symbol
    start: int = 0
    multiplier: Expr = S.One

    def decide(self) -> Verdict:
        """Decide the first case, and that both grow alike from n to n + 1.

        Returns:
            Proved if both steps are; refuted if a small n tells the two apart.
        """
        first = Equal(*(self._at(side, self.start) for side in (self.left, self.right)))
        if not first.decide().proved:
            return self._refuted() or Verdict.open(f"the case n = {self.start} is open")
        beyond = self.start + Dummy(integer=True, nonnegative=True)
        divisor = fraction(together(self.multiplier))[1].subs(self.variable, beyond)
        if not divisor.is_nonzero:
            return Verdict.open("the multiplier may have a pole")
        gap = self.left - self.right
        try:
            grown = peeled(self.left, self.variable) - peeled(self.right, self.variable)
        except ValueError as error:
            return self._refuted() or Verdict.open(str(error))
        # With the hypothesis that the gap is zero at n, it is zero at n + 1.
        if difference_is_zero(grown, self.multiplier * gap):
            return Verdict.proof("induction: first case and step")
        return self._refuted() or Verdict.open(f"the step leaves {normal(grown - gap)}")

    def _at(self, side: Expr, value: int) -> Expr:
        return side.subs(self.variable, value).doit()

    def _refuted(self) -> Verdict | None:
        for value in _SMALL:
            case = Equal(
                *(self._at(s, self.start + value) for s in (self.left, self.right))
            )
            verdict = case.decide()
            if verdict.refuted:
                return Verdict.refutation(
                    f"n = {self.start + value}, {verdict.evidence}"
                )
        return None

    def latex(self) -> str:
        """Return an equation and its range.

        Returns:
            LaTeX.
        """
        where = rf"{latex(self.variable)} \ge {self.start}"
        return rf"{latex(self.left)} = {latex(self.right)} \quad ({where})"


@dataclass(frozen=True)
class Below:
    """A constant is less than another.

    Attributes:
        left: Without symbols.
        right: Without symbols.
    """

    left: Expr
    right: Expr

    def decide(self) -> Verdict:
        """Compare in interval arithmetic, rounded outward.

        Returns:
            Proved or refuted where the intervals are apart.
        """
        before, iv.dps = iv.dps, _DIGITS
        try:
            low, high = (_enclosed(side) for side in (self.left, self.right))
        finally:
            iv.dps = before
        if low.b < high.a:
            return Verdict.proof(f"intervals of {_DIGITS} digits are apart")
        if low.a >= high.b:
            return Verdict.refutation(
                f"{self.left.n(8)} is not below {self.right.n(8)}"
            )
        return Verdict.open("the intervals overlap")

    def latex(self) -> str:
        """Return an inequality.

        Returns:
            LaTeX.
        """
        return f"{latex(self.left)} < {latex(self.right)}"


def _is_not_zero(number: Expr) -> bool:
    # Not comparable: sympy finds no digit of it that it is sure of.
    return bool(number.is_comparable and number.n(20) != 0)


def _enclosed(constant: Expr) -> "iv.mpf":
    """Return an interval that holds a constant.

    Fractions inside become intervals too: Python would round them to floats.

    Example:
        >>> from sympy import Rational, log
        >>> Below(log(2) - Rational(1, 10), log(2) - Rational(0.1)).decide().refuted
        True
    """
    if constant in (E, pi):
        return iv.e if constant is E else iv.pi
    if constant.is_Float:
        constant = Rational(constant)  # what it is in binary
    if constant.is_Rational:
        return iv.mpf(int(constant.p)) / int(constant.q)
    fractions = [part for part in constant.atoms(Rational) if not part.is_Integer]
    fractions += constant.atoms(NumberSymbol, Float)
    names = [Dummy() for _ in fractions]
    evaluated = lambdify(
        names,
        constant.xreplace(dict(zip(fractions, names, strict=True))),
        [{"log": iv.log, "exp": iv.exp, "sqrt": iv.sqrt}],
    )
    return evaluated(*map(_enclosed, fractions))


def _decide_sign(expression: Expr, form: Expr | None, *, strict: bool) -> Verdict:
    if form is not None:
        rewritten = Equal(expression, form).decide()
        if not rewritten.proved:
            return Verdict(
                proved=False, refuted=rewritten.refuted, evidence=rewritten.evidence
            )
    for written in _forms(expression if form is None else form):
        if _has_sign(written, strict=strict):
            return Verdict.proof("the sign of every term and factor")
    found = counter_example(
        expression,
        lambda number: bool(number.is_real and (number <= 0 if strict else number < 0)),
    )
    return Verdict.refutation(found) if found else Verdict.open("the sign is not known")


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


def _wrapped(expression: Basic) -> str:
    text = latex(expression)
    return rf"\left({text}\right)" if isinstance(expression, Add) else text
