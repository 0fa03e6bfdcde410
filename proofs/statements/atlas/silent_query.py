"""A query that holds zeros attends to all keys alike, unless it has a bias."""

from sympy import Abs, Expr, Function, S, Sum, exp, symbols

from proofs.engine import (
    ByInduction,
    Control,
    Equal,
    Formula,
    Formulas,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import exchange_noticed, exchanged, expressions, half_is_lost

n, C, D = symbols("n C D", integer=True, positive=True)
m = symbols("m", integer=True, nonnegative=True)
k, c, i, j = symbols("k c i j", integer=True)
a, b, w, sigma, delta = symbols("a b w sigma delta", real=True)
center = symbols("Delta", real=True)
alpha, tau, B, gap = symbols("alpha tau B g", positive=True)
x, v, rho = (Function(name, real=True) for name in ("x", "v", "rho"))
W, R, p = (Function(name, real=True) for name in ("W", "R", "p"))
bias, key, r = (Function(name, real=True) for name in ("b", "kappa", "r"))
A, E, X, Y = (Function(name, real=True) for name in ("A", "D", "X", "Y"))

FORMULAS = {
    "score": Formula(
        (D, C, tau, W, x, bias, key, r),
        tau
        * Sum((Sum(W(i, c) * x(c), (c, 1, C)) + bias(i)) * (key(i) + r(i)), (i, 1, D)),
        "the score of a key with encoding r; the query reads the token x",
    ),
    "silent": Formula(
        (n, v),
        Sum(v(k), (k, 1, n)) / n,
        "what a silent query gets from n keys",
    ),
    "bound": Formula(
        (C, A, E, X, Y),
        Abs(Sum((A(c) - E(c)) * (X(c) - Y(c)), (c, 1, C))) / 2,
        "half of what a convolution with taps A and D makes of exchanging X and Y",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    score, silent, bound = expressions(formulas)

    def holding(token: Expr, query_bias: Expr, of: Expr = score) -> Expr:
        """Return a score where the token at the query and the bias are these."""
        return of.replace(x, lambda _: token).replace(bias, lambda _: query_bias)

    rotated = Sum(
        (Sum(W(i, c) * x(c), (c, 1, C)) + bias(i)) * R(i, j) * key(j),
        (i, 1, D),
        (j, 1, D),
    )
    shared = exp(sigma)
    attended = Sum(shared * v(k), (k, 1, n)) / Sum(shared, (k, 1, n))
    more = (v(m + 1) + v(m + 2)).subs({v(m + 1): a, v(m + 2): b})
    encoded = (more + rho(m + 1) + rho(m + 2)) / (m + 2)
    # q = α (2Δ, −1), r = (δ, δ²): two dimensions of the constructed layers.
    constructed = score.subs({D: 2, tau: 1}).doit()
    for place, number in ((1, 2 * alpha * center), (2, -alpha)):
        constructed = constructed.subs(bias(place), number).subs(r(place), delta**place)
    quiet = (
        constructed.replace(x, lambda _: S.Zero).replace(key, lambda _: S.Zero).doit()
    )
    return Statement(
        name="silent_query",
        title="A query that holds zeros",
        source="Bello et al. (2019) and Ramachandran et al. (2019), whose queries have "
        "no bias; Su et al. (2021), rotary encodings",
        words="Where the pixel at the query holds zeros, a query without a bias "
        "vanishes, and with it all scores that are products of query and key, whatever "
        "encodings the keys have. Attention is then the plain mean over the keys, and "
        "no permutation of the other pixels is noticed. A convolution notices, unless "
        "it weighs them alike. A bias of the queries mends that.",
        formula=r"x_q = 0,\ b = 0 \implies P(q, k) = \frac{1}{n}, \qquad "
        r"\max(|y - y_0|, |y - y_1|) \ge \tfrac{1}{2} \Big| \sum_c "
        r"(A_c - D_c)(X_c - Y_c) \Big|",
        hypotheses=(
            (
                r"Scores are $\tau\, q \cdot (\kappa_k + r_k)$ with $q = W x_q + b$: "
                "keys $\\kappa$ and encodings $r$ may depend on the content and the "
                r"position of the key, and on the query's position, in any way; "
                r"$\tau$ is $1$ or $1/\sqrt{D}$. Values depend on the token only, with "
                "or without an encoding added. There may be any number of heads."
            ),
            "The query has no bias, $b = 0$, and its pixel holds zeros, $x_q = 0$.",
            (
                "The keys are $n$ tokens of one window or of the whole canvas. Two "
                "of them, not the query, are pixels that change places; the "
                "convolution weighs them with $A$ and $D$ in the output in question."
            ),
        ),
        steps=(
            Step(
                "The query vanishes, and every score with it.",
                Equal(holding(S.Zero, S.Zero), 0),
                shown=r"\tau \sum_{i=1}^{D} \Big( \sum_{c=1}^{C} W_{i,c} \cdot 0 + 0 "
                r"\Big) (\kappa_i + r_i) = 0",
            ),
            Step(
                "So it does if keys are rotated by their distance, or multiplied by "
                "any other matrix $R$: a score that is linear in the query vanishes.",
                Equal(holding(S.Zero, S.Zero, rotated), 0),
                shown=r"\sum_{i=1}^{D} \sum_{j=1}^{D} 0 \cdot R_{ij}\, \kappa_j = 0",
            ),
            Step(
                r"Equal scores, $\sigma = 0$ or any other, make the softmax uniform.",
                Equal(attended, silent),
            ),
            Step(
                "Number the keys so that the two pixels come last.",
                ByInduction(
                    (m + 2) * silent.subs(n, m + 2),
                    m * silent.subs(n, m) + v(m + 1) + v(m + 2),
                    m,
                    start=1,
                ),
            ),
            Step(
                "Exchanging their values $a$ and $b$ leaves the mean, also if values "
                r"have encodings $\rho$ that stay where they are.",
                Equal(exchanged(encoded, a, b), encoded),
                shown=r"\frac{b + \rho_{m+1} + a + \rho_{m+2}}{m + 2} = "
                r"\frac{a + \rho_{m+1} + b + \rho_{m+2}}{m + 2}",
            ),
            exchange_noticed(),
            half_is_lost(bound.replace(Sum, lambda *_: w), w),
            Step(
                "It is above zero for every tap that differs: with $X = B$ and "
                "$Y = -B$ in that channel it is $B g$, if the taps differ by $g$.",
                Positive(
                    bound.subs(C, 1).doit().subs({A(1): E(1) + gap, X(1): B, Y(1): -B})
                ),
            ),
            Step(
                r"What a bias is for. With $b = \alpha\,(2\Delta, -1)$ and encodings "
                r"$r = (\delta, \delta^2)$ the silent query has the scores of a head "
                r"with center $\Delta$, up to a constant.",
                Equal(quiet, -alpha * (delta - center) ** 2 + alpha * center**2),
            ),
        ),
        controls=(
            Control(
                "With a bias of the queries all keys still have one score.",
                Equal(
                    holding(S.Zero, b).subs(D, 1).doit(),
                    holding(S.Zero, b).subs(D, 1).doit().subs(r(1), rho(1)),
                ),
            ),
            Control(
                "Zeros at the key instead of the query.",
                Equal(score.replace(key, lambda _: 0), 0),
            ),
            Control(
                "Tokens that hold an absolute encoding besides: the pixel holds zeros, "
                "the token does not.",
                Equal(score.replace(x, p).replace(bias, lambda _: 0), 0),
            ),
            Control(
                "Values whose encodings are multiplied instead of added.",
                Equal(a * rho(1) + b * rho(2), b * rho(1) + a * rho(2)),
            ),
            Control(
                "The sum instead of the mean.", Equal(attended, Sum(v(k), (k, 1, n)))
            ),
        ),
        scope="Any number of keys, heads, channels and dimensions; any keys and "
        "encodings, any values of the tokens; every convolution.",
        formulas=formulas,
        formal={
            "silent_query": "all probabilities are the same, whatever the encodings "
            "of the keys",
            "silent_query_unnoticed": "so no permutation of the tokens is noticed",
            "silent_query_exchanged": "and every setting of the parameters errs by "
            "half of what the convolution makes of an exchange",
        },
        informal="keys that are rotated; exchanges within a window",
        remarks=(
            (
                "There is no witness against kernels that weigh all keys but the query "
                "alike: the mean over a window is a box filter."
            ),
            (
                "Where the query is silent the whole layer is the mean of what it "
                "makes of single tokens, so any permutation goes unseen, not only "
                "exchanges of two."
            ),
            r"Biases of keys and values do not help: they are in $\kappa$ and $v$.",
        ),
    )
