"""What a layer does not see it cannot depend on: windows, partitions, patches."""

from sympy import Abs, Function, Max, S, Sum, symbols

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
from proofs.lemmas import exchanged, expressions, half_is_lost, over

C, P, d, w = symbols("C P d w", integer=True, positive=True)
a, b, m = symbols("a b m", integer=True, nonnegative=True)
c, p, i = symbols("c p i", integer=True)
z = symbols("z", real=True)
B, gap = symbols("B omega", positive=True)
more = symbols("t", nonnegative=True)
W, A, D, X, Y, x = (Function(name, real=True) for name in "WADXYx")
flip, size = Function("e", integer=True), Function("h", real=True)


_over_unseen = over((c, 1, C), (p, 1, P))

FORMULAS = {
    "bound": Formula(
        (C, P, W, B),
        B * _over_unseen(Abs(W(c, p))),
        "of an output, whose taps W fall on P unseen pixels within B",
    ),
    "exchanged": Formula(
        (C, A, D, X, Y),
        Abs(Sum((A(c) - D(c)) * (X(c) - Y(c)), (c, 1, C))) / 2,
        "of two pixels with taps A and D, known by their mean, that exchange X and Y",
    ),
    "losing": Formula(
        (w, a, b, d),
        w**d - Max(w - a - b, 0) ** d,
        "outputs of an inner window of w pixels an axis that lose pixels",
    ),
    "reads": Formula(
        (w, a, b, d),
        (w * (a + b + 1)) ** d
        - (w * (a + b + 1) - a * (a + 1) / 2 - b * (b + 1) / 2) ** d,
        "what they lose together, in taps, for a window no smaller than a and b",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    bound, means, losing, reads = expressions(formulas)
    over_channels = over((c, 1, C))

    inside = A(c) * X(c) + D(c) * Y(c)
    pair = {A(1): z + size(1, 1) ** 2, D(1): z - more, X(1): B, Y(1): -B}
    left = {W(1, 1): size(1, 1) ** 2, W(1, 2): -more}
    unseen = _over_unseen(W(c, p) * x(c, p))
    signed = (-1) ** flip(c, p)
    weights = {W(c, p): signed * size(c, p) ** 2}
    one = {C: 1, P: 1}
    kernel, one_axis = a + b + 1, {d: 1}
    lost = a * (a + 1) / 2 + b * (b + 1) / 2
    return Statement(
        name="receptive_field",
        title="Pixels that are not seen",
        source="Liu et al. (2021), Swin, one layer, whose windows do not exchange "
        "anything; Ding et al. (2021), RepMLP, whose partitions exchange means",
        words="An output that does not see some pixels is the same whatever they hold. "
        "Where a convolution reads them it errs by the sum of the absolute weights "
        "that fall on them, times the size of the inputs, and no more if it computes "
        "all the rest: the bound is the exact optimum. Where it sees the mean of those "
        "pixels, and no more, it does not notice when two of them change places. In a "
        "window, all outputs lose pixels that are nearer to its edge than the kernel "
        "reaches.",
        formula=r"\min_{\text{layers}} \max_{|x| \le B} |y - y^*| = B "
        r"\sum_{p=1}^{P} \sum_c |W_{c,p}|, \qquad \text{losing} = w^d - "
        r"\max(w - a - b, 0)^d",
        hypotheses=(
            (
                "The output $y$ of the layer depends on the pixels that it sees only. "
                "$W_{c,p}$ is the weight of the convolution for channel $c$ of pixel "
                "$p$, of $P$ pixels that it does not see. Inputs are within $[-B, B]$."
            ),
            (
                "For the optimum: some layer of the family computes the convolution "
                "with those taps left out, exactly or in a limit."
            ),
            (
                "For the counts: stride one and dilation one, windows of $w$ pixels "
                "along each of $d$ axes side by side, a kernel that reads $a$ pixels "
                "before and $b$ after the query along each axis, and a window far "
                "enough from the border of the image."
            ),
        ),
        steps=(
            Step(
                "Let the unseen pixels hold $B$ with the signs of their weights, $W "
                "= (-1)^{e} h^2$, and then $-B$; nothing else changes. The "
                "convolution changes by twice the bound, the layer not at all.",
                Equal(
                    (unseen - unseen.replace(x, lambda *at: -x(*at)))
                    .xreplace({x(c, p): B * signed})
                    .xreplace(weights),
                    2 * bound.xreplace(weights),
                ),
                shown=r"\sum_{c,p} (-1)^{e} h^2 \left((-1)^{e} B - (-(-1)^{e} "
                r"B)\right) = 2B \sum_{c,p} h^2",
                where={
                    r"\sum_{c,p}": ((c, 1, C), (p, 1, P)),
                    "(-1)^{e}": signed,
                    "h^2": size(c, p) ** 2,
                },
            ),
            half_is_lost(z, 2 * z),
            Step(
                "A layer that computes the rest errs by what falls on unseen pixels; "
                "each term is at most $B$ times its absolute weight, as $|x|$ is "
                "$B - t$ with $t \\ge 0$. So the bound is attained and not exceeded.",
                Nonnegative(
                    bound.subs(one).doit() - Abs(W(1, 1)) * (B - more),
                    Abs(W(1, 1)) * more,
                ),
            ),
            Step(
                "It is above zero as soon as one weight is.",
                Positive(bound.subs(one).doit().subs(W(1, 1), gap)),
            ),
            Step(
                "An output that sees only the mean of some pixels, in each channel, "
                "does not notice when two of them change places: their sum stays.",
                Equal(exchanged(X(c) + Y(c), X(c), Y(c)), X(c) + Y(c)),
                shown="Y_c + X_c = X_c + Y_c",
            ),
            Step(
                "The convolution, with the weights $A$ and $D$ there, changes by twice "
                "this bound.",
                Equal(
                    over_channels(inside - exchanged(inside, X(c), Y(c))) ** 2,
                    (2 * means) ** 2,
                ),
                shown=r"\Big| \sum_{c=1}^{C} (A_c X_c + D_c Y_c) - \sum_{c=1}^{C} "
                r"(A_c Y_c + D_c X_c) \Big| = \Big| \sum_{c=1}^{C} (A_c - D_c)"
                r"(X_c - Y_c) \Big|",
            ),
            Step(
                "What is the mean worth? If a layer gives all of them one weight $z$ "
                "in place of their own, $W_p - z$ is left to be missed. If $A = z + "
                r"h^2$ and $D = z - t$ with $t \ge 0$, that is as much for the two as "
                "exchanging $B$ and $-B$ shows. With the median of the weights for "
                "$z$ all pixels are in such pairs, but for one that has $W_p = z$ if "
                "their number is odd: with $|W_p - z|$ for $|W_p|$ the bound is "
                "attained again.",
                Equal(
                    means.subs(C, 1).doit().subs(pair),
                    bound.subs({C: 1, P: 2}).doit().subs(left),
                ),
                shown=r"\tfrac{1}{2} \left| (A - D)(B - (-B)) \right| = B\,(h^2 + t) "
                r"= B\,\left(|A - z| + |D - z|\right)",
                where={"A": pair[A(1)], "D": pair[D(1)], "h": size(1, 1)},
            ),
            Step(
                "Along one axis the output at place $i$ of a window reads from "
                "$i - a$ to $i + b$. All of that is in the window for "
                "$a \\le i \\le w - 1 - b$, which is $m$ places if the window has "
                "$w = a + b + m$.",
                Equal(Sum(S.One, (i, a, (a + b + m) - 1 - b)).doit(), m),
                shown=r"\sum_{i=a}^{a+m-1} 1 = m",
            ),
            Step(
                "So $a + b$ outputs lose pixels, however large the window, ...",
                Equal(losing.subs(one_axis).subs(w, a + b + m), a + b),
                shown=r"(a + b + m) - \max(m, 0) = a + b",
            ),
            Step(
                "... or all of them, if it is no larger than that.",
                Equal(losing.subs(a, w - b + m), w**d),
                shown=r"w^d - \max(-m, 0)^d = w^d",
            ),
            Step(
                "Over several axes an output loses nothing if it loses nothing along "
                "any: the places multiply, and one more axis gives another factor.",
                Equal(
                    (w**d - losing) * (w - losing.subs(one_axis)),
                    w ** (d + 1) - losing.subs(d, d + 1),
                ),
            ),
            Step(
                "How much do they lose? Along one axis place $i$ loses $a - i$ taps "
                "before the window, if that is not negative, ...",
                ByInduction(Sum(a - i, (i, 0, a - 1)), a * (a + 1) / 2, a),
            ),
            Step(
                "... and as many as that, with $b$ for $a$, beyond its end. The taps "
                "of all $w$ outputs that stay are what is left.",
                Equal(reads.subs(one_axis), lost),
                shown=r"w K - \left(w K - \tfrac{1}{2} a(a + 1) - \tfrac{1}{2} "
                r"b(b + 1)\right) = \tfrac{1}{2} a(a + 1) + \tfrac{1}{2} b(b + 1), "
                r"\quad K = a + b + 1",
            ),
            Step(
                "Over several axes a tap stays if it stays along each: what stays "
                r"multiplies, too. Here $K = a + b + 1$, and $\ell$ is what is lost "
                "along one axis.",
                Equal(
                    ((w * kernel) ** d - reads) * (w * kernel - lost),
                    (w * kernel) ** (d + 1) - reads.subs(d, d + 1),
                ),
                shown=r"(w K - \ell)^d\, (w K - \ell) = (w K - \ell)^{d+1}",
                where={"K": kernel, r"\ell": lost},
            ),
        ),
        controls=(
            Control(
                "The whole difference as the bound: the layer without those taps is "
                "closer.",
                Nonnegative(B * gap - 2 * bound.subs(one).doit().subs(W(1, 1), gap)),
            ),
            Control(
                "The sum of the weights, not of their absolute values: signs add up.",
                Equal(bound.xreplace({Abs(W(c, p)): W(c, p)}), bound),
            ),
            Control(
                "Exchanging a pixel with one beyond keeps the mean.",
                Equal(X(1) + x(1, 2), Y(1) + x(1, 2)),
            ),
            Control(
                "$a + b$ outputs lose pixels in a small window, too.",
                Equal(losing.subs(one_axis), a + b),
            ),
            Control(
                "Over several axes as many as $(a + b)^d$.",
                Equal(losing.subs(w, a + b + m + 1), (a + b) ** d),
            ),
            Control(
                "Place $i$ loses $a - i + 1$ taps.",
                ByInduction(Sum(a - i + 1, (i, 0, a - 1)), a * (a + 1) / 2, a),
            ),
            Control(
                "Taps that leave along one axis are lost along another, too.",
                Equal(reads.subs(d, 2), 2 * lost),
                shown=r"(w K)^2 - (w K - \ell)^2 = 2 \ell",
                where={"K": kernel, r"\ell": lost},
            ),
        ),
        scope="Any kernel, number of channels, pixels and axes; windows and kernels of "
        "any size (the taps together: windows no smaller than the reach).",
        formulas=formulas,
        remarks=(
            (
                r"Windows of $7 \times 7$ pixels and a kernel of $3 \times 3$: "
                r"$49 - 25 = 24$ of $49$ outputs lose pixels. Those of $5 \times 5$: "
                r"$40$ of $49$."
            ),
            (
                "Where a window ends at the border of the image it loses nothing "
                "there: padding holds zeros, whatever the input."
            ),
            (
                "A window that moves with the query loses the same taps at every "
                "query: those beyond it."
            ),
        ),
    )
