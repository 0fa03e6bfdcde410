"""The largest error over bounded inputs is a row's ℓ₁ norm, and some input has it."""

from sympy import Abs, Expr, Function, Rational, Sum, sign, sqrt, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Statement,
    Step,
)
from proofs.lemmas import expressions, over

n, H, C = symbols("n H C", integer=True, positive=True)
i, k, h, c, a, t = symbols("i k h c a t", integer=True)
e, B, G = symbols("varepsilon B G", positive=True)
R, low, high, p = symbols("R u w p", nonnegative=True)
y, w, v, b, norm = symbols("r w v b N", real=True)
share, weight, spare = symbols("lambda W V", nonnegative=True)
r = Function("r", real=True)  # a row
d, g = Function("d", nonnegative=True), Function("g", nonnegative=True)
W, U = Function("W", real=True), Function("U", real=True)
P, S = Function("P", nonnegative=True), Function("S", nonnegative=True)
D, copies = Function("D", real=True), Function("A", nonnegative=True)
leak, size = Function("lambda", nonnegative=True), Function("w", nonnegative=True)
near = Sum(e ** ((k - t) ** 2), (k, 1, n))


FORMULAS = {
    "worst": Formula(
        (B, norm, b),
        B * norm + Abs(b),
        "the largest output over |x| ≤ B, for a row of ℓ₁ norm N and a constant b",
    ),
    "row_norm": Formula(
        (share,), 2 * share, "the ℓ₁ norm of a head's deviation from one-hot"
    ),
    "bound": Formula(
        (share, weight, spare),
        2 * share * weight + spare,
        "what one head adds to the bound for every size of input",
    ),
    "one_tap": Formula(
        (w, e, t, n),
        2 * Abs(w) * (1 - 1 / near),
        "the worst case of one tap aimed at pixel t of n",
    ),
    "two_taps": Formula(
        (v, w, e),
        2 * Abs(v - w) * e / (1 + e),
        "the worst case of two taps on two pixels",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    worst, two_taps = expressions(formulas, "worst", "two_taps")

    def row_norm(share_off: Expr) -> Expr:
        return formulas["row_norm"].expression.subs(share, share_off)

    def bound(share_off: Expr, weights: Expr, left: Expr) -> Expr:
        values = {share: share_off, weight: weights, spare: left}
        return formulas["bound"].expression.subs(values, simultaneous=True)

    over_pixels, over_heads, over_taps = (
        over((k, 1, n)),
        over((h, 1, H)),
        over((a, 1, C)),
    )
    length = Sum(Abs(r(i)), (i, 1, n))
    output = Sum(B * Abs(r(i)) - d(i), (i, 1, n))
    signs = B * sign(b) * sign(y)
    off_target = Sum(g(k), (k, 1, n))
    share_off = off_target / (1 + off_target)
    half = Rational(1, 2)
    return Statement(
        name="worst_case",
        title="The exact worst case",
        source=(
            r"The dual norm of $\ell_\infty$ is $\ell_1$; rows of the operator from "
            "Cordonnier, Loukas, Jaggi (2020), Theorem 1"
        ),
        words="Over all inputs within a box the largest output of a linear map is the "
        "size of the box times the sum of the sizes of its row, and the signs of the "
        "row are an input that attains it. For attention less convolution the row is "
        "a sum over heads, and twice the leak of each head bounds it for every size "
        "of input.",
        formula=r"\max_{\|x\|_\infty \le B} \Big|\sum_i r_i x_i + b\Big| "
        r"= B \sum_i |r_i| + |b|, \qquad "
        r"\sum_k |P_k - S_k| = 2\,(1 - P_t)",
        hypotheses=(
            (
                r"$r_1, \dots, r_n$ and $b$ are real, and $|x_i| \le B$; $i$ runs over "
                "all pixels of all channels."
            ),
            (
                r"$P_h$ is the attention of head $h$ for one query: not negative, and "
                r"its sum is one. $S_h$ is one at the pixel $t_h$ that it should copy "
                "and zero elsewhere."
            ),
            (
                "$W_h$ is an entry of a head's matrix, $U_a$ that of a tap, and "
                "$A_{h,a}$ is one if the head $h$ should copy what the tap $a$ reads, "
                "else zero. A head that copies what no tap reads counts as a tap with "
                "$U_a = 0$."
            ),
        ),
        steps=(
            Step(
                r"One pixel, $R = |r|$. If $x = B - u$ with $u \ge 0$, then $R x \le "
                "R B$.",
                Nonnegative(R * B - R * (B - low), R * low),
            ),
            Step(
                r"If $x = w - B$ with $w \ge 0$, then $-R x \le R B$. Both hold, so "
                r"$\pm r x \le B |r|$ whatever the sign of $r$.",
                Nonnegative(R * B + R * (high - B), R * high),
            ),
            Step(
                r"All $n$ pixels, with $r_i x_i = B |r_i| - d_i$, $d_i \ge 0$, and a "
                "constant $b = p$ that is not negative.",
                Nonnegative(
                    worst.subs({norm: length, b: p}) - output - p,
                    Sum(d(i), (i, 1, n)),
                ),
            ),
            Step(
                "The same for $b = -p$. With $-x$ for $x$ and $-b$ for $b$ minus the "
                "output is bounded too, and so is its absolute value.",
                Nonnegative(
                    worst.subs({norm: length, b: -p}) - output + p,
                    Sum(d(i), (i, 1, n)) + 2 * p,
                ),
            ),
            Step(
                r"The bound is attained. At $x_i = B\,s \operatorname{sign} r_i$ with "
                r"$s = \operatorname{sign} b$, or $s = 1$ if $b$ is zero, each term is "
                "$s B |r_i|$.",
                Equal(y * signs, sign(b) * B * Abs(y)),
            ),
            Step(
                r"Together with $b = s |b|$ the output is $s$ times the bound.",
                Equal(
                    Sum(sign(b) * B * Abs(r(i)), (i, 1, n)) + sign(b) * Abs(b),
                    sign(b) * worst.subs(norm, length),
                ),
            ),
            Step(
                "The row of attention less convolution, at one pixel $k$. A head that "
                r"should copy what tap $a$ reads has $S_h = S_a$, that is "
                r"$S_h = \sum_a A_{h,a} S_a$. The deviations $P_h - S_h$ come first; "
                r"what is left of the weights, $V_a = \sum_h A_{h,a} W_h - U_a$, is "
                "zero for an untouched conversion.",
                Equal(
                    over_heads(W(h) * P(h, k)) - over_taps(U(a) * S(a, k)),
                    over_heads(W(h) * (P(h, k) - over_taps(copies(h, a) * S(a, k))))
                    + over_taps((over_heads(copies(h, a) * W(h)) - U(a)) * S(a, k)),
                ),
            ),
            Step(
                r"One head: the target has weight $1$ and the others $g_k$, up to a "
                "factor. The target lacks what the others have, which is the leak "
                r"$\lambda = 1 - P_t$.",
                Nonnegative(1 - 1 / (1 + off_target), off_target / (1 + off_target)),
            ),
            Step(
                r"So the absolute deviations add up to twice the leak.",
                Equal(
                    1 - 1 / (1 + off_target) + over_pixels(g(k) / (1 + off_target)),
                    row_norm(share_off),
                ),
            ),
            Step(
                r"Many heads: $|\sum_h y_h| \le \sum_h |y_h|$ is the bound above with "
                "$B = 1$, at the input of ones. For $y_h = W_{h,c} D_{h,k}$ the sum "
                r"over channels $c$ and pixels $k$ factorises, $D_h = P_h - S_h$.",
                Equal(
                    Sum(Abs(W(h, c)) * Abs(D(h, k)), (h, 1, H), (c, 1, C), (k, 1, n)),
                    over_heads(
                        Sum(Abs(W(h, c)), (c, 1, C)) * over_pixels(Abs(D(h, k)))
                    ),
                ),
            ),
            Step(
                r"Hence the bound for every size: $w_h = \sum_c |W_{h,c}|$ times twice "
                r"the leak for each head, and $g_h$ for what is left, as a one-hot row "
                "has norm one. To leave out tokens that hold zeros, or to add up those "
                "that copy one pixel, makes no norm larger; and no border makes a leak "
                "larger than it is on the unbounded grid.",
                Equal(
                    over_heads(row_norm(leak(h)) * size(h)) + over_heads(g(h)),
                    over_heads(bound(leak(h), size(h), g(h))),
                ),
            ),
            Step(
                "One tap $w$ alone leaves nothing to cancel. On $n$ pixels in one axis "
                r"its target $t$ keeps $1 / \sum_k \varepsilon^{(k-t)^2}$; the worst "
                "case of all outputs is the largest over $t$.",
                Equal(Abs(w) * row_norm(1 - 1 / near), formulas["one_tap"].expression),
            ),
            Step(
                "Two taps $v, w$ on two pixels, where the leaks of both heads are "
                r"$\varepsilon / (1 + \varepsilon)$ and fall on each other's target: "
                "the norm of the row itself.",
                Equal(
                    Abs((w - v) * e / (1 + e)) + Abs((v - w) * e / (1 + e)), two_taps
                ),
                shown=r"\left|\frac{(w - v)\,\varepsilon}{1 + \varepsilon}\right| "
                r"+ \left|\frac{(v - w)\,\varepsilon}{1 + \varepsilon}\right| "
                r"= \frac{2\,|v - w|\,\varepsilon}{1 + \varepsilon}",
            ),
        ),
        controls=(
            Control(
                r"The $\ell_2$ norm of the row: an input of signs exceeds it.",
                Nonnegative(B * sqrt(y**2 + w**2) - y * B * sign(y) - w * B * sign(w)),
            ),
            Control(
                "The leak counted once: the target's share of the deviation is left "
                "out.",
                Equal(1 - 1 / (1 + G) + G / (1 + G), row_norm(G / (1 + G)) / 2),
            ),
            Control(
                "The sign of one pixel flipped.",
                Equal(
                    -y * B * sign(y) + w * B * sign(w),
                    worst.subs({norm: Abs(y) + Abs(w), b: 0}),
                ),
            ),
            Control(
                "The constant taken with its own sign: it may work against the row.",
                Equal(worst.subs(norm, length), B * length + b),
            ),
            Control(
                "The bound for every size is attained by all kernels: two taps may "
                r"cancel, here at $\varepsilon = 1/2$.",
                Equal(
                    two_taps.subs(e, half),
                    row_norm(half / (1 + half)) * (Abs(v) + Abs(w)),
                ),
            ),
        ),
        scope=r"Any number of pixels, channels and heads; all $B > 0$ and "
        r"$0 < \varepsilon < 1$.",
        formulas=formulas,
        formal={
            "worst_case_bound": "no input in the box has a larger output",
            "worst_case_attained": "and some input has this one",
            "row_norm": "the row of a head adds up to twice its leak",
            "error_exact": "the largest error of the layer is the sum of its row, "
            "and is attained",
            "worst_case_any_size": r"it is at most $2B\,\Sigma|W| \cdot "
            r"2d\varepsilon/(1 + \varepsilon)$, whatever the size",
            "worst_case_one_tap": "and as large as twice the leak says if only one "
            "tap leads to a channel",
        },
        informal="attention of other forms; layers whose matrices are not those of "
        "the taps; two taps on one axis",
        remarks=(
            (
                "The bound for every size is attained where a kernel has one tap, in "
                "the limit of large inputs; otherwise deviations of different heads "
                "cancel in part."
            ),
        ),
    )
