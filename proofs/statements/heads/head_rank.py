"""A head carries a matrix of rank at most its dimension; what a smaller one costs."""

from itertools import product

from sympy import (
    Expr,
    Function,
    Integer,
    KroneckerDelta,
    Matrix,
    Min,
    Sum,
    eye,
    sqrt,
    symbols,
)

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Statement,
    Step,
)
from proofs.lemmas import expressions

C, O, D, r, m = symbols("C O D r m", integer=True, positive=True)
before, after = symbols("a b", integer=True, nonnegative=True)
i, j, k, l = symbols("i j k l", integer=True)
x, y, z, u, v, w = (Function(name, real=True) for name in "xyzuvw")
value, output, M = (Function(name, real=True) for name in ("W_val", "W_out", "M"))
sigma = Function("sigma", nonnegative=True)
excess = Function("g", nonnegative=True)
cut = symbols("sigma", nonnegative=True)  # σ_{D+1}

FORMULAS = {
    "rank": Formula(
        (D, C, O),
        Min(D, C, O),
        "the largest rank of a head's matrix, D dimensions, C channels, O outputs",
    ),
    "tail": Formula(
        (sigma, D, r),
        Sum(sigma(i) ** 2, (i, D + 1, r)),
        "the squared Frobenius error of a tap with r singular values",
    ),
}

# Output j is channel j one, none or minus one pixel to the right.
SHIFTS = [
    Matrix(3, 3, lambda row, column, t=t: int(row == column == t)) for t in range(3)
]


