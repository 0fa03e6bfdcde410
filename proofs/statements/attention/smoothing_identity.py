"""Attention with quadratic scores is a convolution of the smoothed canvas."""

from sympy import Expr, Function, Lambda, S, Sum, exp, symbols

from proofs.engine import (
    ByInduction,
    Control,
    Equal,
    Formula,
    Formulas,
    Statement,
    Step,
)
from proofs.lemmas import exchanged, expressions, over, own_group

alpha, *strengths = symbols("alpha alpha_1 alpha_2", positive=True)
t, phi = symbols("t varphi", real=True)
N, A, H, C, D, J = symbols("N A H C D J", integer=True, positive=True)
n, u, a, g = symbols("n u a g", integer=True, nonnegative=True)
s, d = symbols("s d", integer=True, positive=True)
o = symbols("o", integer=True)
c, e, h, i, j, k, l = symbols("c e h i j k l", integer=True)
before, after, later = symbols("p z r", integer=True, nonnegative=True)
W, U, V, X, Y, f, place = (Function(name, real=True) for name in "WUVXYfx")
G, P = (Function(name, positive=True) for name in "GP")

FORMULAS = {
    "query": Formula(
        (n, s, a, o), o + a + s * n, "q: the position of the query of output n"
    ),
    "center": Formula((u, d, a), d * u - a, "Δ: the center of the head of tap u"),
    "target": Formula(
        (n, u, s, d, o),
        o + s * n + d * u,
        "t: the position that tap u reads for output n",
    ),
    "weight": Formula(
        (alpha, t, k, N),
        exp(-alpha * (k - t) ** 2) / Sum(exp(-alpha * (l - t) ** 2), (l, 0, N - 1)),
        "G(t, k) along one axis of N tokens",
    ),
}


def _of_head(expression: Expr, axis: Expr) -> Expr:
    """Return a position along an axis: all that it is made of depends on the axis."""
    values = {b: Function(b.name, integer=True)(axis) for b in (n, s, d, a, o)}
    return expression.subs({**values, u: Function("u", integer=True)(axis, h)})


def _score(position: Expr) -> Expr:
    """Return −α‖k − t‖² over any number A of axes."""
    return -alpha * Sum((place(i, k) - _of_head(position, i)) ** 2, (i, 1, A))


