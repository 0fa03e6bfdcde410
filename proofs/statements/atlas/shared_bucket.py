"""Displacements of one bucket share their bias, so nothing tells them apart."""

from sympy import (
    Abs,
    Expr,
    Function,
    Integer,
    Matrix,
    S,
    Sum,
    ceiling,
    diff,
    exp,
    floor,
    log,
    sqrt,
    symbols,
)

from proofs.engine import (
    Below,
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
from proofs.lemmas import (
    exchange_noticed,
    exchanged,
    expressions,
    half_is_lost,
    two_split_off,
    with_two_more,
)

E, J, M, d = symbols("E J M d", positive=True)
n, C, N, g = symbols("n C N g", integer=True, positive=True)
p, r, j = symbols("p r j", integer=True, nonnegative=True)
k, c = symbols("k c", integer=True)
a, b, w = symbols("a b w", real=True)
e, alpha = symbols("varepsilon alpha", positive=True)
bucket, other = symbols("u u'", integer=True)
x, s, v, table = (Function(name, real=True) for name in "xsvt")
place = Function("u", integer=True)
A, D, X, Y = (Function(name, real=True) for name in "ADXY")
T5 = {E: Integer(8), J: Integer(8), M: Integer(128)}
SIDE, ALONE = 16, 8

FORMULAS = {
    "far": Formula(
        (E, J, M, d),
        E + floor(J * log(d / E) / log(M / E)),
        "the bucket of a distance from E to M, on one side",
    ),
    "attended": Formula(
        (n, table, place, x, s, v),
        Sum(exp(s(x(k)) + table(place(k))) * v(x(k)), (k, 1, n))
        / Sum(exp(s(x(k)) + table(place(k))), (k, 1, n)),
        "what a query gets from n tokens, with content scores and a bias a bucket",
    ),
    "found": Formula(
        (e, g, N),
        1 / (g + (N - g) * e),
        "attention to each of the g keys of one bucket that is preferred to the others",
    ),
    "bound": Formula(
        (C, A, D, X, Y),
        Abs(Sum((A(c) - D(c)) * (X(c) - Y(c)), (c, 1, C))) / 2,
        "half of what a convolution with taps A and D makes of exchanging X and Y",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    far, attended, attention, bound = expressions(formulas)
    (steps,) = (part.args[0].subs(T5) for part in far.atoms(floor))

    def steps_to(distance: Expr) -> Expr:
        """Return how many buckets a distance is beyond that of eight, not rounded."""
        return steps.subs(d, distance)

    def apart(layer: Expr, second: Expr = bucket) -> Expr:
        """Let n + 2 tokens be n and two more, a in bucket u and b in another."""
        split = with_two_more(layer, k, n)
        split = split.subs({place(n + 1): bucket, place(n + 2): second})
        return split.subs({x(n + 1): a, x(n + 2): b})

    begins = 8 * 2 ** (j / 2)
    return Statement(
        name="shared_bucket",
        title="Buckets of displacements",
        source="Raffel et al. (2020), T5: 32 buckets, largest distance 128, "
        "bidirectional",
        words="Displacements of up to seven tokens on either side each have a bucket "
        "of their own, so heads find their keys and every kernel of that reach is "
        "within reach. From eight on all buckets are shared, the first by 8, 9, 10 and "
        "11: where two of them are pixels, exchanging them goes unnoticed, content "
        "scores notwithstanding, and every kernel that weighs them differently is out "
        "of reach.",
        formula=r"u(\delta) = |\delta| \ (|\delta| \le 7), \qquad u(\delta) = 8 + "
        r"\left\lfloor 2 \log_2 \tfrac{|\delta|}{8} \right\rfloor \ (8 \le |\delta| < "
        r"128), \qquad + 16 \text{ if } \delta > 0",
        hypotheses=(
            (
                r"The score of a key is $s + t(u(\delta))$: $s$ depends on the "
                r"tokens at query and key only, $t$ is a table with one number a "
                "bucket, for each head its own. Values depend on the token only."
            ),
            (
                r"Buckets as in T5: of the $16$ of one side, $E = 8$ hold a distance "
                r"each and $J = 8$ the distances from $E$ to $M = 128$, evenly in the "
                r"logarithm: $E + \lfloor J \log(d/E) / \log(M/E) \rfloor$. The last "
                "one never ends. Keys after the query have $16$ added."
            ),
            "One axis. The logarithm rises.",
        ),
        steps=(
            Step(
                "With these numbers the logarithm is taken to the base $2$, twice, ...",
                Equal(steps, 2 * log(d / 8) / log(2)),
            ),
            Step(
                "... and it rises: distances share a bucket if no whole number is "
                "passed between them.",
                Positive(diff(steps, d)),
            ),
            Step(
                r"The number $j$ is passed at $8 \cdot 2^{j/2}$, ...",
                Equal(steps_to(begins), j),
            ),
            Step(
                r"... that is by the first whole number with $d^2 \ge 64 \cdot 2^j$, "
                r"here for $j = 0, \dots, 7$.",
                Equal(
                    Matrix([[ceiling(begins.subs(j, i)) for i in range(8)]]),
                    Matrix([[8, 12, 16, 23, 32, 46, 64, 91]]),
                ),
                shown=r"\lceil 8 \cdot 2^{j/2} \rceil = 8, 12, 16, 23, 32, 46, 64, 91",
                where={
                    r"\lceil 8 \cdot 2^{j/2} \rceil": Matrix([
                        [ceiling(begins.subs(j, i)) for i in range(8)]
                    ]),
                    "8, 12, 16, 23, 32, 46, 64, 91": Matrix([
                        [8, 12, 16, 23, 32, 46, 64, 91]
                    ]),
                },
            ),
            Step(
                "Distances from eight on are in buckets from $8$ on, ...",
                Nonnegative(steps_to(8 + p), 2 * log(1 + p / 8) / log(2)),
            ),
            Step(
                "... so $7$, which is in bucket $7$, does not share with $8$; nor do "
                "any two distances up to $7$. Nor do the two sides: a key $p + 1$ "
                "after the query is beyond one $7 - r$ before it.",
                Positive(SIDE + (p + 1) - (ALONE - 1 - r)),
                shown="(16 + p + 1) - (7 - r) = p + r + 10 > 0",
            ),
            Step(
                r"But $8$ and $9$ do share, the first pair of all: $(9/8)^8 < 16$.",
                Below(steps_to(Integer(9)), S.One),
            ),
            Step("So do $10$ and $11$, ...", Below(steps_to(Integer(11)), S.One)),
            Step("... while $12$ is beyond.", Below(S.One, steps_to(Integer(12)))),
            Step(
                r"No distance beyond seven is alone: bucket $8 + j$ holds the whole "
                r"numbers from $8 \cdot 2^{j/2}$ on to before $8 \cdot 2^{(j+1)/2}$, "
                r"an interval no shorter than $8\,(\sqrt{2} - 1)$, at least three.",
                Below(Integer(3), 8 * (sqrt(2) - 1)),
            ),
            Step(
                r"Reach of seven: a head with $t = \alpha$ on one bucket and "
                r"zero elsewhere gives each of its $g$ keys $1/(g + (N - g)\,"
                r"\varepsilon)$ of its attention, $\varepsilon = e^{-\alpha}$, ...",
                Equal(
                    exp(alpha) / (g * exp(alpha) + (N - g)),
                    attention.subs(e, exp(-alpha)),
                ),
            ),
            Step(
                "... all of it if there is one: with a head for each tap the layer "
                "tends to the convolution.",
                Tends(attention.subs(g, 1), e, S.Zero, S.One),
            ),
            two_split_off(
                "Reach of eight or more: number the tokens so that the two of one "
                "bucket come last, and split them off."
            ),
            Step(
                "Their contents $a$ and $b$ change places: content scores and values "
                "move along, and the bias is the same. Nothing changes for the query.",
                Equal(exchanged(apart(attended), a, b), apart(attended)),
                shown=r"\frac{\sum_k e^{s(x_k) + t(u_k)}\, v(x_k) + e^{s(b) + t(u)}\, "
                r"v(b) + e^{s(a) + t(u)}\, v(a)}{\sum_k e^{s(x_k) + t(u_k)} + "
                r"e^{s(b) + t(u)} + e^{s(a) + t(u)}} = \frac{\sum_k e^{s(x_k) + "
                r"t(u_k)}\, v(x_k) + e^{s(a) + t(u)}\, v(a) + e^{s(b) + t(u)}\, "
                r"v(b)}{\sum_k e^{s(x_k) + t(u_k)} + e^{s(a) + t(u)} + e^{s(b) "
                "+ t(u)}}",
                where={r"\sum_k": (k, 1, n), "u": bucket, "u_k": place(k)},
            ),
            exchange_noticed(),
            half_is_lost(bound.replace(Sum, lambda *_: w), w, r"\gamma"),
            Step(
                r"A kernel of reach eight has $A = W_8 \ne 0$ and $D = W_9 = 0$: with "
                "$X = 1$, $Y = -1$ every setting errs by $|W_8|$ or more, if the "
                "pixels $q + 8$ and $q + 9$ are both on the image, that is on images "
                "of ten pixels or more.",
                Equal(
                    bound.subs(C, 1).doit().subs({D(1): 0, A(1): a, X(1): 1, Y(1): -1}),
                    Abs(a),
                ),
                shown=r"\tfrac{1}{2}\,|(W_8 - 0)(1 + 1)| = |W_8|",
                where={"W_8": a},
            ),
            Step(
                "The exception: $g$ keys of one bucket that should weigh alike, or of "
                "which all but one hold zeros. A head on the bucket tends to their "
                r"mean, and $g$ times its value to their sum.",
                Tends(g * attention, e, S.Zero, S.One),
            ),
        ),
        controls=(
            Control("$7$ and $8$ share.", Nonnegative(steps_to(Integer(7)))),
            Control("$12$ shares with $8$.", Below(steps_to(Integer(12)), S.One)),
            Control(
                "The logarithm of the distance itself: $9$ would be far from $8$.",
                Below(8 * log(9) / log(128), S.One),
            ),
            Control(
                "The logarithm to the base $M$ instead of $M/E$: $12$ would share with "
                "$8$.",
                Below(S.One, 8 * log(Integer(12) / 8) / log(128)),
            ),
            Control(
                "A head finds one of four keys of a bucket.",
                Tends(attention.subs(g, 4), e, S.Zero, S.One),
            ),
            Control(
                "Two keys of different buckets.",
                Equal(exchanged(apart(attended, other), a, b), apart(attended, other)),
            ),
            Control(
                "One bucket for both sides: not with the $16$ that are added.",
                Equal(SIDE + (p + 1), p + 1),
            ),
        ),
        scope=r"The bucket formula with $32$ buckets and the distance $128$, in exact "
        "arithmetic; sharing for any table, number of keys, heads and channels, any "
        "content scores and values.",
        formulas=formulas,
        formal={
            "shared_encoding_exchanged": "two tokens of one encoding: exchanging "
            "them is not noticed, and every setting of the parameters errs by half "
            "of what the convolution makes of it",
            "shared_encoding_exact": "so only kernels that weigh the two alike can "
            "be computed",
        },
        informal="content scores of other forms; the formula of the buckets, and "
        "the reach of seven",
        remarks=(
            (
                "On an image of nine pixels a kernel of reach eight is not out of "
                r"reach: at the only query where tap $8$ reads a pixel, the keys at "
                r"$9$, $10$ and $11$ are zero tokens, and a head with four times the "
                "value makes up for them."
            ),
            (
                "Nor are kernels out of reach that are constant on each shared bucket, "
                r"such as one with $W_8 = W_9 = W_{10} = W_{11}$ and a ring of zero "
                "tokens."
            ),
            (
                "In floating point the quotient of logarithms may round to just below "
                "a whole number where it is one, at $16$, $32$ and $64$: whole numbers "
                "are compared exactly."
            ),
        ),
    )