def _minor(dimension: int, size: int) -> Expr:
    """Return the leading minor of the product of two general projections."""
    left = Matrix(size, dimension, symbols(f"v_1:{size * dimension + 1}"))
    right = Matrix(dimension, size, symbols(f"o_1:{size * dimension + 1}"))
    return (left * right).det(method="berkowitz")


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    rank, tail = expressions(formulas)
    sizes = list(product(range(1, 4), repeat=3))
    ranks = [(eye(c, d) * eye(d, out)).rank() for d, c, out in sizes]
    stated = [rank.subs(dict(zip((D, C, O), size, strict=True))) for size in sizes]
    through = Sum(value(i, l) * output(l, j), (l, 1, D))
    taps = Sum(KroneckerDelta(k, before + 1) * M(k), (k, 1, before + after + 1))
    vector = [Sum(y(index) * w(index, j), (index, 1, r)) for index in (i, k)]
    gram = Sum(w(i, j) * w(k, j), (j, 1, O))
    weighted = ((cut + excess(i)) ** 2 - cut**2) * z(i) ** 2
    rest = tail.subs(r, D + m)
    norm = Sum((sigma(D + i) + excess(i)) ** 2, (i, 1, m))
    minors = [_minor(d, d + 1) for d in (1, 2)]
    return Statement(
        name="head_rank",
        title="The dimension of a head",
        source="Cordonnier, Loukas, Jaggi (2020), Theorem 1; Eckart and Young (1936); "
        "Weyl (1912)",
        words="A head carries a matrix of rank at most its dimension. So one-hot "
        "heads, one for each tap, compute a convolution exactly if and only if "
        "no tap has a larger rank; a smaller dimension costs the singular "
        "values that it cuts off, and no other choice of the projections costs "
        "less.",
        formula=r"\min_{\operatorname{rank} M \le D} \|W - M\|_F^2 = "
        r"\sum_{i > D} \sigma_i(W)^2, \qquad "
        r"\min_{\operatorname{rank} M \le D} \|W - M\|_2 = \sigma_{D+1}(W)",
        hypotheses=(
            (
                r"A head's matrix is $M = W_{val} W_{out}$, with $W_{val}$ of $C$ rows "
                "and $D$ columns and $W_{out}$ of $D$ rows and $O$ columns; inputs are "
                "rows, $x \\mapsto xM$."
            ),
            (
                "Heads are one-hot at pixels of the canvas, one a tap (the limit of "
                "large strengths), and every tap reads a pixel of the image at some "
                "query."
            ),
            (
                r"Every matrix has singular values $\sigma_1 \ge \sigma_2 \ge \dots$: "
                r"$W = \sum_i \sigma_i u_i^T v_i$ with orthonormal rows $u_i$ and "
                "$v_i$, and rank as many as are not zero. $D$ linear equations in "
                "$D + 1$ unknowns have a solution other than zero; "
                "$\\operatorname{rank}(A + B) \\le \\operatorname{rank} A + "
                "\\operatorname{rank} B$."
            ),
        ),
        steps=(
            Step(
                r"A head sees $x$ through the $D$ numbers $x W_{val}$ only. So $xM$ "
                r"lies in the span of the $D$ rows of $W_{out}$, and "
                r"$\operatorname{rank} M \le \min(D, C, O)$.",
                Equal(
                    Sum(x(i) * through, (i, 1, C)),
                    Sum(Sum(x(i) * value(i, l), (i, 1, C)) * output(l, j), (l, 1, D)),
                ),
            ),
            Step(
                "The bound is attained: projections with ones on the diagonal "
                r"compose to $\min(D, C, O)$ ones on the diagonal. Here the ranks for "
                "all sizes up to 3.",
                Equal(Matrix(ranks), Matrix(stated)),
                shown=r"\operatorname{rank}(I_{C \times D}\, I_{D \times O}) = "
                r"\min(D, C, O)",
                where={
                    r"\operatorname{rank}(I_{C \times D}\, I_{D \times O})": Matrix(
                        ranks
                    ),
                    r"\min(D, C, O)": Matrix(stated),
                },
            ),
            Step(
                r"Conversely a tap of rank at most $D$ fits in a head: "
                r"$\sqrt{\sigma_i}\,u_i$ as columns of $W_{val}$ and "
                r"$\sqrt{\sigma_i}\,v_i$ as rows of $W_{out}$, the others zero.",
                Equal(
                    Sum(
                        sqrt(sigma(l)) * u(l, i) * (sqrt(sigma(l)) * v(l, j)), (l, 1, D)
                    ),
                    Sum(sigma(l) * u(l, i) * v(l, j), (l, 1, D)),
                ),
                shown=r"\sum_{l=1}^{D} \left(\sqrt{\sigma_l}\, u_{l,i}\right) "
                r"\left(\sqrt{\sigma_l}\, v_{l,j}\right) = "
                r"\sum_{l=1}^{D} \sigma_l\, u_{l,i}\, v_{l,j}",
            ),
            Step(
                r"An input that is zero but for the pixel of one tap $\Delta$ reaches "
                "the head of that tap and no other. So the heads compute the "
                r"convolution if and only if $M_\Delta = W_\Delta$ for every tap, "
                r"that is, if and only if $\max_\Delta \operatorname{rank} W_\Delta "
                r"\le D$. Here tap $a + 1$ of $a + b + 1$.",
                Equal(taps.doit(), M(before + 1)),
                shown=r"\sum_{k=1}^{a+b+1} [k = a + 1]\, M_k = M_{a+1}",
                where={"b": after},
            ),
            Step(
                r"Any head that is as wide as its inputs or its outputs is wide "
                r"enough, for every convolution: the bound is then $\min(C, O)$, the "
                "largest rank of any tap. With the outputs this is Theorem 1.",
                Equal(
                    Matrix([rank.subs(D, O + before), rank.subs(D, C + before)]),
                    Matrix([Min(C, O), Min(C, O)]),
                ),
                shown=r"\min(O + a, C, O) = \min(C + a, C, O) = \min(C, O)",
            ),
            Step(
                "No smaller dimension fits every convolution: with more than $D$ "
                "channels and outputs, $D + 1 + a$ and $D + 1 + b$, a head still "
                "carries rank $D$, and a tap with ones on the diagonal has rank $D + "
                "1$ or more.",
                Equal(rank.subs({C: D + 1 + before, O: D + 1 + after}), D),
                shown=r"\min(D,\, D + 1 + a,\, D + 1 + b) = D",
                where={"a": before, "b": after},
            ),
            Step(
                "But few outputs are not necessary. The convolution that moves each "
                "of three channels its own way has three outputs, taps of rank one "
                "and a kernel of rank three: heads of dimension one compute it.",
                Equal(
                    Matrix([*(t.rank() for t in SHIFTS), Matrix([SHIFTS]).rank()]),
                    Matrix([1, 1, 1, 3]),
                ),
                shown=r"\operatorname{rank} W_\Delta = 1, \qquad "
                r"\operatorname{rank}\,(W_{-1}\; W_0\; W_1) = 3",
                where={
                    r"\operatorname{rank} W_\Delta": Integer(SHIFTS[0].rank()),
                    r"\operatorname{rank}\,(W_{-1}\; W_0\; W_1)": Integer(
                        Matrix([SHIFTS]).rank()
                    ),
                },
            ),
            Step(
                r"Squared lengths: $\|\sum_i y_i w_i\|^2 = \sum_{i,k} y_i y_k\, "
                r"w_i \cdot w_k$, and that is $\sum_i y_i^2$ for orthonormal $w_i$. So "
                r"$\|zW\|^2 = \sum_i \sigma_i^2 z_i^2$ for $z = \sum_i z_i u_i$; "
                r"and, as the matrices $u_i^T v_i$ are orthonormal too, cutting $W$ "
                r"off after $\sigma_D$ costs $\sum_{i > D} \sigma_i^2$ in the squared "
                "Frobenius norm.",
                Equal(
                    Sum(vector[0] * vector[1], (j, 1, O)),
                    Sum(Sum(y(i) * y(k) * gram, (i, 1, r)), (k, 1, r)),
                ),
            ),
            Step(
                r"No $M$ of rank $D$ or less comes closer than $\sigma_{D+1}$ in the "
                r"spectral norm: among the combinations of $u_1, \dots, u_{D+1}$ there "
                r"is a unit vector $z$ with $zM = 0$, so $\|W - M\| \ge \|zW\|$; and "
                r"$\sum_i \sigma_i^2 z_i^2 - \sigma_{D+1}^2 \ge 0$, here with "
                r"$\sigma_i = \sigma + g_i$, $\sigma = \sigma_{D+1}$ and "
                r"$\sum_i z_i^2 = 1$. Cutting off attains it.",
                Nonnegative(
                    Sum(weighted, (i, 1, D + 1)),
                    Sum(
                        (excess(i) ** 2 + 2 * cut * excess(i)) * z(i) ** 2,
                        (i, 1, D + 1),
                    ),
                ),
            ),
            Step(
                r"The tail has $m = r - D$ terms.",
                Equal(Sum(sigma(D + i) ** 2, (i, 1, m)), rest),
            ),
            Step(
                r"Nor in the Frobenius norm. Let $B = W - M$, and $B_{i-1}$ be $B$ cut "
                r"off after $i - 1$ singular values. $M + B_{i-1}$ has rank "
                r"$D + i - 1$ or less, so by the bound before "
                r"$\sigma_i(B) = \|W - (M + B_{i-1})\| \ge \sigma_{D+i}(W)$ (Weyl). "
                r"With $\sigma_i(B) = \sigma_{D+i} + g_i$, "
                r"$\|B\|_F^2 = \sum_i \sigma_i(B)^2$ is at least the tail.",
                Nonnegative(
                    norm - rest,
                    Sum(excess(i) ** 2 + 2 * sigma(D + i) * excess(i), (i, 1, m)),
                ),
            ),
            Step(
                "A check of the first step: the minor of size $D + 1$ vanishes, here "
                "for $D = 1, 2$.",
                Equal(Matrix(minors), Matrix([0, 0])),
                shown=r"\det\,(W_{val} W_{out})_{D+1} = 0",
                where={r"\det\,(W_{val} W_{out})_{D+1}": minors[0]},
            ),
        ),
        controls=(
            Control("Minors of size $D$ vanish too.", Equal(_minor(2, 2), Integer(0))),
            Control(
                "Heads need a dimension as large as the number of outputs.",
                Equal(Integer(max(tap.rank() for tap in SHIFTS)), Integer(3)),
                shown=r"\max_\Delta \operatorname{rank} W_\Delta = 3",
                where={
                    r"\max_\Delta \operatorname{rank} W_\Delta": Integer(
                        SHIFTS[0].rank()
                    )
                },
            ),
            Control(
                r"The largest singular value instead of $\sigma_{D+1}$.",
                Nonnegative(
                    Sum(
                        ((cut - excess(i)) ** 2 - cut**2) * z(i) ** 2,
                        (i, 1, 2),
                    )
                ),
            ),
            Control(
                "The tail begins one singular value early.",
                Equal(Sum(sigma(D + i) ** 2, (i, 0, m)), rest),
            ),
        ),
        scope="All numbers of channels, outputs, taps and all head dimensions; the "
        "minors and the attained ranks are checked for the sizes named.",
        formulas=formulas,
        formal={
            "rank_suffices": "a matrix is a product through as many dimensions as "
            "it has rank",
            "rank_needed": "and through no fewer",
        },
        informal="that one-hot heads, one a tap, are exact only then; what a "
        "smaller dimension costs (Eckart and Young)",
        remarks=(
            (
                r"Theorem 1 asks for $\min(D_h, D_{out})$ output channels. That is "
                "sufficient, as is the same number of input channels, but not "
                "necessary; the exact condition is that on the ranks of the taps."
            ),
            (
                "Several one-hot heads at one tap act as one head whose dimension is "
                r"the sum of theirs, so $\lceil \operatorname{rank} W_\Delta / D "
                r"\rceil$ heads at each tap are necessary and sufficient."
            ),
            "With groups of channels all of this holds group by group.",
        ),
    )
