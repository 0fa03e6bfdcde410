"""One head more than the taps span is always enough; when one fewer is."""

from collections.abc import Sequence

from sympy import Abs, Expr, Function, Integer, Matrix, Max, Min, Sum, symbols

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
from proofs.lemmas import LAPLACIAN, SOBEL, expressions, over

n, T, C = symbols("n T C", integer=True, positive=True)
rho, R, more = symbols("rho R k", integer=True, nonnegative=True)
several = symbols("rho", integer=True, positive=True)
h, l, r, d = symbols("h l r Delta", integer=True)
f, b, y = symbols("f B z_2", real=True)
g, spare, eta = symbols("g e eta", nonnegative=True)
s, e, c, F, tau, sigma, m, mu = symbols(
    "s varepsilon c F tau sigma m mu", positive=True
)
first, factor, basis, W, V, a, M, z, balance = (
    Function(name, real=True) for name in ("f_1", *"fBWVaMz", "mu")
)
offset, excess, table = (Function(name, nonnegative=True) for name in "gea")

FORMULAS = {
    "offset": Formula(
        (g, f), Max(g, -f), "the offset of a tap, once a component is taken in as well"
    ),
    "probability": Formula(
        (f, g, s), (f + g) / s, "what the head of a component gives a tap"
    ),
    "carried": Formula((s, b), s * b, "what that head carries"),
    "last": Formula(
        (s, rho, basis),
        -s * Sum(basis(r), (r, 1, rho)),
        "what the last head carries, the one with f = 0",
    ),
    "bound": Formula(
        (sigma, m, mu),
        sigma * m / (m + mu),
        "how far too few heads stay away, in the spectral norm of the unfolding",
    ),
}


