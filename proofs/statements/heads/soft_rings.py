"""Rings of further heads: the error of soft heads falls by a power with each."""

from sympy import Abs, Expr, Function, Integer, Sum, exp, symbols, together

from proofs.engine import (
    ByInduction,
    Control,
    Equal,
    Every,
    Formula,
    Formulas,
    Statement,
    Step,
    Tends,
)
from proofs.lemmas import expressions

alpha, e, eta, past = symbols("alpha varepsilon eta t", positive=True)
d = symbols("d", integer=True, positive=True)
m, M, L = symbols("m M L", integer=True, nonnegative=True)
k, i, j, n = symbols("k i j n", integer=True)
late = symbols("n", integer=True, nonnegative=True)
b, T = Function("b", real=True), Function("T", real=True)

WEIGHT = (-1) ** n * exp(-alpha * n * (n + 1))

FORMULAS = {
    "inverse": Formula(
        (alpha, k, M),
        exp(alpha * k**2)
        * Sum(WEIGHT, (n, k, M))
        / Sum((2 * n + 1) * WEIGHT, (n, 0, M)),
        "the factor of the heads k pixels off their tap, over the normaliser, for "
        "k ≥ 0, its series cut off after term M",
    ),
    "bound": Formula(
        (alpha, m, M),
        2
        * exp(-alpha * (m + 1))
        * (1 + 2 * Sum(exp(-alpha * n**2), (n, 1, M)))
        / ((1 - exp(-alpha)) * Sum((2 * n + 1) * WEIGHT, (n, 0, M))),
        "what m rings leave at most, in the sum of absolute values, along one axis",
    ),
}


def _in_epsilon(formula: Expr) -> Expr:
    return formula.replace(exp, lambda exponent: e ** (-exponent / alpha))


