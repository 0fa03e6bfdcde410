"""The smoothing is nonsingular at every strength; what soft heads make of it."""

from math import prod

from sympy import Expr, Function, Lambda, Matrix, Rational, Sum, diff, exp, log, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    PositiveBetween,
    Statement,
    Step,
)
from proofs.lemmas import expressions
from proofs.three_pixels import ITSELF, common_root, mismatch, weights

alpha, e = symbols("alpha varepsilon", positive=True)
n, a, b = symbols("n a b", integer=True, positive=True)
i, l, m, t, u, v, w = symbols("i l m t u v w", integer=True)
j, k = symbols("j k", integer=True, nonnegative=True)
place, X = symbols("t X", real=True)
lift = symbols("c", nonnegative=True)  # 1 + cos ω
x, c, N, R, S, P, Q = (Function(name, real=True) for name in "xcNRSPQ")
Z = Function("Z", positive=True)

FORMULAS = {
    "log_determinant": Formula(
        (e, n),
        Sum((n - m) * log(1 - e ** (2 * m)), (m, 1, n - 1))
        - Sum(log(Sum(e ** ((k - t) ** 2), (k, 0, n - 1))), (t, 0, n - 1)),
        "the logarithm of the determinant of G on one axis of n pixels",
    ),
    "cross_ratio": Formula(
        (e, a, b),
        e ** (2 * a * b),
        "G(t, k + b) G(t + a, k) / (G(t, k) G(t + a, k + b))",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    log_determinant, ratio = expressions(formulas)

    def smoothed(target: Expr, key: Expr) -> Expr:
        return e ** ((key - target) ** 2) / Z(target)

    crossed = smoothed(t, k + b) * smoothed(t + a, k)
    straight = smoothed(t, k) * smoothed(t + a, k + b)
    normalisers = Sum(log(Sum(e ** ((k - t) ** 2), (k, 0, n - 1))), (t, 0, n - 1))
    determinants, closed = [], []
    for size in (2, 3, 4):
        gauss = Matrix(size, size, lambda row, column: e ** ((row - column) ** 2))
        sums = [sum(gauss.row(target)) for target in range(size)]
        determinants.append(gauss.det(method="domain-ge") / prod(sums))
        closed.append(exp(log_determinant.subs(n, size).doit()))
    corner = Matrix([[w / sum(weights(q)) for w in weights(q)] for q in (-1, 0, 1)])
    solved = corner.T.inv()[:, 0]
    circle = Matrix(3, 3, lambda row, column: 1 if row == column else e) / (1 + 2 * e)
    powers = Sum(c(j) * N(j), (j, 0, k))
    next_powers = Sum(c(j) * ((X - x(j)) * N(j)), (j, 0, k))
    multiples = Sum(x(j) * c(j) * N(j), (j, 0, k))
    return Statement(
        name="nonsingular_smoothing",
        title="The smoothing is nonsingular",
        source="Vandermonde; Newton's basis; Karlin (1968) on total positivity; "
        "Cordonnier, Loukas, Jaggi (2020), Lemma 1, generalised",
        words="The smoothing by a soft head is invertible at every strength, with a "
        "closed determinant. So soft heads with different targets make up every "
        "one-hot head at one query. For all queries of a finite grid at once the "
        "shifts between its pixels are not enough, but enough heads that aim further "
        "off are.",
        formula=r"\det\,(\varepsilon^{(k-t)^2})_{0 \le t, k < n} = "
        r"\prod_{m=1}^{n-1} (1 - \varepsilon^{2m})^{n-m} > 0",
        hypotheses=(
            r"$\alpha > 0$ and $\varepsilon = e^{-\alpha}$, so $0 < \varepsilon < 1$.",
            (
                r"$G(t, k) = \varepsilon^{(k-t)^2} / Z_t$ with "
                r"$Z_t = \sum_k \varepsilon^{(k-t)^2}$, on the pixels $k = 0, \dots, "
                r"n - 1$; $n$ real targets $t_0 < t_1 < \dots$, on or off the canvas."
            ),
            (
                "Heads share their strength; their factors $c_h$ may have any sign. "
                r"Head $h$ at query $q$ has target $q + \Delta_h$."
            ),
        ),
        steps=(
            Step(
                "The weights are a Vandermonde matrix $V(t, k) = x_t^k$ between two "
                r"positive diagonals, with nodes $x_t = \varepsilon^{-2t}$.",
                Equal(
                    e ** ((k - place) ** 2),
                    e ** (place**2) * (e ** (-2 * place)) ** k * e ** (k**2),
                ),
                shown=r"\varepsilon^{(k-t)^2} = \varepsilon^{t^2}\, x_t^k\, "
                r"\varepsilon^{k^2}",
                where={"x_t": e ** (-2 * place)},
            ),
            Step(
                r"The nodes $x_t = e^{2 \alpha t}$ grow with $t$: different targets "
                "have different nodes. From here on $x_j$ is the node of target $j$.",
                Positive(diff(exp(2 * alpha * place), place)),
                shown=r"\frac{d}{dt}\, e^{2 \alpha t} = 2 \alpha\, e^{2 \alpha t} > 0",
            ),
            Step(
                "Newton's basis: $N_0 = 1$ and $N_{j+1}(X) = (X - x_j) N_j(X)$, so "
                r"$X N_j = N_{j+1} + x_j N_j$. Let $X^k = \sum_{j \le k} c_{k,j} N_j$.",
                Equal(X * powers, next_powers + multiples),
                shown=r"X \sum_{j=0}^{k} c_{k,j} N_j = \sum_{j=0}^{k} c_{k,j} N_{j+1} "
                r"+ \sum_{j=0}^{k} x_j c_{k,j} N_j",
                where={"c_{k,j}": c(j), "N_{j+1}": (X - x(j)) * N(j)},
            ),
            Step(
                r"Moved by one index, the first sum has coefficients $c_{k,j-1}$. So "
                r"$X^{k+1}$ has $c_{k+1,j} = c_{k,j-1} + x_j c_{k,j}$, where "
                r"$c_{k,-1} = c_{k,k+1} = 0$; in particular "
                r"$c_{k+1,k+1} = c_{k,k} = 1$. By induction from $X^0 = N_0$ there are "
                r"such coefficients for every $k$.",
                Equal(
                    Sum(c(j) * N(j + 1), (j, 0, k)), Sum(c(j - 1) * N(j), (j, 1, k + 1))
                ),
            ),
            Step(
                "$N_{j+1}$ vanishes at $x_j$, and so do all later ones, its "
                r"multiples. So $V(i, k) = \sum_j N_j(x_i)\, c_{k,j}$ is a lower "
                "triangular matrix times an upper triangular one with ones on its "
                r"diagonal, and $\det V = \prod_j N_j(x_j) = \prod_{i<j} (x_j - x_i) "
                r"> 0$. Hence $\det G > 0$ for any $n$ different targets.",
                Equal((x(j) - x(j)) * N(j), 0),
                shown=r"N_{j+1}(x_j) = (x_j - x_j)\, N_j(x_j) = 0",
                where={"N_{j+1}(x_j)": (x(j) - x(j)) * N(j), "N_j(x_j)": N(j)},
            ),
            Step(
                r"Pixels for targets, $t_j = j$: the factor of a pair $i < j$.",
                Equal(
                    e ** (-2 * j) - e ** (-2 * i),
                    e ** (-2 * j) * (1 - e ** (2 * (j - i))),
                ),
            ),
            Step(
                r"The powers $\varepsilon^{-2j}$ of all $i < j$ and those of both "
                r"diagonals, $\varepsilon^{j^2}$ each, cancel.",
                Equal(Sum(-2 * j, (i, 0, j - 1)) + j**2 + j**2, 0),
                shown=r"\sum_{i=0}^{j-1} (-2j) + 2 j^2 = 0",
            ),
            Step(
                "There are $n - m$ pairs at distance $m$, the first at $i = 0, \\dots, "
                r"n - 1 - m$. With the normalisers this is $\log \det G$.",
                Equal(
                    Sum(Sum(log(1 - e ** (2 * m)), (i, 0, n - 1 - m)), (m, 1, n - 1))
                    - normalisers,
                    log_determinant,
                ),
            ),
            Step(
                "A check: the determinants of $G$ for $n = 2, 3, 4$, expanded.",
                Equal(Matrix(determinants), Matrix(closed)),
                shown=r"\det G = \frac{1}{\prod_t Z_t} \prod_{m=1}^{n-1} "
                r"(1 - \varepsilon^{2m})^{n-m}",
                where={
                    r"\det G": Matrix(determinants),
                    r"\frac{1}{\prod_t Z_t} \prod_{m=1}^{n-1} "
                    r"(1 - \varepsilon^{2m})^{n-m}": Matrix(closed),
                },
            ),
            Step(
                "Several axes: $G$ is a Kronecker product, and the product of two of "
                "them is the Kronecker product of the products. So the inverses of the "
                "factors of $G$ make up its inverse.",
                Equal(
                    Sum(
                        Sum(R(t, k) * S(u, l) * P(k, v) * Q(l, w), (k, 1, n)), (l, 1, a)
                    ),
                    Sum(R(t, k) * P(k, v), (k, 1, n))
                    * Sum(S(u, l) * Q(l, w), (l, 1, a)),
                ),
            ),
            Step(
                "Two targets $t$, $t + a$ and two keys $k$, $k + b$: the ratio of "
                "both products of the minor is below one, so every minor of size two "
                "is positive.",
                Equal(crossed / straight, ratio),
                shown=r"\frac{G(t, k+b)\, G(t+a, k)}{G(t, k)\, G(t+a, k+b)} = "
                r"\varepsilon^{2ab}",
                where={"G": Lambda((u, v), smoothed(u, v))},
            ),
            Step(
                "A minor of any size whose keys are consecutive, from $l$ on, is a "
                "Vandermonde determinant times a positive number, and positive. By "
                "Fekete's criterion (classical) all minors are then positive: $G$ is "
                "strictly totally positive.",
                Equal(
                    e ** (-2 * place * (l + k)),
                    e ** (-2 * place * l) * e ** (-2 * place * k),
                ),
                shown=r"x_t^{l + k} = x_t^l\, x_t^k",
                where={"x_t": e ** (-2 * place)},
            ),
            Step(
                "One query: heads at $n$ different shifts have different targets, so "
                "their rows are a basis, and the right factors make up any row, the "
                "one-hot ones too. Here a corner of three pixels and the targets "
                "$-1, 0, 1$: the factors for the corner itself.",
                Equal(corner.T * solved, Matrix([1, 0, 0])),
                shown=r"\sum_h c_h\, G(\Delta_h, k) = [k = 0]",
                where={
                    r"\sum_h c_h\, G(\Delta_h, k)": corner.T * solved,
                    "[k = 0]": Matrix([1, 0, 0]),
                },
            ),
            Step(
                "All queries at once, on three pixels: no factors of heads at all five "
                r"shifts $-2, \dots, 2$ let every pixel read its neighbour on the "
                "right and the last one itself, as the one-hot head at shift $1$ does. "
                "Six equations for the five factors have a determinant, with the "
                r"right-hand sides, that is a polynomial in $\varepsilon$ without a "
                "root.",
                PositiveBetween(mismatch((1, 2, 2)), e),
                shown=r"\det\,(\text{six equations}) > 0 \quad (0 < \varepsilon < 1)",
                where={r"\det\,(\text{six equations})": mismatch((1, 2, 2))},
            ),
            Step(
                "Nor can they let every pixel read itself, except where a polynomial "
                r"$p$ vanishes: that determinant is $-p(\varepsilon)$ times a "
                "polynomial without a root, ...",
                PositiveBetween((-mismatch((0, 1, 2)) / ITSELF).cancel(), e),
                shown=r"-\det\,(\text{six equations}) / p(\varepsilon) > 0 \quad "
                r"(0 < \varepsilon < 1)",
                where={
                    r"\det\,(\text{six equations})": mismatch((0, 1, 2)),
                    r"p(\varepsilon)": ITSELF,
                },
            ),
            Step(
                r"... and $p$ does not vanish for $\varepsilon < 7/10$.",
                PositiveBetween(-ITSELF, e, high=Rational(7, 10)),
                shown=r"-p(\varepsilon) = 1 - \varepsilon + \varepsilon^2 - "
                r"\varepsilon^4 - \varepsilon^5 - 3\varepsilon^8 - "
                r"\varepsilon^9 - 2\varepsilon^{11} - \varepsilon^{12} - "
                r"\varepsilon^{15} > 0 \quad (0 < \varepsilon < \frac{7}{10})",
                where={r"p(\varepsilon)": ITSELF},
            ),
            Step(
                "But seven different shifts are enough for both, and for every map "
                "whose rows have equal sums. On $n$ pixels any $n(n-1) + 1$ shifts "
                r"are, wherever no two of the normalisers $P_q(y) = \sum_k "
                r"\varepsilon^{k^2 - 2qk} y^k$ have a common root; here for $n = 3$. "
                r"With $y = \varepsilon^{-2\Delta_h}$, head $h$ has "
                r"$G(q + \Delta_h, k) = \varepsilon^{k^2 - 2qk} y^k / P_q(y)$. A "
                r"relation $\sum_{q,k} d_{q,k} G(q + \Delta_h, k) = 0$ for all $h$, "
                r"times $\prod_q P_q$, is a polynomial of degree at most $n(n-1)$ with "
                r"more zeros than that. So it is zero, $P_q$ divides its own "
                r"numerator, and $d_{q,k} = d_q$ with $\sum_q d_q = 0$: relations that "
                "maps with equal sums satisfy.",
                PositiveBetween(common_root(1) * common_root(2), e),
                shown=r"\operatorname{res}(P_0, P_1)\, \operatorname{res}(P_0, P_2) "
                r"> 0 \quad (0 < \varepsilon < 1)",
                where={
                    r"\operatorname{res}(P_0, P_1)": common_root(1),
                    r"\operatorname{res}(P_0, P_2)": common_root(2),
                },
            ),
            Step(
                "Infinite and periodic grids, where every image of a pixel counts: "
                "every row of $G$ is the same, moved, and its symbol is "
                r"$\sum_k \varepsilon^{k^2} \cos k\omega$ over a constant. By Jacobi's "
                r"triple product (classical) the sum has the factors "
                r"$1 - \varepsilon^{2m} > 0$ and $1 + 2\varepsilon^{2m-1} \cos\omega + "
                r"\varepsilon^{4m-2}$, and these are at least "
                r"$(1 - \varepsilon^{2m-1})^2 > 0$, here with $\varepsilon$ for the "
                r"power and $c = 1 + \cos\omega$. So $G$ has an inverse that is a "
                "convolution with summable factors (Wiener, classical): heads at all "
                "shifts make up every one-hot head, at all queries.",
                Nonnegative(1 + 2 * e * (lift - 1) + e**2 - (1 - e) ** 2, 2 * e * lift),
            ),
            Step(
                "A circle of three pixels, with shortest distances, is nonsingular: "
                r"there $G = \frac{1}{1 + 2\varepsilon} \begin{pmatrix} 1 & "
                r"\varepsilon & \varepsilon \\ \varepsilon & 1 & \varepsilon \\ "
                r"\varepsilon & \varepsilon & 1 \end{pmatrix}$.",
                Equal(circle.det(), ((1 - e) / (1 + 2 * e)) ** 2),
                shown=r"\det G = \left(\frac{1 - \varepsilon}{1 + 2\varepsilon}"
                r"\right)^2",
                where={r"\det G": circle.det()},
            ),
        ),
        controls=(
            Control(
                "Two heads with one target.",
                Positive(Matrix([weights(0)[:2], weights(0)[:2]]).det()),
                shown=r"\det G > 0",
                where={r"\det G": Matrix([weights(0)[:2], weights(0)[:2]]).det()},
            ),
            Control(
                "The cross ratio with half the exponent.",
                Equal(
                    crossed.subs(e, 1 / (1 + lift)),
                    (e ** (a * b) * straight).subs(e, 1 / (1 + lift)),
                ),
            ),
            Control(
                "The five heads cannot let every pixel read itself, at any strength: "
                r"$p$ has a root, $\varepsilon \approx 0.718$.",
                PositiveBetween(-ITSELF, e),
                shown=r"-p(\varepsilon) > 0 \quad (0 < \varepsilon < 1)",
                where={r"p(\varepsilon)": ITSELF},
            ),
            Control(
                "A circle of four pixels, with shortest distances, is nonsingular at "
                r"every strength: at $\varepsilon \approx 0.544$ it is not.",
                PositiveBetween(1 - 2 * e + e**4, e),
            ),
        ),
        scope=r"All $\alpha > 0$, any number of pixels and axes, any different "
        "targets. All queries at once: three pixels on one axis, one strength; "
        "infinite and periodic grids by the triple product. Strict total positivity by "
        "Fekete's criterion.",
        formulas=formulas,
        remarks=(
            (
                r"For targets on the pixels, $c_{k,j}$ are Gaussian binomials in "
                r"$\varepsilon^{-2}$."
            ),
            (
                "The rows of $G$ become equal as the strength falls to zero, so the "
                "factors grow without bound: the heads exist, but rounding spoils them."
            ),
            (
                "On a circle of four pixels with shortest distances, the eigenvalue of "
                r"the alternating pattern is $1 - 2\varepsilon + \varepsilon^4$ over "
                "the normaliser, and vanishes at one strength. Such a circle is not a "
                "periodic grid."
            ),
        ),
    )
