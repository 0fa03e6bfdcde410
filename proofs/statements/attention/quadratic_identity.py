"""Scores are quadratic in the displacement, largest at the center, up to a constant."""

from collections.abc import Sequence

from sympy import Expr, Function, IndexedBase, Matrix, Sum, exp, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import over, softmax_shift

alpha = symbols("alpha", positive=True)
delta = symbols("delta_1:4", real=True)
center = symbols("Delta_1:4", real=True)
d, n, k = symbols("d n k", integer=True, positive=True)
i = symbols("i", integer=True)
miss = symbols("e_1:4", real=True)
hit = symbols("e", integer=True, positive=True)  # |e_j| of an axis that is missed
s = Function("s", real=True)
c = symbols("c", real=True)


def _squared(vector: Sequence[Expr]) -> Expr:
    return sum(entry**2 for entry in vector)


def _axes(count: int) -> str:
    return "axis" if count == 1 else "axes"


FORMULAS = {
    f"score_{axes}": Formula(
        (alpha, *delta[:axes], *center[:axes]),
        -alpha
        * _squared([a - b for a, b in list(zip(delta, center, strict=True))[:axes]]),
        f"the score of a head, less a constant, {axes} {_axes(axes)}",
    )
    for axes in (1, 2, 3)
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    vector = {
        axes: Matrix([-alpha, *(2 * alpha * entry for entry in center[:axes])])
        for axes in (1, 2, 3)
    }
    encoding = {
        axes: Matrix([_squared(delta[:axes]), *delta[:axes]]) for axes in (1, 2, 3)
    }
    score = {axes: formulas[f"score_{axes}"].expression for axes in (1, 2, 3)}
    x, y = IndexedBase("delta", real=True), IndexedBase("Delta", real=True)

    over_axes = over((i, 1, d))
    at_center = dict(zip(delta, center, strict=True))
    off_center = dict(
        zip(delta, [a + b for a, b in zip(center, miss, strict=True)], strict=True)
    )
    plus = [a + b for a, b in zip(delta[:2], center[:2], strict=True)]
    softmax = exp(s(k)) / Sum(exp(s(i)), (i, 1, n))
    return Statement(
        name="quadratic_identity",
        title="Quadratic scores",
        source="Cordonnier, Loukas, Jaggi (2020), equation 9 and Lemma 2",
        words="The inner product of a head's vector and the relative encoding is minus "
        "the strength times the squared distance from the head's center, up to a "
        "constant of the head. It is largest at the center and nowhere else, and the "
        "softmax does not see the constant.",
        formula=r"v_h \cdot r_\delta = -\alpha\,(\|\delta - \Delta\|^2 - \|\Delta\|^2)",
        hypotheses=(
            (
                r"$v = -\alpha\,(1, -2\Delta_1, \dots, -2\Delta_d)$ and "
                r"$r_\delta = (\|\delta\|^2, \delta_1, \dots, \delta_d)$."
            ),
            r"$\alpha > 0$; $\delta$ and $\Delta$ are real.",
        ),
        steps=(
            *(
                Step(
                    f"Over {axes} {_axes(axes)}, with the constant "
                    r"$\alpha\|\Delta\|^2$ of the head.",
                    Equal(
                        vector[axes].dot(encoding[axes]),
                        score[axes] + alpha * _squared(center[:axes]),
                    ),
                    shown=r"v_h \cdot r_\delta = -\alpha\,\|\delta - \Delta\|^2 + "
                    r"\alpha\,\|\Delta\|^2",
                    where={
                        r"v_h \cdot r_\delta": vector[axes].dot(encoding[axes]),
                        r"\|\delta - \Delta\|^2": -score[axes] / alpha,
                        r"\|\Delta\|^2": _squared(center[:axes]),
                    },
                )
                for axes in (1, 2, 3)
            ),
            Step(
                "Over any number of axes $d$: sums over the axes are linear.",
                Equal(
                    -alpha * over_axes(x[i] ** 2) + over_axes(2 * alpha * y[i] * x[i]),
                    -alpha * over_axes((x[i] - y[i]) ** 2)
                    + alpha * over_axes(y[i] ** 2),
                ),
            ),
            Step(
                "At the center the score is zero.",
                Equal(score[3].subs(at_center), 0),
                shown=r"-\alpha\,\big((\Delta_1 - \Delta_1)^2 + (\Delta_2 - "
                r"\Delta_2)^2 + (\Delta_3 - \Delta_3)^2\big) = 0",
            ),
            Step(
                "Off the center by $e$ it is never above zero.",
                Nonnegative(-score[3].subs(off_center)),
            ),
            Step(
                r"An axis that is missed by a whole number of pixels costs at least "
                r"$\alpha$, so the runner-up on the grid is behind by $\alpha$ or "
                "more, and the maximum is unique.",
                Nonnegative(
                    alpha * hit**2 + alpha * miss[0] ** 2 - alpha,
                    alpha * (hit - 1) * (hit + 1) + alpha * miss[0] ** 2,
                ),
            ),
            Step(
                "A miss that is not zero, on or off the grid, costs something.",
                Positive(alpha * symbols("e", real=True, nonzero=True) ** 2),
            ),
            softmax_shift(
                "A constant added to all scores drops out of the softmax, over any "
                "number $n$ of keys.",
                s,
                c,
            ),
        ),
        controls=(
            Control(
                "The sign of the linear part.",
                Equal(
                    vector[2].dot(encoding[2]),
                    -alpha * _squared(plus) + alpha * _squared(center[:2]),
                ),
            ),
            Control(
                "The constant left out.", Equal(vector[2].dot(encoding[2]), score[2])
            ),
            Control(
                "A factor instead of a constant: the softmax does see it.",
                Equal(exp(2 * s(k)) / Sum(exp(2 * s(i)), (i, 1, n)), softmax),
            ),
        ),
        scope=r"All $\alpha > 0$, $\delta$, $\Delta$; any number of axes and keys.",
        formulas=formulas,
        formal={
            "quadratic_identity": "the identity, over every commutative ring",
            "quadratic_maximum": "the score is largest at the center, and nowhere else",
            "softmax_shift": "the softmax does not see the constant",
            "probability_powers": "on the grid probabilities are powers of "
            r"$e^{-\alpha}$, divided by their sum",
        },
    )
