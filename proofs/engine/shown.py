"""Whether a formula written by hand says what the claim beside it says."""

from collections.abc import Iterator
from itertools import combinations
from types import MappingProxyType
from typing import Any

from sympy import (
    Abs,
    Basic,
    Expr,
    KroneckerDelta,
    MatrixBase,
    Max,
    Min,
    S,
    expand,
    expand_log,
    expand_trig,
    sympify,
)

from proofs.engine.claim import Claim
from proofs.engine.constants import Below
from proofs.engine.equality import Equal
from proofs.engine.every import Every
from proofs.engine.induction import ByInduction
from proofs.engine.limits import Tends
from proofs.engine.notation import names_of, pieces, read
from proofs.engine.ranges import UnsoundError, sound
from proofs.engine.reader import Relation
from proofs.engine.rounding import Rounded
from proofs.engine.signs import Nonnegative, Positive, PositiveBetween
from proofs.engine.sums import normal
from proofs.engine.tokens import Names, NotationError

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def names_in(claim: Claim) -> dict[str, Any]:
    """Return what a claim calls its symbols and functions.

    Args:
        claim: The claim.

    Returns:
        Symbols and functions by their names in LaTeX.
    """
    return names_of(*(side for r in _relations(claim) for side in (r.left, r.right)))


def mismatch(
    claim: Claim, formula: str, where: Names, notation: Names = MappingProxyType({})
) -> str:
    """Say how a formula differs from a claim.

    Each of its chains must hold a relation that the claim makes, its sides decided to
    be equal; its other relations must be proved as they stand.

    Args:
        claim: The claim.
        formula: The formula that is shown for it, in LaTeX.
        where: The meaning of names in the formula that the claim does not have.
        notation: The meaning of names that neither of the two has.

    Returns:
        An empty text if the formula says what the claim says; else the part that cannot
        be read or is not decided.

    Example:
        >>> from sympy import Integer
        >>> from sympy.abc import x
        >>> claim = Equal(2 * x - x, x)
        >>> mismatch(claim, "2x - x = x", {})
        ''
        >>> mismatch(claim, "2x - x = 2x", {})
        'the claim does not say 2x - x = 2x'
    """
    made = list(_relations(claim))
    # A letter e of other claims does not hide Euler's number in this one.
    others = {name: value for name, value in notation.items() if name != "e"}
    names = {**others, **names_in(claim), **where}
    limits = _limits(claim)
    if limits:
        arrow, *more = {limit.arrow() for limit in limits}
        if more or not formula.startswith(arrow):
            return f"no limit as in the claim: {formula}"
        formula = formula.replace(arrow, "")
    chains, conditions = pieces(formula)
    for condition in conditions:
        if condition not in claim.latex():
            return f"the claim does not have the condition {condition}"
    try:
        relations = read(formula, names)
    except NotationError as error:
        return str(error)
    if not relations or not all(_is_made(chain, made) for chain in relations):
        return f"the claim does not say {', '.join(chains)}"
    return ""


def _limits(claim: Claim) -> list[Tends]:
    """Return the limits of a claim that is about limits alone."""
    claims = claim.claims if isinstance(claim, Every) else [claim]
    limits = [each for each in claims if isinstance(each, Tends)]
    return limits if len(limits) == len(claims) else []


def _relations(claim: Claim) -> Iterator[Relation]:
    """Return the relations that a claim makes."""
    match claim:
        case Every(claims):
            for each in claims:
                yield from _relations(each)
        case Equal(left, right) | ByInduction(left, right) | Rounded(left, right):
            yield from _equations(left, right)
        case Below(left, right):
            yield Relation(left, "<", right)
        case Tends(expression, value=value):
            yield Relation(sympify(expression), "=", sympify(value))
        case Nonnegative(expression, form) | Positive(expression, form):
            sign = ">" if isinstance(claim, Positive) else ">="
            yield Relation(sympify(expression), sign, S.Zero)
            if form is not None:
                yield Relation(expression, "=", form)
        case PositiveBetween(polynomial):
            yield Relation(polynomial, ">", S.Zero)


def _equations(left: Expr | MatrixBase, right: Expr | MatrixBase) -> list[Relation]:
    if isinstance(left, MatrixBase) and isinstance(right, MatrixBase):
        pairs = zip(left, right, strict=True)
        return [Relation(left, "=", right), *(Relation(a, "=", b) for a, b in pairs)]
    return [Relation(sympify(left), "=", sympify(right))]


def _is_made(chain: list[Relation], made: list[Relation]) -> bool:
    links = [
        link in made or any(_says(link, other) for other in made) for link in chain
    ]
    whole = any(links) or any(
        _says(r, other) for r in _spanned(chain) for other in made
    )
    return whole and all(
        known or _is_proved(link) for known, link in zip(links, chain, strict=True)
    )


def _spanned(chain: list[Relation]) -> Iterator[Relation]:
    """Return what a chain says of members that are no neighbours."""
    for first, last in combinations(range(len(chain)), 2):
        signs = {relation.sign for relation in chain[first : last + 1]} - {"="}
        if len(signs) <= 1:
            sign = signs.pop() if signs else "="
            yield Relation(chain[first].left, sign, chain[last].right)


def _says(one: Relation, other: Relation) -> bool:
    if one.sign != other.sign:
        if _FLIPPED[one.sign] != other.sign:
            return False
        one = Relation(one.right, other.sign, one.left)
    if one.sign != "=":
        return _same(one.left - one.right, other.left - other.right)
    if _same(one.left, other.left) and _same(one.right, other.right):
        return True
    if _same(one.left, other.right) and _same(one.right, other.left):
        return True
    if any(isinstance(r.left, MatrixBase) for r in (one, other)):
        return False
    gap = other.left - other.right
    return gap != 0 and _same(one.left - one.right, gap)


def _is_proved(relation: Relation) -> bool:
    gap = relation.left - relation.right
    claim: Claim
    match relation.sign:
        case "=":
            claim = Equal(relation.left, relation.right)
        case "<" | ">" if not gap.free_symbols:
            sides = relation.left, relation.right
            claim = Below(*(sides if relation.sign == "<" else sides[::-1]))
        case "<" | ">":
            claim = Positive(gap if relation.sign == ">" else -gap)
        case _:
            claim = Nonnegative(gap if relation.sign == ">=" else -gap)
    return claim.decide().proved


def _same(one: Basic, other: Basic) -> bool:
    """Whether two expressions are equal, by algebra that takes no time to search."""
    if isinstance(one, MatrixBase) or isinstance(other, MatrixBase):
        alike = getattr(one, "shape", ()) == getattr(other, "shape", ())
        return alike and all(map(_same, one, other))
    if not isinstance(one, Expr) or not isinstance(other, Expr):
        return False
    if one == other:
        return True
    one, other = map(_evaluated, (one, other))
    try:
        gap = sound(one) - sound(other)
    except UnsoundError:
        return False
    return bool(
        gap == 0
        or (gap.free_symbols and expand_trig(expand(gap)).expand() == 0)
        or (not gap.free_symbols and expand_log(gap, factor=True).expand() == 0)
        or normal(gap) == 0
    )


def _evaluated(expression: Expr) -> Expr:
    """Write maxima by sizes, and sums over brackets by the terms that are left."""
    if expression.has(Max, Min):
        expression = expression.rewrite(Abs)
    return expression.doit() if expression.has(KroneckerDelta) else expression
