"""Limits of expressions with parameters, by leading terms whose size is known.

A computer algebra system takes a parameter for a number that is not zero, and two of
them for different numbers. Here a term leads only if what is assumed of the parameters
shows it, for every value that they may have.
"""

from dataclasses import dataclass

from sympy import (
    Add,
    Dummy,
    Expr,
    Mul,
    Poly,
    Pow,
    S,
    Symbol,
    cancel,
    cos,
    exp,
    expand,
    fraction,
    log,
    oo,
    powdenest,
    powsimp,
    simplify,
    together,
)


class UnknownLimitError(ValueError):
    """A limit that may depend on the values of the parameters."""


@dataclass(frozen=True)
class _Term:
    """A coefficient times x^power e^(rate x)."""

    coefficient: Expr
    power: Expr
    rate: Expr


def limit_at_infinity(expression: Expr, variable: Symbol) -> Expr:
    """Return a limit that holds for all values of the parameters.

    Args:
        expression: Sums, products and quotients of powers and exponentials; what is
            continuous may surround what has a limit.
        variable: Positive; what grows.

    Returns:
        A number, an expression in the parameters, or plus or minus infinity.

    Raises:
        UnknownLimitError: If the leading terms may vanish for some values.

    Example:
        >>> from sympy import symbols
        >>> x, p = symbols("x p", positive=True)
        >>> u = symbols("u", nonnegative=True)
        >>> limit_at_infinity((p * x + 1) / (x + u), x)
        p
        >>> limit_at_infinity(exp(-u * x), x)
        Traceback (most recent call last):
        ...
        proofs.engine.leading_terms.UnknownLimitError: the sign of -u is not known
    """
    if not expression.has(variable):
        return expression
    try:
        return _of_quotient(expression, variable)
    except UnknownLimitError:
        of_parts = _of_parts(expression, variable)
        if of_parts is None:
            raise
        return of_parts


def _of_parts(expression: Expr, variable: Symbol) -> Expr | None:
    """Return what a continuous function of finite limits tends to."""
    try:
        parts = [limit_at_infinity(part, variable) for part in expression.args]
    except UnknownLimitError:
        return None
    first, *others = parts
    continuous = (
        isinstance(expression, Add | Mul | exp | cos)
        or (isinstance(expression, log) and first.is_positive)
        or (
            isinstance(expression, Pow)
            and not expression.exp.has(variable)
            and first.is_positive
        )
    )
    if not continuous or not all(part.is_finite for part in parts):
        return None
    return expression.func(first, *others)


def _of_quotient(expression: Expr, variable: Symbol) -> Expr:
    over, under = fraction(together(powsimp(cancel(expression))))
    bottom = _leader(_terms(under, variable))
    top = _terms(over, variable)
    if all(_growth(term, bottom) <= 0 for term in top):
        level = [term.coefficient for term in top if _growth(term, bottom) == 0]
        return Add(*level) / bottom.coefficient
    return oo * _sign(_leader(top).coefficient / bottom.coefficient)


def _terms(expression: Expr, variable: Symbol) -> list[_Term]:
    """Return the terms of a sum, those of one growth together."""
    coefficients: dict[tuple[Expr, Expr], Expr] = {}
    flat = expand(powdenest(expand(expression)))
    for part in Add.make_args(flat):
        term = _term(part, variable)
        key = expand(term.power), expand(term.rate)
        coefficients[key] = expand(coefficients.get(key, S.Zero) + term.coefficient)
    return [_Term(c, *key) for key, c in coefficients.items() if c != 0]


def _leader(terms: list[_Term]) -> _Term:
    """Return the term that outgrows all others, and is there for all parameters."""
    if not terms:
        raise UnknownLimitError("the denominator vanishes")
    leader, *others = terms
    for term in others:
        growth = _growth(term, leader)
        if growth == 0:
            raise UnknownLimitError("two terms grow alike")
        leader = term if growth > 0 else leader
    if _sign(leader.coefficient) == 0:
        raise UnknownLimitError(f"{leader.coefficient} vanishes")
    return leader


def _growth(one: _Term, other: _Term) -> int:
    return _sign(one.rate - other.rate) or _sign(one.power - other.power)


def _term(product: Expr, variable: Symbol) -> _Term:
    coefficient, power, rate = S.One, S.Zero, S.Zero
    for factor in Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        if not factor.has(variable):
            coefficient *= factor
        elif base == variable and not exponent.has(variable):
            power += exponent
        elif not base.has(variable) and base.is_positive:
            inside = expand(exponent * log(base))
            if not inside.is_polynomial(variable):
                raise UnknownLimitError(f"{factor} is no exponential")
            polynomial = Poly(inside, variable)
            if polynomial.degree() != 1:
                raise UnknownLimitError(f"{factor} is no exponential")
            slope, constant = polynomial.all_coeffs()
            rate += slope
            coefficient *= exp(constant)
        else:
            raise UnknownLimitError(f"{factor} is neither power nor exponential")
    return _Term(coefficient, power, rate)


def _sign(expression: Expr) -> int:
    """Return the sign of a number; it must be known."""
    number = expand(expression)
    if number.is_zero:
        return 0
    if number.is_positive:
        return 1
    if number.is_negative:
        return -1
    raise UnknownLimitError(f"the sign of {number} is not known")


def limit_with_parameters(
    expression: Expr, variable: Symbol, to: Expr, side: str
) -> Expr:
    """Return a limit that holds for all values of the parameters.

    Args:
        expression: As for ``limit_at_infinity``.
        variable: The variable that moves.
        to: Where to.
        side: "+" if it comes from above, "-" if from below.

    Returns:
        The limit; of a quotient of what vanishes, that of the derivatives (L'Hôpital).

    Raises:
        UnknownLimitError: If it may depend on the values of the parameters.

    Example:
        >>> from sympy import symbols
        >>> x, d = symbols("x d", positive=True)
        >>> limit_with_parameters(((1 + x) ** d - 1) / x, x, S.Zero, "+")
        d
    """
    far = Dummy("x", positive=True)
    step = far if side == "+" else -far
    place = -step if to.is_infinite else to + 1 / step

    def reached(part: Expr) -> Expr:
        return limit_at_infinity(part.subs(variable, place), far)

    try:
        return reached(expression)
    except UnknownLimitError as error:
        over, under = fraction(together(expression))
        try:
            if reached(over) == 0 == reached(under):
                return reached(simplify(over.diff(variable) / under.diff(variable)))
        except UnknownLimitError:
            pass
        raise error from None