TERM = _in_epsilon(WEIGHT)


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    inverse, bound = map(_in_epsilon, expressions(formulas))
    beyond = TERM.subs(n, late)
    normaliser = (1 + e) / (1 - e)  # 1 + 2ε + 2ε² + …: more than Z

    def leaves(rings: int, place: int, value: int, *, sign: int = 1) -> Tends:
        """Claim what rings leave at a place, in units of the order that counts."""
        factors = {
            ring: sign**ring * inverse.subs({k: ring, M: 3}).doit()
            for ring in range(rings + 1)
        }
        total = sum(
            factors[abs(head)] * e ** ((place - head) ** 2)
            for head in range(-rings, rings + 1)
        )
        share = together((total - int(place == 0)) / e ** (rings + 1))
        return Tends(share, e, Integer(0), Integer(value))

    def next_order(ring: int) -> Expr:
        return (inverse.subs({k: ring, M: 2}).doit() / (-e) ** ring - 1) / e**2

    return Statement(
        name="soft_rings",
        title="Rings of soft heads",
        source="This project; the reciprocal of a theta function (classical)",
        words="On an infinite grid the smoothing has an explicit inverse. Its factors "
        "fall like powers and change their sign from pixel to pixel. Each ring of "
        "further heads that carry them takes away one order of the error: more heads "
        "replace a larger strength.",
        formula=r"\|r^{(m)}\|_1 \le \frac{2\,\theta_3(\varepsilon)\, "
        r"\varepsilon^{m+1}}{(1 - \varepsilon)\, E}, \qquad \lim_{\varepsilon \to 0} "
        r"\frac{\|r^{(m)}\|_1}{\varepsilon^{m+1}} = 2d \quad (d\ \text{axes})",
        hypotheses=(
            (
                r"$0 < \varepsilon = e^{-\alpha} < 1$; a head with target $t$ gives "
                r"pixel $k$ the probability $\varepsilon^{(k-t)^2} / Z$, $Z = "
                r"\theta_3(\varepsilon) = \sum_n \varepsilon^{n^2}$: an infinite grid, "
                "or far from all borders; more axes multiply."
            ),
            (
                "$m$ rings: along each axis there are heads at all whole shifts $|j| "
                r"\le m$ from each tap, and a head carries the tap's matrix times "
                "$Z a_j$ (times such a factor for each axis). For $K$ taps that are "
                "$K + 2m$ heads, if those at the same place are one."
            ),
            (
                r"$b_n = (-1)^n \varepsilon^{n(n+1)}$, $T_k = \sum_{n \ge k} b_n$, "
                r"$E = \sum_{n \ge 0} (2n + 1)\, b_n$ and $a_k = \varepsilon^{-k^2} "
                "T_k / E$. All series converge absolutely."
            ),
            (
                r"$E = \prod_{n \ge 1} (1 - \varepsilon^{2n})^3 > 0$ (Jacobi, "
                "classical); a series whose terms fall and alternate lies between "
                "zero and its first term (Leibniz)."
            ),
        ),
        steps=(
            Step(
                "The terms change their sign under $n \\to -1 - n$, so the sum over "
                r"all $n$ is zero, and $T_k = -\sum_{n < k} b_n = T_{-k}$.",
                Equal(TERM.subs(n, -1 - n), -TERM),
                shown=r"(-1)^{-1-n} \varepsilon^{(-1-n)(-n)} = -(-1)^n "
                r"\varepsilon^{n(n+1)}",
            ),
            Step(
                "Neighbouring sums differ by one term; here the sums have $L + 1$ "
                "and $L$ terms.",
                ByInduction(
                    Sum(b(k + j), (j, 0, L)) - Sum(b(k + 1 + j), (j, 0, L - 1)),
                    b(k),
                    L,
                ),
                shown="T_k - T_{k+1} = b_k",
                where={
                    "T_k": Sum(b(k + j), (j, 0, L)),
                    "T_{k+1}": Sum(b(k + 1 + j), (j, 0, L - 1)),
                },
            ),
            Step(
                r"What the heads give together to the pixel at $i$ from the target is "
                r"$\sum_j a_j \varepsilon^{(i-j)^2} = \varepsilon^{i^2} S_i / E$ with "
                r"$S_i = \sum_j \varepsilon^{-2ij} T_j$.",
                Equal(
                    e ** (-(j**2)) * T(j) * e ** ((i - j) ** 2),
                    e ** (i**2) * e ** (-2 * i * j) * T(j),
                ),
            ),
            Step(
                r"Moved by one, $\sum_j \varepsilon^{-2ij} T_{j+1} = \varepsilon^{2i} "
                r"S_i$. The difference is $(1 - \varepsilon^{2i})\, S_i = \sum_j "
                r"\varepsilon^{-2ij} b_j$.",
                Equal(e ** (-2 * i * j), e ** (2 * i) * e ** (-2 * i * (j + 1))),
            ),
            Step(
                "In that sum the terms $j$ and $2i - 1 - j$ cancel. So $S_i = 0$ for "
                r"$i \ne 0$.",
                Equal(
                    (e ** (-2 * i * n) * TERM).subs(n, 2 * i - 1 - j),
                    -(e ** (-2 * i * n) * TERM).subs(n, j),
                ),
                shown=r"\varepsilon^{-2i(2i-1-j)}\, b_{2i-1-j} = "
                r"-\varepsilon^{-2ij}\, b_j",
                where={
                    "b_{2i-1-j}": TERM.subs(n, 2 * i - 1 - j),
                    "b_j": TERM.subs(n, j),
                },
            ),
            Step(
                r"$S_0 = \sum_j T_{|j|}$ has $b_n$ once for each $|j| \le n$: it is "
                r"$E$. So the factors are the inverse of the smoothing, exactly: "
                r"$\sum_j a_j \varepsilon^{(i-j)^2} = [i = 0]$.",
                Equal(
                    Sum(Sum(b(n), (j, -n, n)), (n, 0, M)),
                    Sum((2 * n + 1) * b(n), (n, 0, M)),
                ),
            ),
            Step(
                r"The terms of $T_k$ fall for $k \ge 0$, each $\varepsilon^{2(n+1)}$ "
                r"times the one before, so $|T_k| \le \varepsilon^{k(k+1)}$ (Leibniz) "
                r"and $|a_k| \le \varepsilon^k / E$, ...",
                Every([
                    Equal(beyond.subs(late, late + 1) / beyond, -(e ** (2 * late + 2))),
                    Equal(e ** (-(k**2)) * e ** (k * (k + 1)), e**k),
                ]),
                shown=r"\frac{b_{n+1}}{b_n} = -\varepsilon^{2(n+1)}, \qquad "
                r"\varepsilon^{-k^2} \varepsilon^{k(k+1)} = \varepsilon^k",
                where={
                    "b_{n+1}": beyond.subs(late, late + 1),
                    "b_n": beyond,
                    "n": late,
                },
            ),
            Step(
                r"... and $a_k = (-\varepsilon)^k (1 - \dots) / E$: the first terms, "
                r"with three of each series, are $a_0 = 1 + 2\varepsilon^2 + \dots$, "
                r"$a_1 = -\varepsilon - 3\varepsilon^3 - \dots$ and $a_2 = "
                r"\varepsilon^2 + 3\varepsilon^4 + \dots$.",
                Every([
                    Tends(together(next_order(ring)), e, Integer(0), Integer(value))
                    for ring, value in ((0, 2), (1, 3), (2, 3))
                ]),
                shown=r"\lim_{\varepsilon \to 0} \frac{a_0 - 1}{\varepsilon^2} = 2, "
                r"\quad \lim_{\varepsilon \to 0} \frac{-a_1/\varepsilon - "
                r"1}{\varepsilon^2} = 3, \quad \lim_{\varepsilon \to 0} "
                r"\frac{a_2/\varepsilon^2 - 1}{\varepsilon^2} = 3",
                where={
                    **{
                        f"a_{ring}": inverse.subs({k: ring, M: 2}).doit()
                        for ring in range(3)
                    }
                },
            ),
            Step(
                r"$m$ rings leave $r_i = -\sum_{|j| > m} a_j \varepsilon^{(i-j)^2}$, "
                r"in all at most $Z \sum_{|j| > m} |a_j|$ (triangle inequality). The "
                "geometric series, of $L$ terms:",
                ByInduction(
                    (1 - e) * Sum(e ** (m + 1 + j), (j, 0, L - 1)),
                    e ** (m + 1) - e ** (m + 1 + L),
                    L,
                ),
            ),
            Step(
                r"With both sides, $\sum_{|j| > m} |a_j| \le 2\,\varepsilon^{m+1} / "
                r"((1 - \varepsilon) E)$, and the bound follows; $Z$ and $E$ are the "
                r"limits of these sums for $M \to \infty$.",
                Equal(
                    bound,
                    (1 + 2 * Sum(e ** (n**2), (n, 1, M)))
                    * (2 * e ** (m + 1) / (1 - e))
                    / Sum((2 * n + 1) * TERM, (n, 0, M)),
                ),
                shown=r"Z \cdot \frac{2\,\varepsilon^{m+1}}{(1 - \varepsilon)\, E} = "
                r"\frac{2\,\varepsilon^{m+1}\, \big(1 + 2 \sum_{n=1}^{M} "
                r"\varepsilon^{n^2}\big)}{(1 - \varepsilon) \sum_{n=0}^{M} (2n "
                r"+ 1)\, b_n}",
                where={
                    "Z": 1 + 2 * Sum(e ** (n**2), (n, 1, M)),
                    "E": Sum((2 * n + 1) * TERM, (n, 0, M)),
                    "b_n": TERM,
                },
            ),
            Step(
                r"The leading constant: all but the two numbers $a_{\pm(m+1)}$ at "
                r"$i = \pm(m+1)$ adds up to at most $2\varepsilon^{m+1} / E$ times $(Z "
                r"- 1) + Z \varepsilon / (1 - \varepsilon)$, and $Z \le 1 + "
                r"2\varepsilon + 2\varepsilon^2 + \dots$; that factor vanishes with "
                r"$\varepsilon$.",
                Tends(
                    normaliser - 1 + normaliser * e / (1 - e), e, Integer(0), Integer(0)
                ),
            ),
            Step(
                r"By Leibniz again $1 - \varepsilon^{2(m+2)} \le |T_{m+1}|\, "
                r"\varepsilon^{-(m+1)(m+2)} \le 1$, and $E \to 1$. So the two numbers "
                r"are $\varepsilon^{m+1}$ each to leading order: $\|r^{(m)}\|_1 / "
                r"\varepsilon^{m+1} \to 2$.",
                Tends(2 * (1 - e ** (2 * (m + 2))), e, Integer(0), Integer(2)),
            ),
            Step(
                "The same from the truncated kernels themselves, for $m = 0, 1, 2$ "
                r"and $0 \le i \le m + 3$: $r^{(m)}_i = (-1)^m\, \varepsilon^{m+1}\, "
                r"[\,|i| = m + 1\,] + O(\varepsilon^{m+2})$. Up to the order "
                r"$\varepsilon^{m+1}$ nothing is left but these two numbers:",
                Every([
                    leaves(rings, place, (-1) ** rings * int(place == rings + 1))
                    for rings in range(3)
                    for place in range(rings + 4)
                ]),
                shown=r"\lim_{\varepsilon \to 0} \frac{r^{(0)}_1}{\varepsilon} = 1, "
                r"\quad \lim_{\varepsilon \to 0} "
                r"\frac{r^{(1)}_2}{\varepsilon^2} = -1, \quad \lim_{\varepsilon "
                r"\to 0} \frac{r^{(2)}_3}{\varepsilon^3} = 1",
                where={
                    **{
                        f"r^{{({rings})}}_{rings + 1}": leaves(
                            rings, rings + 1, 0
                        ).expression
                        * e ** (rings + 1)
                        for rings in range(3)
                    }
                },
            ),
            Step(
                r"More axes: the factors multiply, and so do what they give, $\delta + "
                r"r$ each. The product less $\delta$ is at most $(1 + \eta)^d - 1$, "
                r"$\eta = \|r^{(m)}\|_1$; to leading order it is $r$ along one axis "
                r"and $\delta$ along the others, at different places for different "
                r"axes. So the constant is $2d$.",
                Tends(((1 + eta) ** d - 1) / eta, eta, Integer(0), d),
            ),
            Step(
                r"Through a kernel this leaves at most $\|W\|_1 \|X\|_\infty$ times as "
                "much (see the first-order error). Without rings, and with the factor "
                r"one in place of $Z a_0$, the leak is lost twice, at the target and "
                r"elsewhere: $4 d \varepsilon$. Already $Z a_0$ halves that; here "
                "one axis, target and neighbours.",
                Equal(
                    (Abs(1 / (1 + 2 * e) - 1) + 2 * e / (1 + 2 * e)),
                    4 * e / (1 + 2 * e),
                ),
                shown=r"\left|\frac{1}{1 + 2\varepsilon} - 1\right| + "
                r"\frac{2\varepsilon}{1 + 2\varepsilon} = "
                r"\frac{4\varepsilon}{1 + 2\varepsilon}",
            ),
        ),
        controls=(
            Control(
                "Factors that do not change their sign: one ring then leaves the "
                "first order.",
                leaves(1, 1, 0, sign=-1),
                shown=r"\lim_{\varepsilon \to 0} \frac{r^{(1)}_1}{\varepsilon^2} = 0",
                where={"r^{(1)}_1": leaves(1, 1, 0, sign=-1).expression * e**2},
            ),
            Control(
                "Half the constant.",
                Tends(2 * (1 - e ** (2 * (m + 2))), e, Integer(0), Integer(1)),
            ),
            Control(
                "A sum that is symmetric about zero instead of minus one half.",
                Equal(*(s.subs(e, 1 / (1 + past)) for s in (TERM.subs(n, -n), -TERM))),
                shown=r"(-1)^{-n} \varepsilon^{-n(1-n)} = -(-1)^n \varepsilon^{n(n+1)}",
                where={r"\varepsilon": 1 / (1 + past)},
            ),
            Control(
                "The constant does not depend on the number of axes.",
                Tends(((1 + eta) ** 2 - 1) / eta, eta, Integer(0), Integer(1)),
            ),
        ),
        scope=r"All $\alpha > 0$, any number of rings and axes: the inverse and the "
        "bound on infinite grids. The leading constant as the strength grows.",
        formulas=formulas,
        remarks=(
            (
                "On a finite canvas the same holds at queries from which all heads aim "
                r"at least $D$ pixels inside the borders, up to the order "
                r"$\varepsilon^{(D+1)^2}$ of what the canvas lacks. At the borders the "
                "normalisers are others, and these factors are wrong."
            ),
            (
                r"The factors grow like $1/E$ as the strength falls: $E \approx 0.61$ "
                r"for $\alpha = 1$ and $3 \cdot 10^{-9}$ for $\alpha = 0.1$. Then "
                "rounding spoils what many rings would gain."
            ),
        ),
    )
