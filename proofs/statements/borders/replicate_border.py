"""Without padding tokens a head looks at the nearest pixel: replicate padding."""

from sympy import Expr, Function, Integer, Max, Rational, Sum, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
    Tends,
)
from proofs.lemmas import expressions, share_rises

e, X, Y, Z, far = symbols("varepsilon x y z c", positive=True)
T, slack = symbols("T r", nonnegative=True)
j, N, d, H = symbols("j N d H", integer=True, positive=True)
k, n, i, h = symbols("k n i h", integer=True)
m, p = symbols("m p", integer=True, nonnegative=True)
one, many = symbols("lambda_1 lambda_d", nonnegative=True)
off = Function("n", integer=True, nonnegative=True)
beyond = Function("m", integer=True, nonnegative=True)
g = Function("g", nonnegative=True)
x, W, D = (Function(name, real=True) for name in ("X", "W", "D"))
clamped = symbols("X_c", real=True)


FORMULAS = {
    "gap": Formula(
        (n, m),
        n * (n + 2 * m),
        "by how much a pixel n steps inside is behind, in units of α",
    ),
    "leak": Formula(
        (e, m, N),
        1 - 1 / (1 + Sum(e ** (k * (k + 2 * m)), (k, 1, N))),
        "the leak along an axis, N pixels behind the nearest one",
    ),
    "upper": Formula(
        (e, m),
        e ** (2 * m + 1) / (1 + e ** (2 * m + 1) - e ** (2 * m + 3)),
        "not below the leak, whatever the length of the axis",
    ),
    "lower": Formula(
        (e, m),
        e ** (2 * m + 1) / (1 + e ** (2 * m + 1)),
        "not above the leak, from two pixels on",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    _, leak, upper, lower = expressions(formulas)

    def gap(steps: Expr, outside: Expr = m) -> Expr:
        values = {n: steps, m: outside}
        return formulas["gap"].expression.subs(values, simultaneous=True)

    first, ratio = e ** (2 * m + 1), e ** (2 * m + 3)
    above, below = X / (1 + X - Y), X / (1 + X)
    values_of = {X: T + slack, Y: 1 - Z}
    weight = Sum(g(i), (i, 1, N))
    mean = (clamped + Sum(g(i) * x(i), (i, 1, N))) / (1 + weight)
    example = {e: Rational(1, 2), m: 1, N: 2}
    return Statement(
        name="replicate_border",
        title="Borders without padding tokens",
        source="Cordonnier, Loukas, Jaggi (2020), Theorem 1; targets off the image",
        words="On a canvas without padding tokens a head whose target lies outside "
        "attends to the pixel nearest to it, which has the coordinates of the "
        "target moved into the canvas. The further outside the target is, the "
        "faster the attention concentrates there as the strength grows. The "
        "limit of the layer is the convolution with replicate padding.",
        formula=r"\frac{\varepsilon^{2m+1}}{1 + \varepsilon^{2m+1}} \le "
        r"\lambda_m \le \frac{\varepsilon^{2m+1}}"
        r"{1 + (1 - \varepsilon^2)\,\varepsilon^{2m+1}} < \varepsilon^{2m+1}",
        hypotheses=(
            r"$\alpha > 0$ and $\varepsilon = e^{-\alpha}$, so $0 < \varepsilon < 1$.",
            (
                r"Along an axis the target lies $m \ge 0$ whole pixels before the "
                "first pixel of the canvas, or after the last one: that is the same, "
                "counted from the other end. $N$ pixels lie behind that one."
            ),
            (
                r"A pixel at displacement $\delta$ from the target has weight "
                r"$\varepsilon^{\|\delta\|^2}$ (quadratic scores), and the softmax "
                "factorises over the axes (separability)."
            ),
        ),
        steps=(
            Step(
                "The pixel $n$ steps inside is $n + m$ from the target, the first one "
                r"$m$. It is behind by $\alpha$ times the difference of the squares.",
                Equal((n + m) ** 2 - m**2, gap(n)),
            ),
            Step(
                "Every step further inside costs more, so the first pixel wins, and "
                "the second is the runner-up. Here $n = p$, counted from zero.",
                Positive(gap(p + 1) - gap(p)),
            ),
            Step(
                "Several axes: a pixel is behind the nearest pixel of each axis by "
                "the sum of its gaps along the axes. That is never negative, and "
                "zero at one pixel only: the one with the coordinates of the target "
                "moved into the canvas, one by one.",
                Nonnegative(Sum(gap(off(i), beyond(i)), (i, 1, d))),
            ),
            Step(
                "In units of the nearest pixel's weight the others weigh "
                r"$\varepsilon^{n(n+2m)}$; the leak is their share of the whole.",
                Equal(
                    Sum(e ** gap(k), (k, 1, N)) / (1 + Sum(e ** gap(k), (k, 1, N))),
                    leak,
                ),
            ),
            Step(
                r"Let $S$ be their sum. Its first term is $x = \varepsilon^{2m+1}$. "
                "From one term to the next the exponent grows by no less than from the "
                "first to the second; here $n = p + 1$.",
                Nonnegative(gap(p + 2) - gap(p + 1) - gap(2) + gap(1)),
            ),
            Step(
                r"That is $2m + 3$: each term is at most $y = \varepsilon^{2m+3}$ "
                "times the one before.",
                Equal(gap(2) - gap(1), 2 * m + 3),
                shown="2\\,(2 + 2m) - (1 + 2m) = 2m + 3",
            ),
            Step(
                r"So $S = x + yS - r$ with $r \ge 0$. With $z = 1 - y > 0$ and "
                r"$T = zS \ge 0$ that is $x = T + r$, and the leak $S / (1 + S)$ is at "
                "most $x / (1 + x - y)$.",
                Nonnegative(
                    above.subs(values_of) - (T / Z) / (1 + T / Z),
                    slack * Z / ((Z + T + slack) * (Z + T)),
                ),
            ),
            Step(
                r"This is the upper bound, with "
                r"$x - y = (1 - \varepsilon^2)\,\varepsilon^{2m+1}$.",
                Equal(above.subs({X: first, Y: ratio}), upper),
                shown=r"\frac{x}{1 + x - y} = \frac{\varepsilon^{2m+1}}"
                r"{1 + \varepsilon^{2m+1} - \varepsilon^{2m+3}}",
                where={"x": first, "y": ratio},
            ),
            Step(
                r"It is below $x = \varepsilon^{2m+1}$, the weight of the runner-up: "
                r"here $\varepsilon^2 = 1/(1 + c)$ with $c > 0$.",
                Positive(
                    X - above.subs(Y, X / (1 + far)),
                    X**2 * far / (1 + far + X * far),
                ),
            ),
            Step(
                r"If there is a second pixel, $S = x + r$ with another $r \ge 0$, and "
                "the leak is at least $x / (1 + x)$.",
                share_rises(X, slack),
            ),
            Step(
                "This is the lower bound.",
                Equal(below.subs(X, first), lower),
                shown=r"\frac{x}{1 + x} = "
                r"\frac{\varepsilon^{2m+1}}{1 + \varepsilon^{2m+1}}",
                where={"x": first},
            ),
            Step(
                r"Divided by $\varepsilon^{2m+1}$ the leak lies between $1/(1 + x)$ "
                "and $1$. The former is at least $1 - x$,",
                Nonnegative(below / X - (1 - X), X**2 / (1 + X)),
            ),
            Step(
                r"and tends to one with $x \le \varepsilon \to 0$: the rate is exactly "
                r"$e^{-\alpha(2m+1)}$.",
                Tends(below / X, X, Integer(0), Integer(1)),
            ),
            Step(
                r"Several axes: along one more axis a part of what is left, "
                r"$\lambda_1 (1 - \lambda_d)$, leaks too, at most $\lambda_1$. So the "
                "leak of a head is at most the sum over its axes.",
                Nonnegative(many + one - (many + one * (1 - many)), one * many),
            ),
            Step(
                "Subtract the nearest pixel $X_c$ from what a head sees; the others "
                "have the weights $g_i$. The difference is at most the leak times "
                "the largest $|X_i - X_c|$, and vanishes with it.",
                Equal(
                    mean - clamped,
                    Sum(g(i) * (x(i) - clamped), (i, 1, N)) / (1 + weight),
                ),
            ),
            Step(
                "Let head $h$ see $X_h + D_h$, with $X_h$ the pixel nearest to its "
                "target. The output differs from that of a convolution which reads the "
                "nearest pixel where there is none, that is from replicate padding, by "
                "the deviations $D_h$ through the matrices $W_h$, and these vanish.",
                Equal(
                    Sum(W(h) * (x(h) + D(h)), (h, 1, H)) - Sum(W(h) * x(h), (h, 1, H)),
                    Sum(W(h) * D(h), (h, 1, H)),
                ),
            ),
        ),
        controls=(
            Control(
                "The target is taken for one that is a pixel nearer: rate $2m - 1$.",
                Equal(gap(Integer(1)), 2 * m - 1),
            ),
            Control(
                "Scores linear in the distance, not quadratic: the pixel $n$ steps "
                r"inside is behind by $n\alpha$ only.",
                Equal(gap(n), n),
            ),
            Control(
                "Nearest in the maximum norm: a pixel beside the nearest one is as "
                "near as that.",
                Positive(Max(m, j) - m),
            ),
            Control(
                "Reflect padding: the pixel $m$ steps inside wins.",
                Nonnegative(-gap(m)),
            ),
            Control(
                "The lower bound taken for an upper one: it leaves out the third "
                r"pixel, here at $\varepsilon = 1/2$, $m = 1$, $N = 2$.",
                Nonnegative((lower - leak).subs(example).doit()),
                shown=r"\frac{x}{1 + x} \ge \lambda",
                where={"x": first.subs(example), r"\lambda": leak.subs(example).doit()},
            ),
            Control(
                "The lower bound on an axis of one pixel, where nothing can leak.",
                Nonnegative((leak.subs(N, 0).doit() - lower).subs(e, 1 / (1 + far))),
            ),
        ),
        scope=r"All $\alpha > 0$, every length of the axes, every $m \ge 0$, any "
        "number of axes. The lower bound needs two pixels.",
        formulas=formulas,
        formal={
            "nearest_closer": "the nearest pixel is nearer to the target than any "
            "other, by the square of their distance or more",
            "attention_error": "the layer is as close to the convolution with "
            "targets moved into the canvas as the leak says",
            "conv_replicate": "the same for kernel, stride, dilation and replicate "
            "padding spelled as in torch",
            "conv_replicate_converges": "the limit, uniform over sizes, images and "
            "queries",
        },
        informal="how much faster a head turns to the border when its target is "
        "further off",
        remarks=(
            (
                r"With $m = 0$ the target is a pixel of the border itself, which leaks "
                r"to one side only: $e^{-\alpha}$."
            ),
            (
                r"The two bounds differ by the factor "
                r"$(1 + x) / (1 + x - \varepsilon^2 x)$, $x = \varepsilon^{2m+1}$."
            ),
        ),
    )