def _softmax(score: Expr, first: Expr, last: Expr) -> Expr:
    return exp(score) / Sum(exp(score.subs(k, l)), (l, first, last))


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    query, center, target, gaussian = expressions(formulas)
    keys = over((k, 1, N))

    def row(position: Expr) -> Expr:  # the softmax of a head with this target
        return _softmax(-alpha * (k - position) ** 2, S.Zero, N - 1)

    def attended(matrix: Expr, *position: Expr) -> Expr:  # by one head
        return keys(G(*position, k) * Sum(matrix * X(k, c), (c, 1, C)))

    def convolved(matrix: Expr, *position: Expr) -> Expr:
        return Sum(matrix * keys(G(*position, k) * X(k, c)), (c, 1, C), (h, 1, H))

    def spot(position: Expr) -> list[Expr]:  # three axes
        return [_of_head(position, S(axis)) for axis in (1, 2, 3)]

    shift = (query + center).subs(u, h)
    shared = Sum(W(c) * Y(g * C + c), (c, 1, C))
    canvas = before + N + after
    on_pixels = gaussian.subs({k: before + k, N: canvas}, simultaneous=True)
    score = exp(-alpha * (k - t) ** 2)
    whole = Sum(score, (k, 0, canvas - 1))
    pixels = Sum(score.subs(k, before + k) * X(k), (k, 0, N - 1))
    zeros = Sum(score * 0, (k, 0, before - 1)) + Sum(
        score.subs(k, before + N + k) * 0, (k, 0, after - 1)
    )
    over_image = Sum(on_pixels * X(k), (k, 0, N - 1))

    def small(position: int, key: int) -> Expr:  # on two tokens
        return gaussian.subs({N: 2, t: position, k: key}).doit()

    return Statement(
        name="smoothing_identity",
        title="The smoothing identity",
        source="after Cordonnier, Loukas, Jaggi (2020), Theorem 1, which is its limit",
        words="Let the heads of a layer have quadratic scores, the taps of a kernel "
        "as their centers, and the matrices of the taps. Then the layer "
        "computes exactly the convolution, without padding, of the smoothed "
        "canvas, at every strength, border, stride, dilation and number of "
        "groups.",
        formula=r"\mathrm{Attn}_\alpha(X) = \mathrm{Conv}_W(G_\alpha X), \qquad "
        r"(G_\alpha X)_t = \sum_k G(t, k)\, X_k, \quad G(t, k) = "
        r"\frac{e^{-\alpha\|k - t\|^2}}{\sum_l e^{-\alpha\|l - t\|^2}}",
        hypotheses=(
            (
                r"Head $h$ of query $q$ gives key $k$ the probability $P_h(q, k)$, the "
                r"softmax over the canvas of $-\alpha\,\|(k - q) - \Delta_h\|^2$, "
                r"$\alpha > 0$ (quadratic scores). Every key $k$ of the canvas holds a "
                "token $X_k$ with $C$ channels."
            ),
            (
                "Along each axis, with stride $s$, dilation $d$ and any anchor $a$: "
                "the query of output $n$ is $q = o + a + s n$ and the center of tap "
                r"$u$ is $\Delta = d u - a$. Here $o$ is the position on the canvas "
                "of the first pixel that the convolution reads: $0$, or minus the "
                "padding where the padding is not on the canvas (replicate padding)."
            ),
            (
                "The convolution is torch's: a cross-correlation without padding. It "
                "reads entry $s n + d u$ of its input, which starts at the position "
                "$o$. There is one head for each tap; both sides add the same bias."
            ),
        ),
        steps=(
            Step(
                r"The target $t = q + \Delta$ is the position that the convolution "
                "reads; the anchor cancels.",
                Equal(query + center, target),
                shown=r"(o + a + s n) + (d u - a) = o + s n + d u",
            ),
            Step(
                "So, along one axis, the softmax of a head depends on query and head "
                "through the target alone, and is a row of $G$.",
                Equal(row(query + center), gaussian.subs(t, target)),
                shown=r"\frac{e^{-\alpha\,((k - q) - \Delta)^2}}{\sum_{l=0}^{N-1} "
                r"e^{-\alpha\,((l - q) - \Delta)^2}} = G(t, k)",
                where={
                    "q": query,
                    r"\Delta": center,
                    "G(t, k)": gaussian.subs(t, target),
                },
            ),
            Step(
                "The same over any number $A$ of axes, with the $N$ keys of the "
                "canvas at any positions $x(k)$.",
                Equal(
                    _softmax(_score(query + center), S.One, N),
                    _softmax(_score(target), S.One, N),
                ),
                shown=r"\frac{e^{-\alpha\|(x(k) - q) - \Delta\|^2}}{\sum_l "
                r"e^{-\alpha\|(x(l) - q) - \Delta\|^2}} = "
                r"\frac{e^{-\alpha\|x(k) - t\|^2}}{\sum_l e^{-\alpha\|x(l) - "
                r"t\|^2}}",
                where={
                    r"\sum_l": (l, 1, N),
                    r"\|(x(k) - q) - \Delta\|^2": -_score(query + center) / alpha,
                    r"\|(x(l) - q) - \Delta\|^2": -_score(query + center).subs(k, l)
                    / alpha,
                    r"\|x(k) - t\|^2": -_score(target) / alpha,
                    r"\|x(l) - t\|^2": -_score(target).subs(k, l) / alpha,
                },
            ),
            Step(
                "Projections: values $V_h$ with $D$ numbers a token, and outputs "
                "$U_h$, act as one matrix $W_h = U_h V_h$, the tap's.",
                Equal(
                    Sum(
                        U(e) * keys(P(k) * Sum(V(e, c) * X(k, c), (c, 1, C))), (e, 1, D)
                    ),
                    Sum(
                        Sum(U(e) * V(e, c), (e, 1, D)) * keys(P(k) * X(k, c)), (c, 1, C)
                    ),
                ),
                shown=r"\sum_{e=1}^{D} U_{h,oe} \sum_k P_h(q, k) \sum_c V_{h,ec}\, "
                r"X_{k,c} = \sum_c W_{h,oc} \sum_k P_h(q, k)\, X_{k,c}",
                where={
                    r"\sum_k": (k, 1, N),
                    r"\sum_c": (c, 1, C),
                    "U_{h,oe}": U(e),
                    "V_{h,ec}": V(e, c),
                    "P_h(q, k)": P(k),
                    "W_{h,oc}": Sum(U(e) * V(e, c), (e, 1, D)),
                },
            ),
            Step(
                "All finite sums, over $H$ heads, $N$ keys and $C$ channels, may be "
                "exchanged: attention is the convolution of the smoothed canvas. "
                "Here for three axes, keys and heads numbered through; fewer axes "
                "are axes of one pixel and one tap, and more change nothing but the "
                "list of coordinates in $t$.",
                Equal(
                    Sum(attended(W(h, c), *spot(query + center)), (h, 1, H)),
                    convolved(W(h, c), *spot(target)),
                ),
                shown=r"\sum_h \sum_k P_h(q_n, k) \sum_c W_{h,c}\, X_{k,c} = \sum_h "
                r"\sum_c W_{h,c}\, (G_\alpha X)_{t, c}",
                where={
                    r"\sum_h": (h, 1, H),
                    r"\sum_k": (k, 1, N),
                    r"\sum_c": (c, 1, C),
                    "P_h(q_n, k)": G(*spot(query + center), k),
                    r"(G_\alpha X)_{t, c}": keys(G(*spot(target), k) * X(k, c)),
                },
            ),
            Step(
                "Groups. Channel $g' C + c$ is channel $c$ of group $g'$. The matrix "
                "of a tap is block-diagonal: outputs of group $g$ have the entry $[g "
                r"= g']\, W_c$ there, which is zero unless $g = g'$. Summed over all "
                "channels of all groups, $g$ before and $r$ after this one "
                "(induction on $r$), only those of the own group are left, as in a "
                "grouped convolution.",
                own_group(shared, g),
            ),
            Step(
                "Heads with strengths of their own fall in $J$ classes that share "
                r"$\alpha_j$, hence $G_j$; $W_{j,h} = 0$ for taps that a class lacks. "
                "Each class is a convolution of its own smoothed canvas, and they "
                "add up.",
                Equal(
                    Sum(attended(W(j, h, c), j, shift), (h, 1, H), (j, 1, J)),
                    Sum(convolved(W(j, h, c), j, target.subs(u, h)), (j, 1, J)),
                ),
                shown=r"\sum_j \sum_h \sum_k G_j(t_h, k) \sum_c W_{j,h,c}\, X_{k,c} = "
                r"\sum_j \sum_h \sum_c W_{j,h,c}\, (G_j X)_{t_h, c}",
                where={
                    r"\sum_j": (j, 1, J),
                    r"\sum_h": (h, 1, H),
                    r"\sum_k": (k, 1, N),
                    r"\sum_c": (c, 1, C),
                    "G_j(t_h, k)": G(j, shift, k),
                    "(G_j X)_{t_h, c}": keys(G(j, target.subs(u, h), k) * X(k, c)),
                },
            ),
            Step(
                r"So do heads whose centers share a fraction $\varphi$ of a pixel, "
                r"$\Delta = d u - a + \varphi$: their $G_j$ has its rows moved by "
                r"$\varphi$, at $t + \varphi$ for the same whole $t$.",
                Equal(
                    row(query + center + phi),
                    gaussian.subs(t, t + phi).subs(t, target),
                ),
                shown=r"\frac{e^{-\alpha\,((k - q) - \Delta)^2}}{\sum_{l=0}^{N-1} "
                r"e^{-\alpha\,((l - q) - \Delta)^2}} = G(t + \varphi, k)",
                where={
                    "q": query,
                    r"\Delta": center + phi,
                    r"G(t + \varphi, k)": gaussian.subs(t, t + phi).subs(t, target),
                },
            ),
            Step(
                "Zero padding is tokens that are zero, $p$ before the $N$ pixels of "
                "an axis and $z$ after. A sum over all tokens is cut in two, by "
                "induction on the tokens from the cut on; used twice, it is cut in "
                "three.",
                ByInduction(
                    Sum(f(k), (k, 0, before + later - 1)),
                    Sum(f(k), (k, 0, before - 1))
                    + Sum(f(before + k), (k, 0, later - 1)),
                    later,
                ),
            ),
            Step(
                "Two of the three parts are zero in the weighted sum. So the columns "
                "of $G$ at zero tokens may be left out, if its normaliser still has "
                "all $p + N + z$ tokens. Over several axes that holds axis by axis, "
                r"as $G$ is a product (see separability). Here $w_k = e^{-\alpha (k - "
                "t)^2}$.",
                Equal((zeros + pixels) / whole, over_image),
                shown=r"\frac{1}{\sum_{k=0}^{p+N+z-1} w_k}\left(\sum_{k=0}^{p-1} w_k "
                r"\cdot 0 + \sum_{k=0}^{N-1} w_{p+k}\, X_k + \sum_{k=0}^{z-1} "
                r"w_{p+N+k} \cdot 0\right) = \sum_{k=0}^{N-1} G(t, p + k)\, X_k",
                where={"w": Lambda(k, score), "G(t, p + k)": on_pixels},
            ),
        ),
        controls=(
            Control(
                r"The sign of the center: $t = q - \Delta$.",
                Equal(query - center, target),
            ),
            Control(
                "An anchor that does not cancel: queries on the first tap.",
                Equal(query.subs(a, 0) + center, target),
            ),
            Control(
                "Stride and dilation exchanged.",
                Equal(query + center, exchanged(target, s, d)),
            ),
            Control(
                "A convolution that flips its kernel, over two taps.",
                Equal(
                    sum(W(tap) * Y(target.subs(u, tap)) for tap in (0, 1)),
                    sum(
                        W(1 - tap) * Y((query + center).subs(u, tap)) for tap in (0, 1)
                    ),
                ),
            ),
            Control(
                "The smoothing after the convolution: two taps on two tokens have one "
                "output, whose smoothing is itself.",
                Equal(
                    sum(W(p) * small(p, q) * X(q) for p in (0, 1) for q in (0, 1)),
                    sum(W(p) * X(p) for p in (0, 1)),
                ),
            ),
            Control(
                "One smoothing for heads of different strengths: not on two tokens.",
                Equal(*(small(0, 0).subs(alpha, strength) for strength in strengths)),
            ),
            Control(
                "All groups read by all outputs.",
                Equal(Sum(shared, (g, 0, 1)), shared.subs(g, 1)),
            ),
            Control(
                "Zero tokens left out of the normaliser as well: not for one zero "
                "token beside one pixel.",
                Equal(X(0), over_image.subs({before: 1, N: 1, after: 0}).doit()),
            ),
        ),
        scope=r"All $\alpha > 0$; every size, stride, dilation, number of groups, "
        "channels and axes; every canvas, so every border.",
        formulas=formulas,
        formal={
            "smoothing_identity": "the identity, for the layer with all its "
            "parameters, any centers, queries and canvases",
            "gaussian_separable": "the weights are products, one factor an axis",
            "padded_smoothing": "the identity with kernel, stride, dilation and "
            "padding tokens spelled as in torch",
            "bare_smoothing": "and without padding tokens, for replicate padding",
            "smoothing_strengths": "heads with strengths of their own",
            "grouped_row": "grouped convolutions are those whose matrices are zero "
            "between groups",
            "smoothing_zero_tokens": "tokens that hold zeros may be left out of the "
            "sum, not of the normaliser",
        },
        remarks=(
            (
                r"No limit is taken. As $\alpha \to \infty$, $G_\alpha$ tends to the "
                "identity for targets on the canvas, which is Theorem 1."
            ),
        ),
    )
