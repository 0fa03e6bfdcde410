"""Steps and controls that several derivations share; each is decided where it is used.

Tools that write formulas come first, then claims and steps.
"""

from collections.abc import Callable, Mapping

from sympy import (
    Abs,
    Expr,
    Function,
    KroneckerDelta,
    Matrix,
    Max,
    Sum,
    Symbol,
    exp,
    symbols,
)

from proofs.engine import ByInduction, Control, Equal, Formulas, Nonnegative, Step

LAPLACIAN = Matrix([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
SOBEL = Matrix([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def expressions(formulas: Formulas, *names: str) -> tuple[Expr, ...]:
    """Return the expressions of some formulas; without names, of all in order."""
    return tuple(formulas[name].expression for name in names or formulas)


def over(*limits: tuple[Symbol, Expr, Expr]) -> Callable[[Expr], Sum]:
    """Return the function that sums a term over some ranges."""
    return lambda term: Sum(term, *limits)


def exchanged(expression: Expr, one: Expr, other: Expr) -> Expr:
    """Let two symbols change places."""
    return expression.subs({one: other, other: one}, simultaneous=True)


def with_two_more(layer: Expr, index: Symbol, count: Symbol) -> Expr:
    """Let a layer of n tokens have n + 2: split two terms off its sums over n."""
    return layer.replace(
        lambda part: isinstance(part, Sum) and part.limits == ((index, 1, count),),
        lambda part: part + sum(part.function.subs(index, count + i) for i in (1, 2)),
    )


def minor(entry: Expr, row: Mapping[Expr, Expr], column: Mapping[Expr, Expr]) -> Expr:
    """Return a minor of size two of a matrix with this entry.

    Args:
        entry: The entry in the first row and the first column.
        row: What the second row has in place of what the first one has.
        column: The same for the columns.

    Returns:
        The product of one diagonal less that of the other.
    """
    opposite = entry.subs({**row, **column})
    return entry * opposite - entry.subs(row) * entry.subs(column)


def two_split_off(reason: str) -> Step:
    """Split the last two terms off a finite sum."""
    f, k = Function("f", real=True), Symbol("k", integer=True)
    j = Symbol("j", integer=True, nonnegative=True)
    terms = Sum(f(k), (k, 1, j)) + f(j + 1) + f(j + 2)
    return Step(reason, ByInduction(Sum(f(k), (k, 1, j + 2)), terms, j))


def exchange_noticed() -> Step:
    """Say how a convolution changes if two pixels with taps A and D change places."""
    A, D, X, Y = (Function(name, real=True) for name in "ADXY")
    c = Symbol("c", integer=True)
    over_channels = over((c, 1, Symbol("C", integer=True, positive=True)))
    before = over_channels(A(c) * X(c) + D(c) * Y(c))
    after = over_channels(A(c) * Y(c) + D(c) * X(c))
    return Step(
        "The convolution notices the exchange. Its output changes by this much:",
        Equal(before - after, over_channels((A(c) - D(c)) * (X(c) - Y(c)))),
    )


def half_is_lost(half: Expr, difference: Expr, letter: str = r"\beta") -> Step:
    """Prove that one output for two targets misses one of them by half their distance.

    Args:
        half: Half of the size of the difference, as the statement's formula has it.
        difference: What the two targets differ by.
        letter: What the half is called.

    Returns:
        The step.
    """
    y, y0 = symbols("y y_0", real=True)
    return Step(
        "The layer has one output $y$ where $y_0$ and $y_1$ are wanted. Let "
        rf"${letter} = |y_0 - y_1|/2$. The squares of the two errors add up to "
        rf"$2{letter}^2$ or more, so the larger error is at least ${letter}$.",
        Nonnegative(
            (y - y0) ** 2 + (y - y0 + difference) ** 2 - 2 * half**2,
            2 * (y - y0 + difference / 2) ** 2,
        ),
        shown=rf"(y - y_0)^2 + (y - y_1)^2 - 2{letter}^2 = "
        r"2\,\left(y - \tfrac{1}{2}(y_0 + y_1)\right)^2 \ge 0",
        where={"y_1": y0 - difference, letter: difference / 2},
    )


def whole_difference() -> Control:
    """Claim the whole difference where half of it is right."""
    y, y0, w = symbols("y y_0 w", real=True)
    return Control(
        "The whole difference as the bound: an output in the middle is closer.",
        Nonnegative(Max(Abs(y - y0), Abs(y - w)) - Abs(y0 - w)),
    )


def no_better(pair: str, size: Expr, B: Symbol, spare: Symbol) -> Step:
    """Prove that no inputs within B make more of two taps than those with their signs.

    Args:
        pair: How far apart two inputs are, in LaTeX.
        size: The root of the size of the difference of the two taps.
        B: The largest input.
        spare: What the inputs lack.

    Returns:
        The step.
    """
    return Step(
        "... and no others are better. A sum is at most the sum of the absolute values "
        rf"of its terms, and ${pair}$ is $2B - {spare}$ with ${spare} \ge 0$.",
        Nonnegative(
            2 * B * size**2 - size**2 * (2 * B - spare),
            size**2 * spare,
        ),
    )


def softmax_shift(reason: str, score: Function, shift: Symbol) -> Step:
    """Prove that a constant added to all scores drops out of the softmax."""
    i, k = symbols("i k", integer=True)
    n = Symbol("n", integer=True, positive=True)
    softmax = exp(score(k)) / Sum(exp(score(i)), (i, 1, n))
    shifted = exp(score(k) + shift) / Sum(exp(score(i) + shift), (i, 1, n))
    return Step(reason, Equal(shifted, softmax))


def own_group(term: Expr, group: Symbol) -> ByInduction:
    """Claim that of all groups only the own one is left, g before it and r after it."""
    other = Symbol(f"{group.name}'", integer=True)
    later = Symbol("r", integer=True, nonnegative=True)
    terms = KroneckerDelta(group, other) * term.subs(group, other)
    return ByInduction(Sum(terms, (other, 0, group + later)), term, later)


def bernoulli(x: Expr, count: Expr) -> Nonnegative:
    """Claim the step of Bernoulli's inequality, (1 + x)^n ≥ 1 + n x."""
    return Nonnegative((1 + count * x) * (1 + x) - (1 + (count + 1) * x), count * x**2)


def share_rises(weight: Expr, more: Expr) -> Nonnegative:
    """Claim that x / (1 + x) rises with x."""
    heavier = 1 + weight + more
    return Nonnegative(
        (weight + more) / heavier - weight / (1 + weight),
        more / (heavier * (1 + weight)),
    )
