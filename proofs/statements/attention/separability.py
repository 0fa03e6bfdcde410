"""On a rectangle the softmax of quadratic scores is a product over the axes."""

from collections.abc import Callable

from sympy import Expr, Function, Lambda, Sum, exp, symbols

from proofs.engine import Control, Equal, Formula, Formulas, Statement, Step
from proofs.lemmas import over

alpha = symbols("alpha", positive=True)
beta = symbols("beta", real=True)
t, t1, t2 = symbols("t t_1 t_2", real=True)
n, H, W = symbols("n H W", integer=True, positive=True)
k, k1, k2 = symbols("k k_1 k_2", integer=True, nonnegative=True)
i, j = symbols("i j", integer=True, nonnegative=True)
far1, far2 = symbols("k'_1 k'_2", integer=True, nonnegative=True)
weight, Z = symbols("w Z", positive=True)
a, b, s, X = (Function(name, real=True) for name in "absX")
u, v = (Function(name, positive=True) for name in "uv")


def _square(key: Expr, target: Expr) -> Expr:
    return -alpha * (key - target) ** 2


FORMULAS = {
    "factor": Formula(
        (alpha, t, k, n),
        exp(_square(k, t)) / Sum(exp(_square(j, t)), (j, 0, n - 1)),
        "R(t, k): the share of one axis with n pixels",
    ),
    "joint": Formula(
        (alpha, t1, t2, k1, k2, H, W),
        exp(_square(k1, t1) + _square(k2, t2))
        / Sum(exp(_square(i, t1) + _square(j, t2)), (i, 0, H - 1), (j, 0, W - 1)),
        "the probability of a pixel of an H × W canvas",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    joint = formulas["joint"].expression

    def factor(target: Expr, key: Expr, size: Expr) -> Expr:
        values = {t: target, k: key, n: size}
        return formulas["factor"].expression.subs(values, simultaneous=True)

    rows, columns = over((i, 0, H - 1)), over((j, 0, W - 1))
    softmax_a = exp(a(k1)) / rows(exp(a(i)))
    softmax_b = exp(b(k2)) / columns(exp(b(j)))
    joint_of_sums = softmax_a * softmax_b
    all_pixels = rows(columns(exp(a(i) + b(j))))
    # A canvas of the pixels (0, 0), (0, 1) and (1, 0), with the target at (0, 0).
    corner = 1 / (1 + 2 * exp(-alpha))
    edge = exp(-alpha) * corner

    def minor(score: Callable[[Expr, Expr], Expr]) -> Expr:
        others = score(k1, far2) + score(far1, k2)
        return score(k1, k2) + score(far1, far2) - others

    def mixed(first: Expr, second: Expr) -> Expr:
        product = (first - t1) * (second - t2)
        return _square(first, t1) + _square(second, t2) + beta * product

    balance = u(k1) * v(far2) * u(far1) * v(k2)
    corners = [exp(mixed(p, q)) for p in (0, 1) for q in (0, 1)]
    return Statement(
        name="separability",
        title="Separability",
        source="elementary; Cordonnier, Loukas, Jaggi (2020), equation 9, for the "
        "scores",
        words="On a rectangular canvas, with any number of axes, the softmax of "
        "scores that are sums over the axes is a product of softmaxes, one for "
        "each axis. Quadratic scores are such sums. Scores that are not sums "
        "give no product, nor does a canvas that is not a set of rows times a "
        "set of columns.",
        formula=r"P(t, k) = R(t_1, k_1)\, C(t_2, k_2), \qquad R(t, k) = "
        r"\frac{e^{-\alpha (k - t)^2}}{\sum_{j=0}^{n-1} e^{-\alpha (j - t)^2}}",
        hypotheses=(
            r"The canvas is all of $\{0, \dots, H - 1\} \times \{0, \dots, W - 1\}$.",
            (
                "The score of pixel $(i, j)$ is $a_i + b_j$; $a$ and $b$ are any "
                "real functions of a row and of a column."
            ),
        ),
        steps=(
            Step(
                "The normaliser is a product, since the exponential of a sum is one "
                "and finite sums distribute.",
                Equal(all_pixels, rows(exp(a(i))) * columns(exp(b(j)))),
            ),
            Step(
                "Hence the softmax is a product of two softmaxes, one for each axis.",
                Equal(exp(a(k1) + b(k2)) / all_pixels, joint_of_sums),
            ),
            Step(
                "Each of them is what the softmax gives to a whole row, or column, of "
                "pixels.",
                Equal(columns(exp(a(k1) + b(j)) / all_pixels), softmax_a),
            ),
            Step(
                "Any number of axes, by induction. Let $w$ be the weight of a pixel "
                "over the axes so far and $Z$ the sum of such weights, so that $w/Z$ "
                "is a product already. One more axis with scores $b$ makes the "
                r"normaliser $\sum_j Z e^{b_j}$, and it brings one more factor. The "
                "induction starts with one axis.",
                Equal(
                    weight * exp(b(k2)) / columns(Z * exp(b(j))),
                    weight / Z * softmax_b,
                ),
            ),
            Step(
                r"Quadratic scores are sums over the axes, $a_i = -\alpha (i - "
                r"t_1)^2$ and $b_j = -\alpha (j - t_2)^2$, for every target $t$.",
                Equal(joint, factor(t1, k1, H) * factor(t2, k2, W)),
                shown=r"P(t, k) = R(t_1, k_1)\, C(t_2, k_2)",
                where={
                    "P(t, k)": joint,
                    "R(t_1, k_1)": factor(t1, k1, H),
                    "C(t_2, k_2)": factor(t2, k2, W),
                },
            ),
            Step(
                "Each factor sums to one: it is a probability along its axis.",
                Equal(rows(factor(t1, i, H)), 1),
            ),
            Step(
                "So the weighted mean of any values $X$ can be taken along one axis "
                "after the other: $H + W$ products for a pixel instead of $HW$, if "
                "all targets of a grid are wanted.",
                Equal(
                    rows(columns(factor(t1, i, H) * factor(t2, j, W) * X(i, j))),
                    columns(
                        factor(t2, j, W) * rows(factor(t1, i, H) * X(i, j)),
                    ),
                ),
                shown=r"\sum_i \sum_j R(t_1, i)\, C(t_2, j)\, X(i, j) = \sum_j C(t_2, "
                r"j) \sum_i R(t_1, i)\, X(i, j)",
                where={
                    r"\sum_i": (i, 0, H - 1),
                    r"\sum_j": (j, 0, W - 1),
                    "R(t_1, i)": factor(t1, i, H),
                    "C(t_2, j)": factor(t2, j, W),
                },
            ),
            Step(
                r"Conversely, if probabilities are products $P(i, j) = u(i)\,v(j)$, "
                "then over the four corners of any rectangle they balance.",
                Equal(u(k1) * v(k2) * u(far1) * v(far2), balance),
                shown=r"P(k_1, k_2)\, P(k'_1, k'_2) = P(k_1, k'_2)\, P(k'_1, k_2)",
                where={"P": Lambda((k1, k2), u(k1) * v(k2))},
            ),
            Step(
                "Pixels of the canvas have probabilities above zero, others have "
                "none. So whatever the scores, with two opposite corners the other "
                "two are on the canvas as well: it is a set of rows times a set of "
                "columns. There, scores $s$ balance if and only if the exponent "
                "below is zero for all corners. Hold $k'$ fixed: then $s$ is a sum "
                "over the axes.",
                Equal(
                    exp(s(k1, k2)) * exp(s(far1, far2)) / Z**2,
                    exp(minor(s)) * exp(s(k1, far2)) * exp(s(far1, k2)) / Z**2,
                ),
                shown=r"P(k_1, k_2)\, P(k'_1, k'_2) = e^{s(k_1, k_2) + s(k'_1, k'_2) "
                r"- s(k_1, k'_2) - s(k'_1, k_2)}\, P(k_1, k'_2)\, P(k'_1, k_2)",
                where={"P": Lambda((k1, k2), exp(s(k1, k2)) / Z)},
            ),
            Step(
                r"A mixed term $\beta\,\delta_1\delta_2$ fails it: the exponent is "
                r"zero for all pixels only if $\beta = 0$ or there is but one row or "
                "column.",
                Equal(minor(mixed), beta * (k1 - far1) * (k2 - far2)),
            ),
        ),
        controls=(
            Control(
                "A canvas of three pixels, $2 \\times 2$ less one: the product of the "
                "axes is not the softmax.",
                Equal(corner, factor(0, 0, 2).doit() ** 2),
            ),
            Control(
                "Any factors at all on that canvas: the probabilities do not balance.",
                Equal(corner * 0, edge**2),
            ),
            Control(
                "A mixed term in the scores.",
                Equal(corners[0] * corners[3], corners[1] * corners[2]),
            ),
            Control(
                "The targets of the two axes exchanged, on two by two pixels.",
                Equal(
                    joint.subs({H: 2, W: 2, k1: 0, k2: 1, t1: 0, t2: 1}).doit(),
                    (factor(1, 0, 2) * factor(0, 1, 2)).doit(),
                ),
            ),
            Control(
                "Normalised over one axis only.",
                Equal(exp(a(k1) + b(k2)) / rows(exp(a(i) + b(k2))), joint_of_sums),
            ),
            Control(
                "Scores that are products over the axes.",
                Equal(
                    exp(a(k1) * b(k2)) / rows(columns(exp(a(i) * b(j)))), joint_of_sums
                ),
            ),
        ),
        scope="All sizes, any number of axes, every target. The converse: two axes.",
        formulas=formulas,
        formal={
            "softmax_rectangle": "two axes, any scores that are sums",
            "softmax_separable": "any number of axes, any scores that are sums",
            "gaussian_separable": "quadratic scores, targets on the grid or off it",
        },
        informal="the converse: scores that are no sums, canvases that are no "
        "rectangles",
    )
