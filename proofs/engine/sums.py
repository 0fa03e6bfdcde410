"""A normal form for expressions with finite sums over symbolic ranges.

Sums are linear and may be exchanged: constants are pulled out, sums of sums split,
indices start at zero and are renamed, and nested sums take one order. Two expressions
that differ by such steps have one normal form; then what is left is algebra.
"""

from itertools import count, islice, permutations

from sympy import (
    Add,
    Dummy,
    Expr,
    Integer,
    Mul,
    S,
    Sum,
    Symbol,
    expand,
    expand_power_base,
    expand_power_exp,
    fraction,
    srepr,
    together,
)

Limit = tuple[Symbol, Expr, Expr]


def difference_is_zero(left: Expr, right: Expr) -> bool:
    """Return whether two expressions have one normal form.

    Args:
        left: Any expression.
        right: Any expression.

    Returns:
        ``True`` only if they are equal wherever both are defined.

    Example:
        >>> from sympy import Function, symbols
        >>> n, k, c, f = *symbols("n k c"), Function("f")
        >>> whole = Sum(c * f(k) + 1, (k, 1, n))
        >>> difference_is_zero(whole, c * Sum(f(k), (k, 1, n)) + n)
        True

        A power of a sum is a sum over several indices, which stay apart:

        >>> j = symbols("j")
        >>> squares = Sum(Sum(f(k * j), (k, 1, n)) ** 2, (j, 1, n))
        >>> difference_is_zero(squares, n * Sum(f(k * k), (k, 1, n)) ** 2)
        False
    """
    return bool(normal(left - right) == 0)


def normal(expression: Expr) -> Expr:
    """Return the numerator of an expression in normal form.

    Args:
        expression: Any expression.

    Returns:
        Zero if the expression vanishes identically by linearity and algebra.
    """
    numerator = fraction(together(_linear(expression)))[0]
    return _linear(numerator)


def _linear(expression: Expr) -> Expr:
    """Split and order all sums; multiply everything out."""
    if expression.is_Atom:
        return expression
    if isinstance(expression, Sum):
        return _split(expression)
    parts = [
        _linear(part) if isinstance(part, Expr) else part for part in expression.args
    ]
    return _expanded(expression.func(*parts))


def _split(sum_: Sum) -> Expr:
    """Write a sum as a combination of sums over products that need its index."""
    *inner, (index, low, high) = sum_.limits
    body = Sum(sum_.function, *inner) if inner else sum_.function
    place = Dummy(index.name, integer=True, nonnegative=True)
    body = _linear(body.subs(index, place + low))
    limit = (place, S.Zero, expand(high - low))
    return Add(*(_pulled_out(term, limit) for term in Add.make_args(body)))


def _pulled_out(term: Expr, limit: Limit) -> Expr:
    """Take factors that do not depend on the index of a sum out of it."""
    index, low, high = limit
    limits, kernel, constants = [], [], []
    commuting, others = term.args_cnc()
    left, middle, right = _apart(others, index)
    if middle:
        kernel.append(Mul(*middle))
    for factor in commuting:
        base, exponent = factor.as_base_exp()
        if index not in factor.free_symbols:
            constants.append(factor)
        elif isinstance(base, Sum) and exponent.is_Integer and exponent > 0:
            for _ in range(int(exponent)):
                apart = _renamed(base)
                kernel.append(apart.function)
                limits.extend(apart.limits)
        else:
            kernel.append(factor)
    if not kernel:
        return _expanded(Mul(*constants, *left) * (high - low + 1))
    whole = _ordered(Mul(*kernel), [*limits, limit])
    return _expanded(Mul(*constants)) * Mul(*left, whole, *right)


def _apart(
    factors: list[Expr], index: Symbol
) -> tuple[list[Expr], list[Expr], list[Expr]]:
    """Split a product that does not commute at its first and last use of an index."""
    places = [n for n, part in enumerate(factors) if index in part.free_symbols]
    if not places:
        return factors, [], []
    first, last = places[0], places[-1] + 1
    return factors[:first], factors[first:last], factors[last:]


def _renamed(sum_: Sum) -> Sum:
    """Give the indices of a sum names that nothing else has."""
    new = {index: Dummy(**index.assumptions0) for index, _, _ in sum_.limits}
    limits = [
        (new[index], low.subs(new), high.subs(new)) for index, low, high in sum_.limits
    ]
    return Sum(sum_.function.subs(new), *limits)


def _bounds(limits: list[Limit]) -> set[Symbol]:
    return set().union(*(low.free_symbols | up.free_symbols for _, low, up in limits))


def _ordered(body: Expr, limits: list[Limit]) -> Sum:
    """Name the indices by their place, and choose the first of all orders."""
    candidates = []
    dependent = bool(_bounds(limits) & {index for index, _, _ in limits})
    # Infinite sums may not be exchanged for the asking.
    dependent |= any(low.is_infinite or high.is_infinite for _, low, high in limits)
    # A sum inside a function keeps its index: that name must not be given again.
    taken = set().union(*(part.bound_symbols for part in body.atoms(Sum)))
    numbered = (Symbol(f"_i{n}", integer=True, nonnegative=True) for n in count())
    free = (name for name in numbered if name not in taken)
    names = list(islice(free, len(limits)))
    for order in [limits] if dependent else permutations(limits):
        renaming = {
            index: name for (index, _, _), name in zip(order, names, strict=True)
        }
        bounds = [
            (renaming[index], low.subs(renaming), high.subs(renaming))
            for index, low, high in order
        ]
        renamed = body.subs(renaming, simultaneous=True)
        candidates.append(Sum(_expanded(renamed), *bounds))
    return min(candidates, key=srepr)


def _expanded(expression: Expr) -> Expr:
    powers = expand_power_base(expand_power_exp(expression))
    return expand(powers, power_exp=True, power_base=True, log=False)


def peeled(expression: Expr, variable: Symbol) -> Expr:
    """Return an expression at n + 1, its sums taken up to n and their last term.

    Args:
        expression: With sums whose upper limit is n or n plus a number.
        variable: n.

    Returns:
        The same as substituting n + 1, but in terms of the sums up to n.

    Raises:
        ValueError: If a sum does not grow by whole terms from n to n + 1.
    """
    if isinstance(expression, Sum):
        inner = peeled(expression.function, variable)
        *others, (index, low, high) = expression.limits
        if others:
            inner = peeled(Sum(expression.function, *others), variable)
        if low.has(variable):
            raise ValueError(f"the sum begins at {low}")
        if not high.has(variable):
            return Sum(inner, (index, low, high))
        last = high.subs(variable, variable + 1)
        steps = expand(last - high)
        if not isinstance(steps, Integer) or steps < 0:
            raise ValueError(f"the sum up to {high} does not grow by whole terms")
        extra = [inner.subs(index, high + 1 + step) for step in range(int(steps))]
        return Add(Sum(inner, (index, low, high)), *extra)
    if not expression.has(Sum):
        return expression.subs(variable, variable + 1)
    return expression.func(*(peeled(part, variable) for part in expression.args))
