"""How much attention a head gives to pixels off its target: λ(α)."""

from sympy import Function, Sum, diff, series, symbols

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
from proofs.lemmas import expressions

alpha, e, S, Z = symbols("alpha varepsilon S Z", positive=True)
d, n, m, N = symbols("d n m N", integer=True, positive=True)
k = symbols("k", integer=True)
p = symbols("m", integer=True, nonnegative=True)
f, t = symbols("f t", positive=True)
slack, more = symbols("r R'", nonnegative=True)
one, many = symbols("lambda_1 lambda_d", nonnegative=True)
theta = Function("theta", positive=True)


FORMULAS = {
    "leak": Formula(
        (e, d, N),
        1 - (1 + 2 * Sum(e ** (k**2), (k, 1, N))) ** (-d),
        "the leak, its sum cut off after N terms",
    ),
    "bound": Formula((e, d), 2 * d * e, "an upper bound of the leak, for every α"),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    leak, bound = expressions(formulas)
    off_center = Sum(e ** (k**2) + e ** ((-k) ** 2), (k, 1, N))
    one_axis = 2 * S / (1 + 2 * S)
    exact = 1 - theta(alpha) ** (-d)
    slope = diff(exact, alpha).subs(diff(theta(alpha), alpha), -e * (2 + more))
    expansion = series(leak.subs(N, 1).doit(), e, 0, 4).removeO()
    # S = ε + Σ_{n ≥ 2}, and that is ε S less some slack.
    first_bound = (bound.subs(d, 1) - one_axis).subs(e, (S + slack) / (1 + S))
    return Statement(
        name="leak",
        title="The leak of a head",
        source="Jacobi's theta function; Cordonnier, Loukas, Jaggi (2020), Lemma 2",
        words="Far from all borders the share of a head's attention that goes to "
        "pixels off its target is one minus an inverse power of a theta "
        "function. The share falls as the strength grows. At every strength it "
        "is at most twice the number of axes times the exponential of minus "
        "the strength. No border makes it larger.",
        formula=r"\lambda(\alpha) = 1 - \theta_3(e^{-\alpha})^{-d} \le "
        r"2d\,e^{-\alpha}, \qquad "
        r"\theta_3(\varepsilon) = \sum_{n \in \mathbb{Z}} \varepsilon^{n^2}",
        hypotheses=(
            (
                r"$\alpha > 0$ and $\varepsilon = e^{-\alpha}$, so "
                r"$0 < \varepsilon < 1$; $d$ axes; the target is a pixel."
            ),
            (
                r"A pixel at displacement $k$ from the target has weight "
                r"$\varepsilon^{\|k\|^2}$ (quadratic scores)."
            ),
        ),
        steps=(
            Step(
                "The weights of one more axis multiply those of the axes before, "
                "$Z$: the normaliser over $d$ axes is a power.",
                Equal(Sum(e ** (k**2) * Z, (k, 1, N)), Z * Sum(e ** (k**2), (k, 1, N))),
            ),
            Step(
                "Both directions of an axis have the same weights; with the target "
                r"itself they add up to $\theta_3$, cut off at distance $N$. The "
                r"target weighs $1$, so its probability is $\theta_3^{-d}$.",
                Equal(1 - (1 + off_center) ** (-d), leak),
            ),
            Step(
                "The sum converges: its terms are below those of a geometric series, "
                "as $n^2 - n$ is not negative; here $n = m + 1$.",
                Nonnegative((p + 1) ** 2 - (p + 1)),
            ),
            Step(
                r"The series of the leak in $\varepsilon$; terms of $\theta_3$ from "
                r"$n = 2$ on begin at $\varepsilon^4$.",
                Equal(
                    expansion,
                    2 * d * e
                    - 2 * d * (d + 1) * e**2
                    + 4 * d * (d + 1) * (d + 2) * e**3 / 3,
                ),
                shown=r"\lambda = 2 d \varepsilon - 2 d (d + 1)\, \varepsilon^2 + "
                r"\frac{4}{3} d (d + 1)(d + 2)\, \varepsilon^3 + "
                r"O(\varepsilon^4)",
                where={r"\lambda": expansion, r"O(\varepsilon^4)": 0},
            ),
            Step(
                r"The leak falls as $\alpha$ grows: "
                r"$\theta' = -\varepsilon\,(2 + R')$ with $R' \ge 0$ from the later "
                "terms, all of which fall.",
                Positive(-slope),
            ),
            Step(
                r"One axis, $S = \sum_{n \ge 1} \varepsilon^{n^2}$. Each term is at "
                r"most $\varepsilon$ times the one before, since "
                r"$(n+1)^2 - n^2 - 1 \ge 0$.",
                Nonnegative((n + 1) ** 2 - n**2 - 1),
            ),
            Step(
                r"Hence $S = \varepsilon + \varepsilon S - r$ with $r \ge 0$, that is "
                r"$\varepsilon = (S + r)/(1 + S)$, and "
                r"$2\varepsilon - \lambda_1 \ge 0$ for every $\alpha$.",
                Nonnegative(
                    first_bound,
                    2 * (S**2 + slack * (1 + 2 * S)) / ((1 + S) * (1 + 2 * S)),
                ),
            ),
            Step(
                r"More axes, by induction: $1 - \lambda_d = (1 - \lambda_1)^d$, so one "
                r"more axis adds $\lambda_1 (1 - \lambda_d)$, and the gap to "
                r"$d\lambda_1$, and so to $2d\varepsilon$, does not shrink.",
                Equal(
                    bound.subs({e: one / 2, d: d + 1}) - (many + one * (1 - many)),
                    (bound.subs(e, one / 2) - many) + one * many,
                ),
            ),
            Step(
                "Fewer pixels to leak to, as at a border, leave a smaller normaliser "
                "$Z$, and the target keeps more: $1/Z$ instead of $1/(Z + R')$.",
                Nonnegative(1 / Z - 1 / (Z + more), more / (Z * (Z + more))),
            ),
            Step(
                r"A target $m$ pixels off the canvas: the pixel $n$ steps from the "
                r"nearest one is behind it by $(n + m)^2 - m^2$, at least $n^2$.",
                Nonnegative((n + m) ** 2 - m**2 - n**2),
            ),
        ),
        controls=(
            Control(
                "Half the first coefficient of the series.",
                Equal(expansion.coeff(e, 1), d),
            ),
            Control("Half the bound.", Nonnegative(((S + slack) / (1 + S)) - one_axis)),
            Control("The leak grows.", Positive(slope.subs(e, 1 / (1 + t)))),
            Control(
                "A target between two pixels: the runner-up is behind by less than "
                "$n^2$.",
                Nonnegative(((n - f) ** 2 - f**2 - n**2).subs(f, 1 / (2 + t))),
            ),
        ),
        scope=r"All $\alpha > 0$, any number of axes, every canvas.",
        formulas=formulas,
        formal={
            "leak_theta": "no canvas and no target has a larger leak than $1 - "
            r"\Theta^{-d}$, with any upper bound $\Theta$ of the partial sums of "
            r"$\theta_3(\varepsilon)$",
            "leak_any_size": r"it is at most $2d\varepsilon/(1 + \varepsilon)$",
            "leak_tokens": r"and at most $(N - 1)\,\varepsilon$ on $N$ pixels",
        },
        informal="far from all borders the leak is as large as that; it falls as "
        "the strength grows; its series",
    )
