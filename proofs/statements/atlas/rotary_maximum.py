"""Rotary and sinusoidal encodings: a head's score is largest at its center alone."""

from sympy import (
    Abs,
    Expr,
    Function,
    Integer,
    Matrix,
    Rational,
    Sum,
    cos,
    expand_trig,
    pi,
    sin,
    symbols,
)

from proofs.engine import (
    Below,
    Control,
    Equal,
    Every,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import expressions

F, d = symbols("F d", integer=True, positive=True)
f = symbols("f", integer=True, nonnegative=True)
t, turns = symbols("t n", integer=True, nonzero=True)
delta, Delta, m, n, angle, x = symbols("delta Delta m k theta x", real=True)
spare, R = symbols("g R", nonnegative=True)
q, k = (Matrix(symbols(f"{name}_1:3", real=True)) for name in "qk")
theta, miss = Function("theta", real=True), Function("x", real=True)

FORMULAS = {
    "score": Formula(
        (F, delta, Delta, theta),
        Sum(cos((delta - Delta) * theta(f)), (f, 0, F - 1)),
        "the score of a head with center Δ, in units of its strength",
    ),
    "frequency": Formula(
        (f, d), Integer(10000) ** (-2 * f / d), "θ, for a head of dimension d"
    ),
    "fall": Formula(
        (F, n, theta),
        Sum(1 - cos(n * theta(f)), (f, 0, F - 1)),
        "by how much a key is behind whose position misses the center by n",
    ),
}

# Where the least fall within 64 tokens is, and between which two thousandths.
GAPS = {8: (63, 208, 209), 64: (1, 1083, 1084)}
TOKENS, FEW = 64, 4


def _turn(by: Expr) -> Matrix:
    return Matrix([[cos(by), -sin(by)], [sin(by), cos(by)]])


def _encoding(position: Expr) -> Matrix:
    return Matrix([sin(position * angle), cos(position * angle)])


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    score, frequency, fall = expressions(formulas)
    one_pair = score.subs(F, 1).doit().subs(theta(0), angle)

    one_fall = fall.subs(F, 1).doit()

    def behind(dimension: int, pairs: int, miss_by: int) -> Expr:
        usual = (frequency.subs({d: dimension, f: i}) for i in range(pairs))
        return sum(one_fall.subs({theta(0): value, n: miss_by}) for value in usual)

    def gaps(dimension: int) -> Every:
        nearest, low, high = GAPS[dimension]
        least = behind(dimension, dimension // 2, nearest)
        others = (
            behind(dimension, FEW, miss_by)
            for miss_by in range(1, TOKENS)
            if miss_by != nearest
        )
        thousandths = Rational(low, 1000), Rational(high, 1000)
        above = [Below(thousandths[0], value) for value in (least, *others)]
        return Every([*above, Below(least, thousandths[1])])

    one = Matrix([1, 0])
    query, key_turn = _turn(m * angle) * _turn(Delta * angle) * one, _turn(n * angle)
    turn_back = _turn(-Delta * angle) * _encoding(m)
    difference = {delta: n - m}
    return Statement(
        name="rotary_maximum",
        title="Rotary and sinusoidal scores",
        source="Su et al. (2021), equations 14 to 16; Vaswani et al. (2017), section "
        "3.5; Lambert (1761)",
        words="A head with rotary encodings, a constant query and a constant key, and "
        "one with sinusoids and a linear map, have the same score: a sum of cosines of "
        "the distance from the center. It is largest at the center, and for the usual "
        "frequencies nowhere else on the grid.",
        formula=r"\sum_{f=0}^{F-1} \cos\,((\delta - \Delta)\,\theta_f) \le F, \qquad "
        r"\text{with equality if and only if all}\ (\delta - \Delta)\,\theta_f \in "
        r"2\pi\mathbb{Z}",
        hypotheses=(
            (
                "Rotary encodings turn the two numbers of frequency $f$ by the angle "
                r"$m\,\theta_f$, in the query at position $m$ and in the key at "
                "position $k$. The head's key is $(1, 0)$ for each frequency, and its "
                r"query is $(1, 0)$ turned by $\Delta\,\theta_f$; both are biases."
            ),
            (
                r"A sinusoidal encoding holds $p_m = (\sin m\theta_f, \cos "
                r"m\theta_f)$ for each frequency, and $\delta = k - m$."
            ),
            (
                r"The usual frequencies are $\theta_f = 10000^{-2f/d}$ for $F = d/2$ "
                "pairs; positions and centers are whole numbers."
            ),
            (
                r"$\pi$ is irrational (Lambert, classical), and $\sin$ vanishes at "
                r"the multiples of $\pi$ only."
            ),
        ),
        steps=(
            Step(
                "Turned by $a$ and by $b$, any two vectors have an inner product that "
                "depends on $b - a$ only: rotary scores are relative.",
                Equal(
                    expand_trig((_turn(m) * q).dot(_turn(n) * k)),
                    expand_trig(q.dot(_turn(n - m) * k)),
                ),
                shown=r"R_a q \cdot R_b k = q \cdot R_{b-a} k",
                where={
                    r"R_a q \cdot R_b k": (_turn(m) * q).dot(_turn(n) * k),
                    r"q \cdot R_{b-a} k": q.dot(_turn(n - m) * k),
                },
            ),
            Step(
                r"With the biases of the head that is a cosine of $\delta - \Delta$ "
                "for each frequency, and the score is their sum.",
                Equal(
                    expand_trig(query.dot(key_turn * one)),
                    expand_trig(one_pair.subs(difference).expand()),
                ),
                shown=r"R_{m\theta} R_{\Delta\theta}\, (1, 0) \cdot R_{k\theta} (1, 0) "
                r"= \cos\,((k - m - \Delta)\,\theta)",
                where={
                    r"R_{m\theta} R_{\Delta\theta}\, (1, 0) \cdot R_{k\theta} (1, 0)": (
                        query.dot(key_turn * one)
                    ),
                    "k": n,
                    r"\theta": angle,
                },
            ),
            Step(
                r"Sinusoids: the encoding of $m + \Delta$ is that of $m$, turned the "
                "other way round, so a head knows it by a linear map, ...",
                Equal(
                    turn_back.applyfunc(expand_trig),
                    _encoding(m + Delta).applyfunc(lambda e: expand_trig(e.expand())),
                ),
                shown=r"R_{-\Delta\theta}\, p_m = p_{m+\Delta}",
                where={
                    r"R_{-\Delta\theta}\, p_m": turn_back.applyfunc(expand_trig),
                    r"p_{m+\Delta}": _encoding(m + Delta).applyfunc(
                        lambda entry: expand_trig(entry.expand())
                    ),
                },
            ),
            Step(
                "... and its inner product with the encoding of the key is the same "
                "cosine.",
                Equal(
                    expand_trig(turn_back.dot(_encoding(n))),
                    expand_trig(one_pair.subs(difference).expand()),
                ),
                shown=r"p_{m+\Delta} \cdot p_k = \cos\,((k - m - \Delta)\,\theta)",
                where={
                    r"p_{m+\Delta} \cdot p_k": _encoding(m + Delta).dot(_encoding(n)),
                    "k": n,
                    r"\theta": angle,
                },
            ),
            Step(
                "At the center the score is $F$. Elsewhere it is behind by a sum over "
                "the frequencies, ...",
                Equal(F - score, fall.subs(n, delta - Delta)),
            ),
            Step(
                "... each term of which is twice the square of a sine.",
                Equal(
                    one_fall.subs({n: 1, theta(0): x}),
                    2 * sin(x / 2) ** 2,
                ),
            ),
            Step(
                r"Such a sum is never negative, and zero only if all sines are, that "
                r"is if all angles are multiples of $2\pi$.",
                Nonnegative(Sum(2 * sin(miss(f) / 2) ** 2, (f, 0, F - 1))),
            ),
            Step(
                r"The first of the usual frequencies is one.",
                Equal(frequency.subs(f, 0), 1),
                shown=r"\theta_0 = 10000^{-2 \cdot 0 / d} = 1",
                where={r"\theta_0": frequency.subs(f, 0)},
            ),
            Step(
                r"A whole number $t \ne 0$ is no multiple of $2\pi$: not $0$, and not "
                r"$2\pi n$ with $n \ne 0$, which is irrational. So the maximum is "
                "unique, on every grid.",
                Every([Positive(Abs(t)), Positive(Abs(t - 2 * pi * turns))]),
            ),
            Step(
                r"On a grid of $N$ tokens the least fall is a gap $\gamma > 0$. With "
                r"the strength $\alpha / \gamma$ all other keys weigh at most "
                r"$e^{-\alpha}$ times the target, $R \le (N - 1)\, e^{-\alpha}$ "
                "together, and they get no more than that; here $g$ is what is "
                "missing.",
                Nonnegative((R + spare) - (1 - 1 / (1 + R)), spare + R**2 / (1 + R)),
                shown=r"R + g - \frac{R}{1 + R} = g + \frac{R^2}{1 + R} \ge 0",
            ),
            *(
                Step(
                    rf"The gap within {TOKENS} tokens along an axis, for a head of "
                    f"dimension {dimension} there, in interval arithmetic: the least "
                    f"fall is at distance {nearest}, and at all others the first "
                    f"{FEW} frequencies fall by more.",
                    gaps(dimension),
                    shown=rf"{low / 1000} < \gamma_{{{dimension}}} < {high / 1000}",
                    where={
                        rf"\gamma_{{{dimension}}}": behind(
                            dimension, dimension // 2, nearest
                        )
                    },
                )
                for dimension, (nearest, low, high) in GAPS.items()
            ),
        ),
        controls=(
            Control(
                "The sign of the center.",
                Equal(one_pair, one_pair.subs(Delta, -Delta)),
            ),
            Control(
                "Query and key turned opposite ways: the score is not relative.",
                Equal((_turn(m) * q).dot(_turn(-n) * k), q.dot(_turn(n - m) * k)),
                shown=r"R_a q \cdot R_{-b} k = q \cdot R_{b-a} k",
                where={
                    r"R_a q \cdot R_{-b} k": (_turn(m) * q).dot(_turn(-n) * k),
                    r"q \cdot R_{b-a} k": q.dot(_turn(n - m) * k),
                },
            ),
            Control(
                r"Frequencies that are multiples of $2\pi$: whole numbers are told "
                "apart.",
                Positive(one_fall.subs({n: t, theta(0): 2 * pi})),
                shown=r"1 - \cos 2\pi t > 0",
            ),
            Control(
                "The least fall of a head of dimension 8 is at the next token.",
                Below(behind(8, 4, 1), behind(8, 4, 63)),
                shown=r"\sum_{f=0}^{3} (1 - \cos \theta_f) < \sum_{f=0}^{3} (1 - \cos "
                r"63\,\theta_f)",
                where={
                    r"\sum_{f=0}^{3} (1 - \cos \theta_f)": behind(8, 4, 1),
                    r"\sum_{f=0}^{3} (1 - \cos 63\,\theta_f)": behind(8, 4, 63),
                },
            ),
        ),
        scope="Any number of frequencies, all positions; the usual frequencies for "
        f"every dimension. Gaps: dimensions 8 and 64, one axis, {TOKENS} tokens.",
        formulas=formulas,
        remarks=(
            (
                "More axes have dimensions of their own, and their falls add up: the "
                "gap is the least of the axes'."
            ),
            (
                "The gap is not bounded below for all canvases at once: by Dirichlet's "
                "theorem some $t$ takes finitely many angles as near to multiples of "
                r"$2\pi$ as one likes. So the strength grows with the canvas."
            ),
        ),
    )
