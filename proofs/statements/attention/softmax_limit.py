"""The softmax of quadratic scores tends to the nearest pixels, and how fast."""

from sympy import Expr, Function, Rational, Sum, diff, exp, log, oo, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
    Tends,
)
from proofs.lemmas import expressions

alpha, gamma, tau = symbols("alpha gamma tau", positive=True)
m, N, others = symbols("m N r", integer=True, positive=True)
f, g, K = symbols("f g K", integer=True, positive=True)  # axes, pixels an axis
i, k, n = symbols("i k n", integer=True)
j = symbols("j", integer=True, nonnegative=True)
hit = symbols("e", integer=True, positive=True)  # whole pixels off the center
c, x, R, slack, less = symbols("c x R S s", nonnegative=True)
gap, excess, cut = (Function(name, nonnegative=True) for name in ("g", "h", "s"))

FORMULAS = {
    "nearest": Formula(
        (alpha, gamma, m, N),
        1 / (m + (N - m) * exp(-alpha * gamma)),
        "the least probability of each nearest key; of two levels, the probability",
    ),
    "other": Formula(
        (alpha, gamma, m),
        exp(-alpha * gamma) / m,
        "an upper bound of the probability of any other key",
    ),
    "missed": Formula(
        (alpha, gamma, m, N),
        (N - m) * exp(-alpha * gamma) / m,
        "an upper bound of the probability of all other keys together",
    ),
    "half_gap": Formula(
        (j,),
        j * (j + 1),
        "half a pixel off the grid: how far a pixel is behind the two nearest ones",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    # Without another key there is nothing to prove: N = m + r with r ≥ 1.
    nearest, other, miss, half_gap = (
        expression.subs(N, m + others) for expression in expressions(formulas)
    )
    weight = exp(-alpha * gamma)

    def softmax(score: Expr) -> Expr:
        return exp(score) / Sum(exp(score.subs(k, i)), (i, 1, N))

    def bounded(bound: Expr) -> Expr:  # r e^{−αγ} is R and some slack
        return bound.subs(weight, (R + slack) / others)

    def pixels(axis_gap: int, tied: int) -> Expr:
        values = {gamma: axis_gap, m: tied, N: K}
        return formulas["nearest"].expression.subs(values)

    normaliser = Sum(exp(-alpha * 0), (k, 1, m)) + Sum(
        exp(-alpha * (gamma + excess(k))), (k, 1, others)
    )
    rest = weight * Sum(exp(-alpha * excess(k)), (k, 1, others))
    share = 1 / (m + R)
    target = n + Rational(1, 2)
    behind = (n - j - target) ** 2 - (n - target) ** 2
    return Statement(
        name="softmax_limit",
        title="The limit of the softmax",
        source="Cordonnier, Loukas, Jaggi (2020), Lemma 2, with ties and bounds added",
        words="As the strength grows, the softmax of quadratic scores tends to the "
        "uniform distribution over the pixels nearest to the target. If one "
        "pixel is nearest, all attention goes to it. The attention to all "
        "other pixels falls exponentially, at the rate of the gap to the "
        "runner-up. A target on a pixel has no tie; a target half a pixel off "
        "along some axes has two tied pixels for each such axis.",
        formula=r"\frac{1}{m + (N - m)\,e^{-\alpha\gamma}} \le P(\text{nearest}) \le "
        r"\frac{1}{m}, \qquad P(\text{other}) \le \frac{e^{-\alpha\gamma}}{m}",
        hypotheses=(
            (
                r"Key $k$ of $N$ has the score $-\alpha\,(c + g_k)$ with $\alpha > 0$: "
                "$c$ is the squared distance from the target to the nearest keys, and "
                "$g_k \\ge 0$ is how far key $k$ is behind them."
            ),
            (
                r"$m \ge 1$ keys are nearest, with gap $0$; the other $r = N - m$ "
                r"have a gap of at least $\gamma > 0$. Among finitely many keys there "
                r"are such $m$ and $\gamma$. If $r = 0$ all keys have probability "
                r"$1/N$, so let $r \ge 1$."
            ),
        ),
        steps=(
            Step(
                "What all keys share drops out; only the gaps count.",
                Equal(softmax(-alpha * (c + gap(k))), softmax(-alpha * gap(k))),
            ),
            Step(
                r"List the nearest keys first, and let the others have gaps "
                r"$\gamma + h_k$ with $h_k \ge 0$. The normaliser is $m + R$, where "
                r"$R = e^{-\alpha\gamma} \sum_k e^{-\alpha h_k} \ge 0$.",
                Equal(normaliser, m + rest),
            ),
            Step(
                r"If there are just two levels, all $h_k = 0$, then $R = r\,"
                r"e^{-\alpha\gamma}$, and the probability of a nearest key is known.",
                Equal(1 / (m + rest.subs(excess(k), 0)), nearest),
            ),
            Step(
                "In general $1 - e^{-x}$ is zero at $x = 0$ and rises. So each term "
                r"is $e^{-\alpha h_k} = 1 - s_k$ with $s_k \ge 0$.",
                Positive(diff(1 - exp(-x), x)),
                shown=r"\frac{d}{dx}\left(1 - e^{-x}\right) = e^{-x} > 0",
            ),
            Step(
                r"Hence $R \le r\,e^{-\alpha\gamma}$.",
                Nonnegative(
                    others * weight - Sum(weight * (1 - cut(k)), (k, 1, others)),
                    Sum(weight * cut(k), (k, 1, others)),
                ),
            ),
            Step(
                "A nearest key has the weight $1$, so its probability is "
                "$1/(m + R)$. It is at most $1/m$.",
                Nonnegative(1 / m - share, R / (m * (m + R))),
            ),
            Step(
                r"It is at least the probability for two levels. Here and below "
                r"$r\,e^{-\alpha\gamma} = R + S$ with $S \ge 0$.",
                Nonnegative(
                    share - bounded(nearest), slack / ((m + R) * (m + R + slack))
                ),
            ),
            Step(
                r"Another key, whose weight is $e^{-\alpha\gamma}(1 - s)$ with "
                r"$s \ge 0$, stays below its bound.",
                Nonnegative(
                    other - weight * (1 - less) * share,
                    weight * (R + m * less) / (m * (m + R)),
                ),
            ),
            Step(
                "So do all other keys together: they have what the nearest ones leave.",
                Nonnegative(
                    bounded(miss) - (1 - m * share),
                    (R**2 + slack * (m + R)) / (m * (m + R)),
                ),
            ),
            Step(
                r"As $\alpha$ grows, the lower bound tends to the upper one: each "
                "nearest key tends to $1/m$. For $m = 1$ that is one-hot.",
                Tends(nearest, alpha, oo, 1 / m),
            ),
            Step("All other keys together tend to zero.", Tends(miss, alpha, oo, 0)),
            Step(
                r"How strong is enough: at $\alpha = \frac{1}{\gamma} "
                r"\log\frac{r}{m\,\tau}$, if that is positive, the bound on what is "
                r"missed is $\tau$, and from there on it is smaller.",
                Equal(miss.subs(alpha, log(others / (m * tau)) / gamma), tau),
                shown=r"\frac{r}{m}\,e^{-\alpha\gamma} = \tau",
                where={r"\alpha": log(others / (m * tau)) / gamma},
            ),
            Step(
                "A target on a pixel of the canvas: a pixel that is $e \\ge 1$ steps "
                r"off along some axis is behind by $e^2 \ge 1$ or more. So $m = 1$ and "
                r"$\gamma \ge 1$.",
                Nonnegative(hit**2 - 1, (hit - 1) * (hit + 1)),
            ),
            Step(
                r"A target half a pixel off along an axis, at $t = n + \frac{1}{2}$ "
                "between two pixels of the canvas: pixels $n - j$ and $n + 1 + j$ "
                "tie.",
                Equal((n - j - target) ** 2, (n + 1 + j - target) ** 2),
                shown="(n - j - t)^2 = (n + 1 + j - t)^2",
                where={"t": target, "n": n},
            ),
            Step(
                "They are behind the pixels $n$ and $n + 1$ by a product.",
                Equal(behind, half_gap),
                shown=r"(n - j - t)^2 - (n - t)^2 = j\,(j + 1)",
                where={"t": target, "n": n},
            ),
            Step(
                r"That is at least $2$ from the next pixels on, $j = i + 1$ with "
                r"$i \ge 0$. So $m = 2$ and $\gamma = 2$ along the axis.",
                Nonnegative((half_gap - 2).subs(j, j + 1), j * (j + 3)),
                shown=r"(i + 1)(i + 2) - 2 = i\,(i + 3) \ge 0",
                where={"i": j},
            ),
            Step(
                "With $f$ such axes, each tied pixel is one of two along each of "
                "them: there are $2^f$. Along the $g$ other axes, on the grid, it is "
                "the one nearest pixel. Its probability is the product over the axes "
                "(see separability), squeezed on every axis as above: it tends to "
                "$2^{-f}$. Here each axis has $K$ pixels.",
                Tends(
                    pixels(axis_gap=2, tied=2) ** f * pixels(axis_gap=1, tied=1) ** g,
                    alpha,
                    oo,
                    2 ** (-f),
                ),
            ),
        ),
        controls=(
            Control(
                "One-hot half a pixel off the grid: the limit there is one half.",
                Tends(pixels(axis_gap=2, tied=2), alpha, oo, 1),
            ),
            Control(
                "The sign of the gaps: then the nearest keys lose everything.",
                Tends(nearest.subs(gamma, -gamma), alpha, oo, 1 / m),
            ),
            Control(
                "The nearest keys counted among the others.",
                Equal(1 / (m + (m + others) * weight), nearest),
            ),
            Control(
                "The lower bound taken for an upper one.",
                Nonnegative(bounded(nearest) - share),
            ),
            Control(
                "The bound of another key divided by all keys, not by the nearest.",
                Nonnegative(other * m / (m + others) - weight * (1 - less) * share),
            ),
            Control(
                "Half a pixel off, gaps that are squares, as on the grid.",
                Equal(behind, j**2),
            ),
            Control(
                "Half a pixel off, a runner-up that is behind by three.",
                Nonnegative((half_gap - 3).subs(j, j + 1)),
            ),
        ),
        scope=r"All $\alpha > 0$, any number of keys, ties and axes, any "
        r"$\gamma > 0$.",
        formulas=formulas,
        formal={
            "nearest_most": "a nearest key has at most $1/m$ of the attention",
            "nearest_least": r"and at least $1/(m + (N - m)\,e^{-\alpha\gamma})$",
            "other_most": r"any other key has at most $e^{-\alpha\gamma}/m$",
            "softmax_limit": "the limit, for any distances",
            "softmax_uniform": "one strength serves all distances with the same gap",
            "grid_ties": "a target on the grid has no tie",
        },
        informal="targets half a pixel off; the strength that a given share asks for",
        remarks=(
            (
                r"Both bounds of a nearest key, and so of all, are attained: the lower "
                r"one by two levels, the upper one in the limit."
            ),
            (
                "Gaps of several axes add up. So the runner-up is behind by $2$ or "
                "more if every axis is half a pixel off, and by $1$ or more if some "
                "are."
            ),
            (
                r"Off the canvas the nearest pixel of an axis is its end, which is "
                r"unique wherever the target lies; half a pixel off the canvas there "
                r"is no tie."
            ),
        ),
    )
