"""Rows of a softmax sum to one, so zero padding needs tokens that hold zeros."""

from sympy import Abs, Function, Max, Sum, exp, symbols

from proofs.engine import (
    ByInduction,
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import exchanged, expressions

e, Z, G = symbols("varepsilon Z G", positive=True)
n, H, A, C = symbols("n H A C", integer=True, positive=True)
h, i, j, k, q = symbols("h i j k q", integer=True)
p, r = symbols("p r", integer=True, nonnegative=True)
x, M, total, left, beta = symbols("x M T ell beta", real=True)
a, b, w = symbols("a b w", real=True)
half, more = symbols("g t", nonnegative=True)
v, u = symbols("v u", real=True, nonzero=True)
s = Function("s", real=True)
m, P = Function("M", real=True), Function("P", nonnegative=True)
inside, leaving = Function("w", real=True), Function("v", real=True)
image, zero = Function("g", positive=True), Function("z", positive=True)
tap, mass = Function("w", real=True), Function("mu", nonnegative=True)
pixels = Sum(e ** (k**2), (k, 1, n))


FORMULAS = {
    "constant": Formula(
        (x, M, beta),
        M * x + beta,
        "attention to an image that is x everywhere; M the sum over the heads",
    ),
    "border": Formula(
        (x, total, left, beta),
        (total - left) * x + beta,
        "the zero-padded convolution of it, where taps that add up to ℓ leave",
    ),
    "bound": Formula(
        (a, b),
        Abs(a - b) / 2,
        "not above the error at one of two queries whose outputs are a and b",
    ),
    "seen": Formula(
        (e, n),
        pixels / (1 + pixels + e ** ((n + 1) ** 2)),
        "attention from a zero token to the n pixels between it and another one",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    constant, border, bound, image_share = expressions(formulas)
    softmax = exp(s(q, k)) / Sum(exp(s(q, j)), (j, 1, n))
    other_keys = Sum(P(h, q, k), (k, 1, n))
    taps, loss = Sum(inside(i), (i, 1, A)), Sum(leaving(i), (i, 1, C))
    heads = Sum(m(h), (h, 1, H))
    image_weight, zero_weight = Sum(image(k), (k, 1, n)), Sum(zero(k), (k, 1, A))
    tokens = image_weight + zero_weight
    other_end = e ** ((n + 1) ** 2)
    return Statement(
        name="zero_padding",
        title="Zero padding needs zero tokens",
        source="The layer of Cordonnier, Loukas, Jaggi (2020); rows of a softmax",
        words="On a canvas without zero-valued tokens softmax attention maps a "
        "constant image to the same output at every query, whatever its scores. A "
        "zero-padded convolution does so only if its kernel is a single tap at the "
        "center, so every such layer errs by half the difference of two of the "
        "outputs, or more. With zero tokens on the canvas the layer tends to the "
        "convolution.",
        formula=r"\max_q |y - c_q| \ge \tfrac{1}{2} \max_{q', q''} |c_{q'} - c_{q''}|",
        hypotheses=(
            (
                "The scores $s$ are any real numbers: they may depend on the head, the "
                "query, the key and the whole image. Each head has a softmax over all "
                "tokens."
            ),
            (
                "Channels are left out of the formulas: outputs are sums over them, "
                "and a constant image is constant in each."
            ),
            (
                "For the converse: stride one, as many outputs as pixels, an image no "
                "smaller than the kernel along any axis."
            ),
        ),
        steps=(
            Step(
                "The row of a query sums to one over the $n$ tokens of the canvas.",
                Equal(Sum(softmax, (k, 1, n)), 1),
            ),
            Step(
                "One token has what the $n$ others leave. On an image that is $x$ "
                r"everywhere each head sees $x$, so the output is $Mx + \beta$ with "
                r"$M = \sum_h M_h$, at every query $q$ alike.",
                Equal(
                    Sum(
                        m(h) * (Sum(P(h, q, k) * x, (k, 1, n)) + (1 - other_keys) * x),
                        (h, 1, H),
                    )
                    + beta,
                    constant.subs(M, Sum(m(h), (h, 1, H))),
                ),
            ),
            Step(
                "A zero-padded convolution adds up the taps that stay inside the "
                r"image, $A$ of them. It loses the $C$ others, whose sum is $\ell$; "
                "$T$ is the sum of all.",
                Equal(taps * x + beta, border.subs({total: taps + loss, left: loss})),
                shown=r"x \sum_{i=1}^{A} w_i + \beta = (T - \ell)\,x + \beta",
                where={"T": taps + loss, r"\ell": loss},
            ),
            Step(
                "Where no tap leaves the image, the convolution computes what "
                "attention with the same matrices does. So two of its outputs differ "
                "by what is lost at one of them.",
                Equal(constant.subs(M, total) - border, left * x),
            ),
            Step(
                "Is anything lost that does not cancel? Number the taps of an axis "
                "from the far end. One pixel further from the border one more tap is "
                "inside, so neighbouring outputs differ by a single tap.",
                ByInduction(
                    Sum(inside(i), (i, 0, p)),
                    Sum(inside(i), (i, 0, p - 1)) + inside(p),
                    p,
                    start=1,
                ),
            ),
            Step(
                "Over several axes that difference is a sum over one axis less. Take "
                "it along every axis along which a tap is off the center; along the "
                "others stand where no tap leaves. If all outputs are equal, the taps "
                "vanish that are off the center along all axes; then those along all "
                "axes but one, as they are all that is left of a sum that vanishes; "
                "and so on, down to the tap at the center.",
                ByInduction(
                    Sum(tap(i, j), (i, 0, p), (j, 0, r)),
                    Sum(tap(i, j), (i, 0, p - 1), (j, 0, r))
                    + Sum(tap(p, j), (j, 0, r)),
                    p,
                    start=1,
                ),
            ),
            Step(
                "The layer has one output $y$ where $a$ and $b$ are wanted. If $b = "
                r"a + 2g$ with $g \ge 0$ and $y = a + g + t$ with $t \ge 0$, then $y "
                "- a$ is at least half of the difference.",
                Nonnegative(half + more - bound.subs(b, a + 2 * half), more),
                shown=r"(a + g + t) - a - \tfrac{1}{2}\,|a - b| = t \ge 0",
                where={"g": half, "t": more, "b": a + 2 * half},
            ),
            Step(
                "If $y = a + g - t$, then $b - y$ is at least half of it. Every $y$ "
                "is of one of these forms.",
                Nonnegative(
                    (b - (a + half - more) - bound).subs(b, a + 2 * half), more
                ),
                shown=r"b - (a + g - t) - \tfrac{1}{2}\,|a - b| = t \ge 0",
                where={"g": half, "t": more, "b": a + 2 * half},
            ),
            Step(
                "If $b$ is less than $a$, exchange the two.",
                Equal(exchanged(bound, a, b), bound),
                shown=r"\tfrac{1}{2}\,|b - a| = \tfrac{1}{2}\,|a - b|",
            ),
            Step(
                "In the middle between $a$ and $b$ both errors are as small as that, "
                "so no better bound follows from two outputs.",
                Equal(Abs((a + b) / 2 - a), bound),
            ),
            Step(
                "The witness: a single tap $w$ off the center. The outputs are $0$ "
                "where it leaves and $wx$ elsewhere, and attention errs by "
                "$|wx|/2$ or more; with $M = w/2$ by that exactly.",
                Equal(
                    bound.subs({
                        a: border.subs({total: w, left: w, beta: 0}),
                        b: border.subs({total: w, left: 0, beta: 0}),
                    }),
                    Abs(constant.subs({M: w / 2, beta: 0})),
                ),
                shown=r"\tfrac{1}{2}\,|0 - w x| = \left|\tfrac{w}{2}\,x\right|",
            ),
            Step(
                "Now put zero tokens on the canvas, with weights $z_k$ beside the "
                "weights $g_k$ of the image. The row over the image sums to one "
                r"minus the mass $\mu$ on zero tokens.",
                Equal(image_weight / tokens, 1 - zero_weight / tokens),
            ),
            Step(
                r"So head $h$ sees $(1 - \mu_h)\,x$, and the output is that of a "
                r"convolution which loses $\sum_h \mu_h M_h$. In the limit of large "
                r"$\alpha$ a head has $\mu_h = 1$ if its target is a zero token and "
                r"$\mu_h = 0$ if it is a pixel: the taps that leave are lost.",
                Equal(
                    Sum(m(h) * (1 - mass(h)) * x, (h, 1, H)) + beta,
                    border.subs({total: heads, left: Sum(m(h) * mass(h), (h, 1, H))}),
                ),
            ),
            Step(
                "How fast: one axis, $n$ pixels between two zero tokens, and a "
                "target on one of these. The image gets the leak minus the share of "
                r"the other zero token. The leak at a border is at most $\varepsilon$ "
                "(borders without padding tokens, $m = 0$).",
                Equal(1 - (1 + other_end) / (1 + pixels + other_end), image_share),
            ),
        ),
        controls=(
            Control(
                "The row over the image tokens alone sums to one.",
                Equal(G / (G + Z), 1),
            ),
            Control(
                "Weights that are not normalised: they may differ between queries.",
                Equal(Sum(exp(s(q, k)), (k, 1, 2)), Sum(exp(s(j, k)), (k, 1, 2))),
            ),
            Control(
                "The whole difference as the bound: the middle is closer.",
                Nonnegative(
                    Max(Abs((a + b) / 2 - a), Abs((a + b) / 2 - b)) - 2 * bound
                ),
            ),
            Control(
                "Any two taps that leave at a corner are seen there: they may cancel.",
                Positive(Abs(left * x).subs({left: v + u, x: 1})),
            ),
            Control(
                "With zero tokens, too, constants map to constants: not where what is "
                "lost differs.",
                Equal(border.subs(left, G), border.subs(left, Z)),
            ),
        ),
        scope="Any scores, heads, tokens and queries; any number of axes, every kernel "
        "of stride one. The rate on one axis; several axes by separability.",
        formulas=formulas,
        formal={
            "constant_attention": "a constant image has the same output at every "
            "query, whatever the scores",
            "no_zero_padding": "half of the difference between two outputs is lost",
            "only_center_tap": "only a single tap at the center can be computed, on "
            "images no smaller than the kernel",
            "off_center_bound": "and a layer that errs a little leaves little to "
            "the other taps",
            "conv_zeros": "with zero tokens the layer is as close to the "
            "convolution as the leak says",
            "conv_zeros_converges": "and converges to it, uniformly over sizes, "
            "images and queries",
        },
        informal="the rate on one axis",
        remarks=(
            (
                "Content terms do not help: whatever the scores, every row sums to "
                "one. Other normalisers might; so might a bias that depends on the "
                "query."
            ),
            (
                "With a larger stride fewer outputs are compared, and taps off the "
                "center may go unnoticed: with stride two, those at $-1$ and $-2$ "
                "leave together, and cancel if their weights are opposite."
            ),
        ),
    )
