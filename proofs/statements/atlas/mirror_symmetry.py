"""Scores even in the displacement do not tell the two sides of a query apart."""

from sympy import Abs, Expr, Function, Lambda, Sum, exp, symbols

from proofs.engine import Control, Equal, Formula, Formulas, Positive, Statement, Step
from proofs.lemmas import (
    exchanged,
    expressions,
    half_is_lost,
    no_better,
    over,
    two_split_off,
    whole_difference,
    with_two_more,
)

n, C, T, axes = symbols("n C T d", integer=True, positive=True)
k, c, t, i = symbols("k c t i", integer=True)
a, b, w, m, delta, lean = symbols("a b w m delta ell", real=True)
B, gap, far = symbols("B g tau", positive=True)
more = symbols("p", nonnegative=True)
x, s, v = (Function(name, real=True) for name in "xsv")
place, shift = Function("delta", real=True), Function("e", real=True)
W, X = Function("W", real=True), Function("X", real=True)
flip, size = Function("e", integer=True), Function("h", real=True)


_over_pairs = over((c, 1, C), (t, 1, T))

FORMULAS = {
    "bias": Formula((m, delta), -m * Abs(delta), "the bias of a displacement, slope m"),
    "sided": Formula(
        (m, lean, delta),
        -m * Abs(delta) + lean * delta,
        "the same, leaning to one side by ℓ",
    ),
    "attended": Formula(
        (n, m, place, x, s, v),
        Sum(exp(s(x(k)) - m * Abs(place(k))) * v(x(k)), (k, 1, n))
        / Sum(exp(s(x(k)) - m * Abs(place(k))), (k, 1, n)),
        "what a query gets from n tokens, with content scores s and the bias",
    ),
    "bound": Formula(
        (C, T, W, X),
        Abs(_over_pairs((W(c, t) - W(c, -t)) * (X(c, t) - X(c, -t)))) / 2,
        "half of what a convolution makes of mirroring T tokens on each side",
    ),
    "best": Formula(
        (C, T, W, B),
        B * _over_pairs(Abs(W(c, t) - W(c, -t))),
        "the largest such bound for tokens within B",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    bias, sided, attended, bound, best = expressions(formulas)

    def apart(layer: Expr) -> Expr:
        """Let n + 2 tokens be n and two more, a and b, τ after and τ before."""
        split = with_two_more(layer, k, n)
        split = split.subs({place(n + 1): far, place(n + 2): -far})
        return split.subs({x(n + 1): a, x(n + 2): b})

    masked = exp(s(b) + bias.subs(delta, -far)) * v(b)
    unequal = exp(s(a) + bias.subs(delta, far)) * v(a)
    unequal += exp(s(b) + bias.subs(delta, -far - 1)) * v(b)
    read = _over_pairs(W(c, t) * X(c, t) + W(c, -t) * X(c, -t))
    mirror = _over_pairs(W(c, t) * X(c, -t) + W(c, -t) * X(c, t))
    gain = _over_pairs((W(c, t) - W(c, -t)) * (X(c, t) - X(c, -t)))
    even = _over_pairs((W(c, t) + W(c, -t)) / 2 * (X(c, t) + X(c, -t)))
    signed = (-1) ** flip(c, t)
    signs = {
        W(c, t): W(c, -t) + signed * size(c, t) ** 2,
        X(c, t): B * signed,
        X(c, -t): -B * signed,
    }
    one = {C: 1, T: 1}
    return Statement(
        name="mirror_symmetry",
        title="Scores that are even: the two sides of a query",
        source="Press, Smith, Lewis (2022), ALiBi, in its symmetric form",
        words="If the score knows the displacement from query to key only up to its "
        "sign, as a bias that falls with the distance does, then mirroring the tokens "
        "about the query goes unnoticed there, content scores notwithstanding. A "
        "convolution notices unless its kernel is even, and the best even kernel is "
        "just as far away as the bound says.",
        formula=r"\max(|y - y_0|, |y - y_1|) \ge \beta = \tfrac{1}{2} \Big| "
        r"\sum_{t=1}^{T} \sum_c (W_{c,t} - W_{c,-t})(X_{c,t} - X_{c,-t}) \Big|, \qquad "
        r"\max_{|X| \le B} \beta = B \sum_{t=1}^{T} \sum_c |W_{c,t} - W_{c,-t}|",
        hypotheses=(
            (
                r"The score of a key is $s + \varphi(\delta)$: $s$ depends on the "
                r"tokens at query and key only, by whatever function, and "
                r"$\varphi(-\delta) = \varphi(\delta)$, as for "
                r"$\varphi = -m\,|\delta|$. Each head may have its own slope $m$, of "
                "any sign. Values depend on the token only."
            ),
            (
                r"The tokens at $q + t$ and $q - t$ change places, for one or several "
                r"$t \ge 1$, where both are pixels of the image. All other tokens "
                "stay, the query's own among them. What the layer makes of all heads "
                "and of the query's token may be anything."
            ),
            (
                "In the output in question the convolution weighs channel $c$ of the "
                "token at $q + t$ with $W_{c,t}$; the token holds $X_{c,t}$."
            ),
        ),
        steps=(
            Step(
                "Two keys as far after the query as before it have one bias, ...",
                Equal(bias.subs(delta, -delta), bias),
                shown=r"-m\,|-\delta| = -m\,|\delta|",
            ),
            Step(
                "... over several axes, too, if it is a function of the distance.",
                Equal(
                    Sum((-shift(i)) ** 2, (i, 1, axes)),
                    Sum(shift(i) ** 2, (i, 1, axes)),
                ),
                shown=r"\sum_{i=1}^{d} (-\delta_i)^2 = \sum_{i=1}^{d} \delta_i^2",
                where={r"\delta": shift},
            ),
            two_split_off(
                "Number the tokens so that the two come last, and split them off all "
                "sums."
            ),
            Step(
                r"Their contents $a$ and $b$ change places, at $\tau$ after and "
                r"$\tau$ before the query: content scores and values move along with "
                "the contents, and the bias is the same. So nothing changes for the "
                "query; nor does it for several such pairs, one after the other.",
                Equal(exchanged(apart(attended), a, b), apart(attended)),
                shown=r"\frac{\sum_k e^{s(x_k) + \varphi(\delta_k)}\, v(x_k) + "
                r"e^{s(b) + \varphi(\tau)}\, v(b) + e^{s(a) + \varphi(-\tau)}\, "
                r"v(a)}{\sum_k e^{s(x_k) + \varphi(\delta_k)} + e^{s(b) + "
                r"\varphi(\tau)} + e^{s(a) + \varphi(-\tau)}} = \frac{\sum_k "
                r"e^{s(x_k) + \varphi(\delta_k)}\, v(x_k) + e^{s(a) + "
                r"\varphi(\tau)}\, v(a) + e^{s(b) + \varphi(-\tau)}\, "
                r"v(b)}{\sum_k e^{s(x_k) + \varphi(\delta_k)} + e^{s(a) + "
                r"\varphi(\tau)} + e^{s(b) + \varphi(-\tau)}}",
                where={
                    r"\sum_k": (k, 1, n),
                    r"\varphi": Lambda(delta, bias),
                    r"\delta": place,
                },
            ),
            Step(
                "The convolution notices. Its output changes by this much:",
                Equal(read - mirror, gain),
            ),
            half_is_lost(bound.replace(Sum, lambda *_: w), w),
            Step(
                r"Which tokens within $[-B, B]$ are best? Those with the signs of the "
                r"differences, $W_{c,t} - W_{c,-t} = (-1)^{e} h^2$, ...",
                Equal(bound.xreplace(signs), best.xreplace(signs)),
            ),
            no_better("|X_{c,t} - X_{c,-t}|", size(c, t), B, more),
            Step(
                "Only an even kernel is not noticed.",
                Positive(best.subs(one).doit().subs(W(1, 1), W(1, -1) + gap)),
            ),
            Step(
                "How far are even kernels? The even part of the kernel, "
                r"$\tfrac{1}{2}(W_t + W_{-t})$, misses half of what mirroring makes, "
                "so within $B$ its error is nowhere above the best bound. No even "
                "kernel is better, since all have the symmetry.",
                Equal(read - even, gain / 2),
            ),
            Step(
                r"A bias that leans to one side, $-m\,|\delta| + \ell\,\delta$, that "
                "is two slopes, tells the sides apart.",
                Equal(sided - sided.subs(delta, -delta), 2 * lean * delta),
                shown=r"(-m\,|\delta| + \ell\,\delta) - "
                r"(-m\,|-\delta| - \ell\,\delta) = 2\ell\,\delta",
            ),
        ),
        controls=(
            Control(
                r"The bias that leans is even, too.",
                Equal(sided.subs(delta, -delta), sided),
            ),
            Control(
                "Tokens at different distances, $t$ and $t + 1$.",
                Equal(
                    unequal,
                    exchanged(unequal, a, b),
                ),
            ),
            Control(
                "Values change places, but content scores do not move along.",
                Equal(
                    exp(s(a)) * v(b) + exp(s(b)) * v(a),
                    exp(s(a)) * v(a) + exp(s(b)) * v(b),
                ),
            ),
            Control(
                "With a causal mask, as published: one side is not seen.",
                Equal(
                    exchanged(masked, a, b),
                    masked,
                ),
            ),
            whole_difference(),
            Control(
                "The kernel itself instead of its even part.",
                Equal(read - even, gain),
            ),
        ),
        scope="Any number of tokens, heads, channels and mirrored pairs; any slopes, "
        "content scores and values; every convolution over one axis, and over several "
        "for pairs at opposite displacements.",
        formulas=formulas,
        formal={
            "mirror_unnoticed": "mirroring the tokens about the query is not "
            "noticed, if encodings are even",
            "mirror_error": "so every setting of the parameters errs by half of the "
            "difference of two opposite taps",
            "mirror_exact": "and only even kernels can be computed",
        },
        informal="content scores of other forms; that the even part of the kernel "
        "is just as far away as the bound says",
        remarks=(
            (
                "Near a border fewer pairs lie on the image: with a zero token on the "
                "other side a pixel has no partner, and there the statement says "
                "nothing about its tap."
            ),
            (
                "That a layer computes a given even kernel is not claimed: the "
                "statement is about what is out of reach."
            ),
        ),
    )
