"""Attention by content does not see which of two other pixels is which."""

from sympy import Abs, Expr, Function, Max, Sum, exp, symbols

from proofs.engine import Control, Equal, Formula, Formulas, Positive, Statement, Step
from proofs.lemmas import (
    exchange_noticed,
    exchanged,
    expressions,
    half_is_lost,
    no_better,
    two_split_off,
    whole_difference,
    with_two_more,
)

n, C, U = symbols("n C U", integer=True, positive=True)
k, c, u, o = symbols("k c u o", integer=True)
a, b, q, w, rest, sigma = symbols("a b q w r sigma", real=True)
B, gap, weight = symbols("B g omega", positive=True)
more = symbols("t", nonnegative=True)
x, s, v, z = (Function(name, real=True) for name in "xsvz")
unit, out, place = Function("mu", real=True), Function("o", real=True), Function("p")
A, D, X, Y = (Function(name, real=True) for name in ("A", "D", "X", "Y"))
flip, size = Function("e", integer=True), Function("h", real=True)


def _share(of: Expr) -> Expr:
    """Return the softmax over the tokens, for one memory unit."""
    return exp(unit(of, q)) / Sum(exp(unit(of, x(k))), (k, 1, n))


FORMULAS = {
    "attended": Formula(
        (n, x, s, v),
        Sum(exp(s(x(k))) * v(x(k)), (k, 1, n)) / Sum(exp(s(x(k))), (k, 1, n)),
        "what a query gets from n tokens, x(1) to x(n), with scores by content",
    ),
    "external": Formula(
        (U, n, q, x, unit, out),
        Sum(out(u) * _share(u), (u, 1, U)) / Sum(_share(o), (o, 1, U)),
        "external attention at the token q, with U memory units",
    ),
    "pooled": Formula(
        (rest, a, b),
        Max(rest, a, b),
        "a block after max pooling; r is the largest but for two of its pixels",
    ),
    "bound": Formula(
        (C, A, D, X, Y),
        Abs(Sum((A(c) - D(c)) * (X(c) - Y(c)), (c, 1, C))) / 2,
        "half of what a convolution with taps A and D makes of exchanging X and Y",
    ),
    "best": Formula(
        (C, A, D, B),
        B * Sum(Abs(A(c) - D(c)), (c, 1, C)),
        "the largest such bound for pixels within B",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    attended, external, pooled, bound, best = expressions(formulas)

    def apart(layer: Expr) -> Expr:
        """Let n + 2 tokens be n and two more, a and b."""
        return with_two_more(layer, k, n).subs({x(n + 1): a, x(n + 2): b})

    signed = (-1) ** flip(c)
    signs = {A(c): D(c) + signed * size(c) ** 2, X(c): B * signed, Y(c): -B * signed}
    alike = attended.replace(s, lambda _: sigma).replace(v, lambda token: token)
    places = exp(s(a) + place(1)) * v(a) + exp(s(b) + place(2)) * v(b)
    swap = exp(s(b) + place(1)) * v(b) + exp(s(a) + place(2)) * v(a)
    return Statement(
        name="swap_symmetry",
        title="Content alone: exchanging two pixels",
        source="Vaswani et al. (2017) without encodings; Zhang et al. (2019), SAGAN; "
        "Guo et al. (2021), external attention; permutation equivariance",
        words="Attention that knows tokens by their content only does not notice "
        "when two tokens that are not the query change places, nor does "
        "external attention, nor does pooling two pixels of one block. A "
        "convolution does notice, unless it weighs the two alike. So every "
        "setting of the parameters errs by at least half of the change in the "
        "convolution's output.",
        formula=r"\max(|y - y_0|, |y - y_1|) \ge \beta = \tfrac{1}{2} \Big| \sum_c "
        r"(A_c - D_c)(X_c - Y_c) \Big|, \qquad \max_{|X|, |Y| \le B} \beta = "
        r"B \sum_c |A_c - D_c|",
        hypotheses=(
            (
                "The score $s$ and the value $v$ of a key depend on the key's token "
                "and on the token at the query, by whatever functions; they do not "
                "depend on where the key is. With several heads this holds for each. "
                "What the layer makes of all heads and of the query's own token "
                "(projection, residual, gate) may be anything."
            ),
            (
                "Pixels with contents $a$ and $b$ change places; neither is the "
                "query. All other tokens, padding tokens among them, stay."
            ),
            (
                "The convolution weighs the two pixels, in the output in question, "
                "with $A$ and $D$, one number for each of $C$ channels; what the "
                "pixels hold is $X$ and $Y$."
            ),
        ),
        steps=(
            two_split_off(
                "The order of a finite sum does not matter: number the tokens so that "
                "the two come last, and split them off."
            ),
            Step(
                "Exchanging the two contents exchanges two terms above and below the "
                "fraction line: what the query gets is the same.",
                Equal(exchanged(apart(attended), a, b), apart(attended)),
                shown=r"\frac{\sum_k e^{s(x_k)} v(x_k) + e^{s(b)} v(b) + e^{s(a)} "
                r"v(a)}{\sum_k e^{s(x_k)} + e^{s(b)} + e^{s(a)}} = \frac{\sum_k "
                r"e^{s(x_k)} v(x_k) + e^{s(a)} v(a) + e^{s(b)} v(b)}{\sum_k "
                "e^{s(x_k)} + e^{s(a)} + e^{s(b)}}",
                where={r"\sum_k": (k, 1, n)},
            ),
            Step(
                "External attention takes the softmax over the tokens, for each "
                "memory unit, and then normalises over the units. Only the first "
                "normaliser knows of other tokens, and it is a sum over them all. "
                r"For unit $u$ it is $\sum_k e^{\mu_u(x_k)} + e^{\mu_u(a)} + "
                r"e^{\mu_u(b)}$.",
                Equal(exchanged(apart(external), a, b), apart(external)),
            ),
            Step(
                "Where keys and values are maxima over blocks, two pixels of one block "
                "may change places, and so may two blocks as a whole: they are two "
                "tokens as in the second step.",
                Equal(exchanged(pooled, a, b), pooled),
                shown=r"\max(r, b, a) = \max(r, a, b)",
            ),
            exchange_noticed(),
            half_is_lost(bound.replace(Sum, lambda *_: w), w),
            Step(
                r"Which pixels within $[-B, B]$ are best? Those with the signs of the "
                r"differences, $A_c - D_c = (-1)^{e_c} h_c^2$, ...",
                Equal(bound.subs(signs), best.subs(signs)),
            ),
            no_better("|X_c - Y_c|", size(c), B, more),
            Step(
                "So the bound vanishes only if the two pixels have the same weights.",
                Positive(best.subs(C, 1).doit().subs(A(1), D(1) + gap)),
            ),
            Step(
                r"The exception: a kernel that weighs all pixels beside the query by "
                r"$w$. If all scores are equal, attention is the mean, and with the "
                r"value $n w x$ it computes such a kernel up to a multiple of the "
                r"query's own token: a box filter exactly, where it covers the image.",
                Equal(n * w * alike, w * Sum(x(k), (k, 1, n))),
            ),
        ),
        controls=(
            Control(
                "Scores that know the place as well.",
                Equal(
                    places / (exp(s(a) + place(1)) + exp(s(b) + place(2))),
                    swap / (exp(s(b) + place(1)) + exp(s(a) + place(2))),
                ),
            ),
            Control(
                "The query is one of the two: scores belong to the token at the query.",
                Equal(exp(z(a) * b), exp(z(b) * a)),
            ),
            Control(
                "A block pooled with weights instead of its largest entry.",
                Equal(exchanged(weight * a + b, a, b), weight * a + b),
            ),
            whole_difference(),
            Control(
                "Any two pixels show that taps differ: not if they are equal, $t = 0$.",
                Positive(
                    bound.subs(C, 1).doit().subs({A(1): D(1) + gap, X(1): Y(1) + more})
                ),
            ),
            Control(
                "All scores equal, but the value not scaled by the number of tokens.",
                Equal(w * alike, w * Sum(x(k), (k, 1, n))),
            ),
        ),
        scope="Any number of tokens, heads, channels and memory units; any scores and "
        "values that are functions of the tokens; every convolution.",
        formulas=formulas,
        formal={
            "content_only_equivariant": "attention that knows content only is "
            "equivariant to permutations of the tokens",
            "swap": "so two tokens that are not the query may change places",
            "off_center_error": "and whatever the scores are, the layer errs by "
            "half of a tap off the center, if some token is under no tap",
            "no_off_center_tap": "whatever does not notice exchanges computes no "
            "such tap, either",
            "box_filter": "an exception without such a token: a box filter that "
            "reaches the whole image",
        },
        informal="external attention and pooling; values that are not linear; the "
        "best that such a layer can do",
        remarks=(
            (
                "A box filter of size $3 \\times 3$ on an image of $2 \\times 2$ "
                "pixels, zero-padded, weighs all pixels alike at every query: there "
                "is no witness, and uniform attention computes it."
            ),
            (
                "Any permutation of the other tokens is a product of such exchanges, "
                "so none of them is noticed."
            ),
        ),
    )