def _total(kernels: Sequence[Matrix]) -> Matrix:
    """Return the sum of the taps, one number an output."""
    return Matrix([sum(kernel) for kernel in kernels])


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    next_offset, probability, load, last, bound = expressions(formulas)
    over_taps = over((d, 1, T))

    def read(component: Expr, offset_of: Expr, total: Expr) -> Expr:
        return probability.subs({f: component, g: offset_of, s: total})

    sums = over_taps(factor(r, d) + offset(d)), over_taps(offset(d))
    shared = read(factor(r, d), offset(d), sums[0])
    others = Sum(shared * load.subs({s: sums[0], b: basis(r)}), (r, 1, rho))
    extra = read(Integer(0), offset(d), sums[1]) * last.subs(s, sums[1])
    kernel = Sum(factor(r, d) * basis(r), (r, 1, rho))
    leading = kernel.subs(rho, R)
    raised = first(d) + tau
    few = raised * (basis(1) - Sum(basis(r) / c, (r, 2, several)))
    few += Sum((raised + c * factor(r, d)) * (basis(r) / c), (r, 2, several))

    def paired(matrix: Expr) -> Sum:  # with z
        return Sum(matrix * z(l), (l, 1, C))

    combined = paired(Sum(a(h, d) * M(h, l), (h, 1, rho)))
    totals = Matrix([*_total([LAPLACIAN]), *_total([SOBEL, SOBEL.T])])
    Z = 1 + n * e
    return Statement(
        name="minimal_heads",
        title="The least number of heads",
        source="This project; Stiemke (1915); Eckart and Young (1936)",
        words="With relative tables of any shape, one head more than the dimension "
        "that the taps span is always enough, exactly. Without the extra head one "
        "comes as close as one likes if and only if no positive weights make the taps "
        "add up to zero.",
        formula=r"W_\Delta = \sum_{r=1}^{\rho} (f_r(\Delta) + g(\Delta))\, B_r - "
        r"g(\Delta) \sum_{r=1}^{\rho} B_r, \qquad g = \max(0, -f_1, \dots, -f_\rho)",
        hypotheses=(
            (
                r"$\rho$ is the dimension of the span of the tap matrices, and "
                r"$W_\Delta = \sum_{r=1}^{\rho} f_r(\Delta) B_r$; equations between "
                "matrices are meant entry by entry, $\\Delta$ runs over $T$ taps along "
                "any number of axes."
            ),
            (
                "A head has a table: what it gives the pixel at each displacement "
                "from the query, not negative, of sum one. All taps of every query "
                "read tokens of the canvas. A table with zeros is a limit of softmax "
                "rows."
            ),
            (
                r"Lower bounds: at some query all taps that are not zero read pixels "
                "of the image, no two of them the same. Nothing is assumed of the "
                "attention but that it ignores the input."
            ),
            (
                "Stiemke's theorem of the alternative (classical): for finitely many "
                r"vectors $W_\Delta$ either there is $z$ with all $\langle W_\Delta, "
                r"z \rangle \ge 0$, not all zero, or there are $\mu_\Delta > 0$ with "
                r"$\sum_\Delta \mu_\Delta W_\Delta = 0$. Weyl's inequality: singular "
                "values move by no more than the spectral norm of the change."
            ),
        ),
        steps=(
            Step(
                "The offset at a tap, component by component, from $g = 0$ on: one "
                r"more component $f$ makes it $g' = \max(g, -f)$, and $f + g'$ is not "
                "negative.",
                Equal((f + next_offset).rewrite(Abs), Max(f + g, 0).rewrite(Abs)),
                shown=r"f + \max(g, -f) = \max(f + g, 0) \ge 0",
            ),
            Step(
                "It does not fall, so the components before stay above it too: by "
                r"induction $f_r + g \ge 0$ for all $r$, and $g \ge 0$, in the end $g "
                r"= \max_r \max(-f_r, 0)$.",
                Equal((next_offset - g).rewrite(Abs), Max(0, -f - g).rewrite(Abs)),
                shown=r"\max(g, -f) - g = \max(0, -f - g) \ge 0",
            ),
            Step(
                r"Divided by its sum $s_r = \sum_\Delta (f_r + g)$, each component "
                "becomes a table: it is not negative, here with $f = e - g$ and $e "
                r"\ge 0$,",
                Nonnegative(probability.subs(f, spare - g)),
            ),
            Step(
                "and its sum is one. If $s_r = 0$ then $f_r + g$ is zero at every tap, "
                "and the head is left out.",
                Equal(over_taps(read(factor(r, d), offset(d), sums[0])), 1),
            ),
            Step(
                r"Head $r$ carries $s_r B_r$. One head more, with the table $g$ over "
                r"its sum $t$, carries $-t \sum_r B_r$. Together they give tap "
                r"$\Delta$ its matrix: $\rho + 1$ heads, or $\rho$ if $g = 0$.",
                Equal(others + extra, kernel),
                shown=r"\sum_{r=1}^{\rho} \frac{f_r + g}{s_r}\, s_r B_r + "
                r"\frac{g}{t} \Big(-t \sum_{r=1}^{\rho} B_r\Big) = "
                r"\sum_{r=1}^{\rho} f_r B_r",
            ),
            Step(
                r"Softmax rows have no zeros. With the score $\log a$ where the table "
                r"is $a > 0$ and $\log \varepsilon$ at the other $n$ tokens of the "
                r"canvas, the row misses the table by $2n\varepsilon/(1 + "
                r"n\varepsilon)$ in the sum of absolute values, so by no more than "
                r"$2n\varepsilon$, and the error vanishes with $\varepsilon$.",
                Equal((1 - 1 / Z) + n * (e / Z), 2 * n * e / Z),
                shown=r"\Big(1 - \frac{1}{1 + n\varepsilon}\Big) + n\, "
                r"\frac{\varepsilon}{1 + n\varepsilon} = \frac{2n\varepsilon}{1 "
                r"+ n\varepsilon}",
            ),
            Step(
                "Fewer heads: the construction for the first $R$ components leaves out "
                "the others, by induction on their number $k$. With the singular "
                "vectors of the unfolding (a row for each tap) as components, that is "
                "the least that a kernel of rank $R$ can leave out (Eckart and Young; "
                "see the dimension of a head): $R + 1$ heads attain it.",
                ByInduction(
                    kernel.subs(rho, R + more) - leading,
                    Sum(factor(r, d) * basis(r), (r, R + 1, R + more)),
                    more,
                ),
            ),
            Step(
                r"Are $\rho$ heads enough? Suppose not: positive weights $\mu_\Delta$ "
                r"of the taps that are not zero have $\sum_\Delta \mu_\Delta W_\Delta "
                r"= 0$. Let $\rho$ heads give these taps the matrices $V_\Delta = "
                r"\sum_h a_h(\Delta) M_h$, so near to $W_\Delta$ that they span "
                r"$\rho$ dimensions too. Then the $M_h$ are independent, and some $z$ "
                r"has $\langle M_h, z \rangle = 1$ for one $h$ and $0$ for the "
                r"others, so that $\langle V_\Delta, z \rangle = a_h(\Delta)$.",
                Equal(combined, Sum(a(h, d) * paired(M(h, l)), (h, 1, rho))),
                shown=r"\langle V_\Delta, z \rangle = \sum_{h=1}^{\rho} a_h(\Delta)\, "
                r"\langle M_h, z \rangle",
                where={
                    r"\langle V_\Delta, z \rangle": combined,
                    r"a_h(\Delta)": a(h, d),
                    r"\langle M_h, z \rangle": paired(M(h, l)),
                },
            ),
            Step(
                "This table $a = a_h$ is not zero on all of these taps; let its sum "
                "there be one, for the scale can go to $M_h$. This table satisfies",
                Equal(
                    over_taps(balance(d) * paired(V(d, l))),
                    over_taps(balance(d) * paired(V(d, l) - W(d, l)))
                    + paired(over_taps(balance(d) * W(d, l))),
                ),
                shown=r"\sum_\Delta \mu_\Delta a(\Delta) = \sum_\Delta \mu_\Delta "
                r"\langle V_\Delta - W_\Delta, z \rangle + \sum_\Delta "
                r"\mu_\Delta \langle W_\Delta, z \rangle",
                where={
                    r"\sum_\Delta": (d, 1, T),
                    r"\mu_\Delta": balance(d),
                    r"a(\Delta)": paired(V(d, l)),
                    r"\langle V_\Delta - W_\Delta, z \rangle": paired(
                        V(d, l) - W(d, l)
                    ),
                    r"\langle W_\Delta, z \rangle": paired(W(d, l)),
                },
            ),
            Step(
                r"The left side is at least the smallest weight $m$; here $\mu_\Delta "
                r"= m + e_\Delta$.",
                Nonnegative(
                    over_taps((m + excess(d)) * table(d)) - m * over_taps(table(d)),
                    over_taps(excess(d) * table(d)),
                ),
            ),
            Step(
                r"The right side is at most $\|\mu\|\, \eta\, \|z\|$, with $\eta$ the "
                "spectral norm of the difference of the unfoldings, and the shortest "
                r"such $z$ has $(\sigma - \eta)\, \|z\| \le \|a\| \le 1$, with $\sigma "
                r"> \eta$ the least singular value of $W$ that is not zero (Weyl). So "
                r"$m\,(\sigma - \eta) \le \|\mu\|\, \eta$, which is $\eta \ge \sigma m "
                r"/ (m + \|\mu\|)$: these heads do not come arbitrarily close. For "
                r"$\eta \ge \sigma$ there is nothing to show.",
                Equal(m * (sigma - eta) - mu * eta, (m + mu) * (bound - eta)),
            ),
            Step(
                r"Suppose there are no such weights. Then some $z$ has $f_1(\Delta) = "
                r"\langle W_\Delta, z \rangle \ge 0$, not all zero (Stiemke), and "
                r"more components complete it to $W_\Delta = \sum_r f_r(\Delta) B_r$ "
                r"with $\rho$ of them. On the taps that are not zero let $p = f_1 + "
                r"\tau$. Heads with the tables $p$ and $p + c f_r$, up to their sums, "
                r"add up to $W_\Delta + \tau B_1$, as close as one likes.",
                Equal(
                    few,
                    first(d) * basis(1)
                    + Sum(factor(r, d) * basis(r), (r, 2, several))
                    + tau * basis(1),
                ),
                shown=r"p \Big(B_1 - \frac{1}{c} \sum_{r=2}^{\rho} B_r\Big) + "
                r"\sum_{r=2}^{\rho} (p + c f_r)\, \frac{B_r}{c} = f_1 B_1 + "
                r"\sum_{r=2}^{\rho} f_r B_r + \tau B_1",
                where={"p": raised, "f_1": first(d), "f_r": factor(r, d)},
            ),
            Step(
                r"They are not negative for $c = \tau / F$, with $|f_r| \le F$; here "
                r"$f_r = e - F$ with $e \ge 0$, and $g$ is $f_1$.",
                Nonnegative(g + tau + tau / F * (spare - F)),
                shown=r"f_1 + \tau + \frac{\tau}{F}\,(e - F) = f_1 + \frac{\tau e}{F} "
                r"\ge 0",
                where={"f_1": g},
            ),
            Step(
                "The taps of a Laplacian and of a Sobel kernel add up to zero, so "
                "they need two heads; both Sobel kernels, as two outputs, need three.",
                Equal(totals, Matrix([0, 0, 0])),
                shown=r"\sum_\Delta W_\Delta = (0, 0, 0)",
                where={r"\sum_\Delta W_\Delta": totals, "(0, 0, 0)": Matrix([0, 0, 0])},
            ),
            Step(
                "The taps of a box filter are all $1$, and no positive weights make "
                "them add up to zero: one head is enough.",
                Positive(m + mu),
                shown=r"\mu_1 + \mu_2 > 0",
                where={r"\mu_1": m, r"\mu_2": mu},
            ),
        ),
        controls=(
            Control("The sign of the last head.", Equal(others - extra, kernel)),
            Control(
                "No offset: the components are tables by themselves.",
                Nonnegative(probability.subs(g, 0)),
            ),
            Control(
                "The sign of the component in its offset.",
                Nonnegative(f + Max(g, f)),
            ),
            Control(
                "One head for the Laplacian: then no two taps have different signs, as "
                r"$a(\Delta) M \cdot a(\Delta') M \ge 0$.",
                Nonnegative(LAPLACIAN[1, 1] * LAPLACIAN[0, 1]),
                shown=r"-4 \cdot 1 \ge 0",
            ),
            Control(
                "The largest weight in place of the smallest.",
                Nonnegative(
                    over_taps(m / (1 + excess(d)) * table(d)) - m * over_taps(table(d))
                ),
            ),
            Control(
                "The limit is attained. The taps $(1, 0)$, $(0, 1)$ and $(0, -1)$ have "
                "no positive weights that make them add up to zero, but the tables of "
                r"two heads that are exact would add up to some $\langle W_\Delta, z "
                r"\rangle > 0$ at each of them, ...",
                Positive(Min(y, -y)),
                shown=r"\min(z_2, -z_2) > 0",
            ),
        ),
        scope="Any numbers of taps, channels, groups and axes, any kernel; upper "
        "bounds for every canvas on which all taps read tokens.",
        formulas=formulas,
        formal={
            "heads_suffice": r"$\rho + 1$ heads are enough, exactly, on every "
            "canvas, wherever all taps are on it",
            "two_heads": "two are enough for multiples of one matrix",
            "rho_too_few": r"for some kernels $\rho$ are not enough",
            "heads_suffice_limit": "scores that are finite everywhere come as close "
            "as one likes",
        },
        informal=r"for which kernels $\rho$ heads are enough; how far fewer heads "
        "stay away",
        remarks=(
            (
                r"$\rho$ heads are exact, with no limit of what they carry, if and "
                r"only if some $\langle W_\Delta, z \rangle$ are positive at all taps "
                r"that are not zero: then $\tau = 0$ will do; and if $W_\Delta = "
                r"\sum_h a_h(\Delta) M_h$, the sum of the tables is such. By Gordan's "
                r"theorem that is so unless weights $\mu \ge 0$, not all zero, have "
                r"$\sum_\Delta \mu_\Delta W_\Delta = 0$."
            ),
            (
                "Singular vectors give the best kernel of rank $R$, not the best of "
                r"$R + 1$ heads: two are exact for the taps $(1, 0)$ and $(0, 1)$, of "
                "which rank one misses one."
            ),
            (
                r"Almost every kernel has $\rho = \min(K^d, C_{in} C_{out} / g)$ (see "
                r"the number of heads). If that is $K^d$ then $\rho$ heads are enough, "
                "one a tap: independent taps have no such weights."
            ),
        ),
    )
