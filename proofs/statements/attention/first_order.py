"""To first order the error is a Laplacian; how large the rest can be."""

from sympy import Abs, Expr, Function, Matrix, Max, Sum, series, symbols

from proofs.engine import (
    ByInduction,
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Statement,
    Step,
    Tends,
)
from proofs.lemmas import expressions

e, past = symbols("varepsilon t", positive=True)
d, H, K = symbols("d H K", integer=True, positive=True)
nu, i, j, m = symbols("nu i j m", integer=True, nonnegative=True)
R, r, M = symbols("R r M", nonnegative=True)
leak, off, leak_1, off_1 = symbols("lambda mu lambda_1 mu_1", nonnegative=True)
gap, more = symbols("g g'", nonnegative=True)
h, k = symbols("h k", integer=True)
W, hit, laplacian, rest, X = map(Function, ("W", "I", "L", "varrho", "X"))
w, size, spare = (Function(name, nonnegative=True) for name in ("w", "s", "g"))


FORMULAS = {
    "neighbour": Formula((e,), e, "the first order at a neighbour of the target"),
    "target": Formula((e, nu), -nu * e, "the first order at a target, ν neighbours"),
    "remainder": Formula(
        (e, d), 8 * d**2 * e**2, "a bound of the ℓ₁ norm of what a row has besides"
    ),
    "off": Formula(
        (e, d),
        2 * d * (d - 1) * e**2 + d * e**3,
        "a bound of the probability off the target and its neighbours",
    ),
    "truncated": Formula(
        (e, nu),
        e / (1 + nu * e),
        "the factor of the Laplacian that keeps the target and its neighbours only",
    ),
    "truncation": Formula(
        (e,), 4 * e**4, "a bound of the ℓ₁ norm of what that leaves, for one axis"
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    neighbour, target, remainder, most_off, truncated, truncation = expressions(
        formulas
    )
    Z = 1 + nu * e + R
    leak_of_row, far = 1 - 1 / Z, R / Z
    # R is of second order, whatever the border.
    row = Matrix([1 / Z, e / Z]).subs(R, r * e**2)
    at_target, near = (series(part, e, 0, 2).removeO() for part in row)
    left = Matrix([1 / Z - 1 - target, e / Z - neighbour])
    truncated_row = Matrix([1 - nu * truncated, truncated])

    def mix(rows: Expr) -> Expr:
        return Sum(W(h) * Sum(rows * X(k), (k, 1, K)), (h, 1, H))

    def total(term: Expr) -> Expr:
        return Sum(w(h) * Sum(size(h, k) * term, (k, 1, K)), (h, 1, H))

    hit_or_near = (1 - off) * (1 - leak_1) + (1 - leak) * (leak_1 - off_1)
    union = off + off_1 + leak * leak_1
    interior = 1 - (1 + 2 * e) ** (-d)
    return Statement(
        name="first_order",
        title="The first-order error",
        source="This project, from the quadratic scores and the leak",
        words="To first order, attention differs from the convolution by the "
        "convolution of the Laplacian of the canvas, times the exponential of minus "
        "the strength. The Laplacian is that of a graph: the sum of the neighbours "
        "that exist minus their number times the pixel. The rest is of second order, "
        "with a constant that holds for every strength and border and is sharp.",
        formula=r"\mathrm{Attn}_\alpha(X) - \mathrm{Conv}_W(X) = \varepsilon\,"
        r"\mathrm{Conv}_W(\nabla^2 X) + E, \qquad |E| \le 8 d^2 \varepsilon^2\, "
        r"\|W\|_1\, \|X\|_\infty, \qquad \varepsilon = e^{-\alpha}",
        hypotheses=(
            (
                r"$0 < \varepsilon < 1$, that is $\alpha > 0$, one $\alpha$ for all "
                "heads; $d$ axes; the targets are pixels, on the canvas or off it."
            ),
            (
                "Along an axis the pixel nearest to the target has weight $1$, and the "
                r"one $n$ steps further $\varepsilon^{(n + m)^2 - m^2}$, where the "
                "target is $m$ pixels off the canvas ($m = 0$: on it). The weights of "
                "the axes multiply."
            ),
            (
                "A neighbour is one step from the target, along an axis on which that "
                r"is on the canvas. There are $\nu \le 2d$. The row of $\nabla^2$ is "
                r"$1$ at each of them and $-\nu$ at the pixel nearest to the target."
            ),
            (
                r"The leak $\lambda = 1 - 1/Z$ of a row, over $d$ axes, is at "
                r"most $2d\varepsilon$ on every canvas and off it: see the leak."
            ),
            r"$\|W\|_1$ sums $|W|$ over taps and channels, for one output channel.",
        ),
        steps=(
            Step(
                r"A row has weight $1$ at its target, $\varepsilon$ at each of $\nu$ "
                "neighbours and $R$ at all other pixels together: $Z = 1 + "
                r"\nu\varepsilon + R$. Neighbours share the leak with all others, "
                r"which get $\mu = R/Z$.",
                Equal(leak_of_row, nu * e / Z + far),
                shown=r"1 - \frac{1}{Z} = \frac{R}{Z} + \frac{\nu\varepsilon}{Z}",
                where={"Z": Z},
            ),
            Step(
                "Subtract the one-hot row and the first order. What is left at the "
                "target and at a neighbour is",
                Equal(left, Matrix([nu * e * leak_of_row - far, -e * leak_of_row])),
                shown=r"\frac{1}{Z} - 1 + \nu\varepsilon = \nu\varepsilon\lambda - \mu "
                r"\quad\text{and}\quad \frac{\varepsilon}{Z} - \varepsilon = "
                r"-\varepsilon\lambda",
                where={"Z": Z, r"\lambda": leak_of_row, r"\mu": far},
            ),
            Step(
                r"and at all other pixels together it is $\mu$. Its $\ell_1$ norm is "
                "therefore exactly",
                Equal(
                    nu * e * leak + Abs(nu * e * leak - off) + off,
                    2 * Max(nu * e * leak, off).rewrite(Abs),
                ),
                shown=r"\nu\varepsilon\lambda + |\nu\varepsilon\lambda - \mu| + \mu = "
                r"2\max(\nu\varepsilon\lambda, \mu)",
            ),
            Step(
                r"One axis. Where $n + m = j + 1$ with $j \ge 0$, the next pixel has "
                r"at most $\varepsilon^3$ of the weight of this one:",
                Nonnegative((j + 2) ** 2 - (j + 1) ** 2 - 3, 2 * j),
                shown=r"(j + 2)^2 - (j + 1)^2 - 3 = 2j \ge 0",
            ),
            Step(
                r"On the canvas that is so from $n = 1$ on: $\mu_1 \le \varepsilon^3 "
                r"\lambda_1$ for this axis. Off it, from $n = 0$ on: $\mu_1 \le "
                r"\varepsilon^3$, all of the leak. There is no neighbour and no first "
                r"order, as the first gap is at least $3$ for $m \ge 1$:",
                Equal((1 + m) ** 2 - m**2, 1 + 2 * m),
                shown="(1 + m)^2 - m^2 = 1 + 2m",
            ),
            Step(
                "One more axis, independent of those before: a pixel is the target "
                "or a neighbour if both parts are, but not both neighbours. All "
                "other pixels together have the probability",
                Equal(1 - hit_or_near, union - off * leak_1 - off_1 * leak),
            ),
            Step(
                r"which is at most $\mu + \mu_1 + \lambda\lambda_1$, where $\mu_1 \le "
                r"\varepsilon^3$, $\lambda \le 2d\varepsilon$, $\lambda_1 \le "
                r"2\varepsilon$. Over $d$ axes that adds up to a bound of $\mu$; with "
                "one axis there is no second order but that of $1/Z$.",
                ByInduction(
                    most_off,
                    Sum(e**3 + (2 * i * e) * (2 * e), (i, 0, d - 1)),
                    d,
                    start=1,
                ),
            ),
            Step(
                r"With this bound, $2\mu$ is no more than stated; $\varepsilon = 1/(1 "
                "+ t)$ with $t > 0$.",
                Nonnegative((remainder - 2 * most_off).subs(e, 1 / (1 + past))),
            ),
            Step(
                r"Nor is $2\nu\varepsilon\lambda$; here $\nu = 2d - g'$ and "
                r"$2d\varepsilon = \lambda + g$.",
                Nonnegative(
                    (remainder - 2 * (2 * d - more) * e * leak).subs(
                        e, (leak + gap) / (2 * d)
                    ),
                    (leak + gap) * (2 * d * gap + more * leak) / d,
                ),
            ),
            Step(
                r"And no smaller constant will do: far from borders $\nu = 2d$ and "
                r"$\lambda \ge 1 - (1 + 2\varepsilon)^{-d}$, and then "
                r"$2\nu\varepsilon\lambda$ comes as close to the bound as one likes.",
                Tends(2 * (2 * d) * e * interior / remainder, e, 0, 1),
            ),
            Step(
                "The layer is linear in its rows, over any number $H$ of heads and $K$ "
                "of pixels, for each entry of the taps' matrices. With $I$ the one-hot "
                r"rows, $L$ those of $\nabla^2$ and $\varrho$ the rest:",
                Equal(
                    mix(hit(h, k) + e * laplacian(h, k) + rest(h, k)) - mix(hit(h, k)),
                    e * mix(laplacian(h, k)) + mix(rest(h, k)),
                ),
            ),
            Step(
                r"The last sum is at most $M \|W\|_1 \max_h \|\varrho_h\|_1$ if $|X| = "
                r"M - g$ with $g \ge 0$, by the triangle inequality; here $w = |W|$ "
                r"and $s = |\varrho|$.",
                Nonnegative(total(M) - total(M - spare(k)), total(spare(k))),
            ),
            Step(
                "The series of a row agrees, at the target and at a neighbour, with "
                r"$R = r\varepsilon^2$.",
                Equal(
                    Matrix([at_target, near]),
                    Matrix([1 + target, neighbour]),
                ),
                shown=r"\frac{1}{1 + \nu\varepsilon + r\varepsilon^2} = 1 - "
                r"\nu\varepsilon + O(\varepsilon^2), \qquad "
                r"\frac{\varepsilon}{1 + \nu\varepsilon + r\varepsilon^2} = "
                r"\varepsilon + O(\varepsilon^2)",
                where={
                    r"\frac{1}{1 + \nu\varepsilon + r\varepsilon^2}": at_target,
                    r"\frac{\varepsilon}{1 + \nu\varepsilon + r\varepsilon^2}": near,
                    r"O(\varepsilon^2)": 0,
                },
            ),
            Step(
                r"With $\varepsilon/(1 + \nu\varepsilon)$ as its factor, the Laplacian "
                "gives the softmax over target and neighbours alone, exactly.",
                Equal(truncated_row, Matrix([1, e]) / (1 + nu * e)),
            ),
            Step(
                "The target and its neighbours lose to the other pixels in "
                r"proportion to their weights, so the norm of the rest is $2\mu$.",
                Equal(
                    Abs(1 / Z - truncated_row[0])
                    + nu * Abs(e / Z - truncated_row[1])
                    + far,
                    2 * far,
                ),
                shown=r"\left|\frac{1}{Z} - 1 + \frac{\nu\varepsilon}{1 + "
                r"\nu\varepsilon}\right| + \nu \left|\frac{\varepsilon}{Z} - "
                r"\frac{\varepsilon}{1 + \nu\varepsilon}\right| + \frac{R}{Z} = "
                r"\frac{2R}{Z}",
                where={"Z": Z},
            ),
            Step(
                r"For one axis on the canvas $\mu \le \varepsilon^3\lambda$, $\lambda "
                r"= 2\varepsilon - g$: in the interior $G_\alpha = I + \varepsilon/(1 "
                r"+ 2\varepsilon)\,\nabla^2 + O(\varepsilon^4)$, and $\varepsilon/(1 + "
                r"\varepsilon)$ at the ends.",
                Nonnegative(truncation - 2 * e**3 * (2 * e - gap), 2 * e**3 * gap),
            ),
        ),
        controls=(
            Control(
                "Four neighbours at a border of two axes where there are three: the "
                "rest is then of first order.",
                Tends((row[0].subs(nu, 3) - 1 + 4 * e) / e, e, 0, 0),
            ),
            Control("The sign.", Tends((row[1] + e) / e, e, 0, 0)),
            Control("Twice the factor.", Tends((row[1] - 2 * e) / e, e, 0, 0)),
            Control("A first order off the canvas.", Equal((1 + m) ** 2 - m**2, 1)),
            Control(
                "Half the constant, one axis: the interior exceeds it.",
                Nonnegative(4 * e**2 - 4 * e * interior.subs(d, 1)),
            ),
        ),
        scope=r"All $\alpha > 0$, any number of axes, every canvas, kernel and input.",
        formulas=formulas,
        formal={
            "first_order_error": "the error less its first order is at most $8 d^2 "
            r"\varepsilon^2\, \Sigma|W|\, B$: every canvas, kernel, query and channel",
            "smoothing_first_order": "the same for a single head, targets off the "
            "canvas included",
            "laplacian_on_canvas": "on the canvas the Laplacian is the sum over the "
            "neighbours that exist",
        },
        informal="that the constant cannot be improved; the finer bounds for one "
        "axis; truncation",
        remarks=(
            (
                "Along an axis on which a target is off the canvas its nearest pixel "
                r"has a neighbour, but the row of $\nabla^2$ ignores it: it is the "
                "target that counts."
            ),
            (
                r"The bound is approached by a $1 \times 1$ kernel and an input of "
                r"$\pm 1$ with the signs of the row."
            ),
        ),
    )
