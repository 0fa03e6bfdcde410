"""How many heads a convolution needs: the dimension of the span of its taps."""

from collections.abc import Sequence

from sympy import (
    Determinant,
    Expr,
    Function,
    Identity,
    Integer,
    KroneckerDelta,
    Matrix,
    Min,
    Sum,
    eye,
    symbols,
)

from proofs.engine import Control, Equal, Formula, Formulas, Statement, Step
from proofs.lemmas import LAPLACIAN, SOBEL, expressions, minor, over

H, C, O, Q, N, K, d, g, n = symbols("H C O Q N K d g n", integer=True, positive=True)
i, j, q, k, h, t, l = symbols("i j q k h t l", integer=True)
other = symbols("i' j' q' k'", integer=True)
before, after = symbols("a b", integer=True, nonnegative=True)
A, M, W, T, z = (Function(name, real=True) for name in "AMWTz")
miss = Function("e", integer=True, zero=False)

FORMULAS = {
    "layer": Formula(
        (H, M, A, i, j, q, k),
        Sum(M(h, i, j) * A(h, q, k), (h, 0, H - 1)),
        "what channel i of key k adds to output j of query q",
    ),
    "generic_span": Formula(
        (K, d, C, O, g),
        Min(K**d, C * O / g),
        "the dimension of the span of the taps of almost every kernel, over d axes, "
        "in g groups",
    ),
}

KERNELS = {"Laplacian": [LAPLACIAN], "Sobel": [SOBEL], "both Sobel": [SOBEL, SOBEL.T]}
SIZES = (  # K, d, C, O, g
    (3, 2, 1, 1, 1),
    (3, 2, 2, 2, 1),
    (3, 2, 3, 4, 1),
    (3, 1, 2, 1, 1),
    (2, 3, 4, 4, 2),
    (3, 2, 4, 4, 4),
)


def _span(outputs: Sequence[Matrix]) -> Expr:
    """Return the dimension of the span of the taps of a kernel with one channel."""
    return Integer(Matrix([list(kernel) for kernel in outputs]).rank())


def _minor(layer: Expr, heads: int) -> Expr:
    """Return a minor of size two of a realigned layer: rows (q, k), columns (i, j)."""
    entry = layer.subs(H, heads).doit()
    return minor(entry, {q: other[2], k: other[3]}, {i: other[0], j: other[1]})


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    layer, span = expressions(formulas)

    over_channels, over_pixels = (
        over((i, 1, C), (j, 1, O)),
        over((q, 1, Q), (k, 1, N)),
    )
    stated = [
        span.subs(dict(zip((K, d, C, O, g), size, strict=True))) for size in SIZES
    ]
    units = [eye(taps**axes, c * o // groups) for taps, axes, c, o, groups in SIZES]
    read = Sum(
        KroneckerDelta(t, before + 1) * Sum(W(t, l) * z(l), (l, 1, n)),
        (t, 1, before + after + 1),
    )
    circle = [eye(2), Matrix([[0, 1], [1, 0]]), Matrix([[0, 1], [1, 0]])]
    return Statement(
        name="head_count",
        title="The number of heads",
        source="Cordonnier, Loukas, Jaggi (2020), Theorem 1; the operator Schmidt rank",
        words="The number of heads of a layer whose attention looks at positions "
        "only is at least the dimension that the taps of the convolution span, "
        "even if it only has to come arbitrarily close. One-hot heads need one "
        "for every tap that is not zero.",
        formula=r"H \ge \rho = \dim \operatorname{span}\{W_\delta\}, \qquad "
        r"\rho = \min(K^d,\, C_{in} C_{out} / g)\ \text{for almost every kernel}",
        hypotheses=(
            (
                "The attention maps $A_h$ do not depend on the input, so that the "
                r"layer is $\sum_h A_h \otimes M_h$ up to its bias; the convolution is "
                r"$\sum_\delta S_\delta \otimes W_\delta$, with $S_\delta(q, k) = 1$ "
                "where tap $\\delta$ at query $q$ reads pixel $k$, else $0$."
            ),
            (
                "At some query all taps read pixels of the image, and no two of them "
                "the same."
            ),
            (
                r"Realigned, an operator has a row for each pair $(q, k)$ and a column "
                r"for each pair $(i, j)$ of a channel and an output. Its rank is the "
                "operator Schmidt rank. A rank is the number of unknowns less the "
                "dimension of the null space (rank-nullity); a polynomial that is not "
                "the zero polynomial vanishes on a set of measure zero only."
            ),
        ),
        steps=(
            Step(
                r"One head, realigned, is a column times a row, "
                r"$\operatorname{vec}(A) \operatorname{vec}(M)^T$: every minor of size "
                "two vanishes.",
                Equal(_minor(layer, 1), 0),
                shown=r"A_{qk} M_{ij}\, A_{q'k'} M_{i'j'} - "
                r"A_{q'k'} M_{ij}\, A_{qk} M_{i'j'} = 0",
            ),
            Step(
                r"$H$ heads: a column vector $z$ meets the layer through the $H$ "
                r"numbers $\operatorname{vec}(M_h) \cdot z$ only. The realigned layer "
                r"has rank at most $H$.",
                Equal(
                    over_channels(layer * z(i, j)),
                    Sum(
                        A(h, q, k) * over_channels(M(h, i, j) * z(i, j)), (h, 0, H - 1)
                    ),
                ),
            ),
            Step(
                r"The realigned convolution sends $z$ to $\sum_\delta "
                r"\operatorname{vec}(S_\delta)\, (W_\delta \cdot z)$. At the query of "
                r"the hypothesis that is $W_\delta \cdot z$ for each tap by itself "
                "(here tap $a + 1$ of $a + b + 1$): the shifts are independent, and "
                r"the result is zero only if all $W_\delta \cdot z$ are. So its rank "
                "is that of the unfolding, with a row "
                r"$\operatorname{vec}(W_\delta)^T$ for each tap, that is $\rho$; a "
                r"layer that computes the convolution has $H \ge \rho$.",
                Equal(read.doit(), Sum(W(before + 1, l) * z(l), (l, 1, n))),
                shown=r"\sum_{t=1}^{a+b+1} [t = a + 1] \sum_{l=1}^{n} W_{t,l}\, z_l = "
                r"\sum_{l=1}^{n} W_{a+1,l}\, z_l",
                where={"b": after},
            ),
            Step(
                "Realignment keeps the Frobenius norm: it sums the same entries in "
                r"another order. So a layer of $H < \rho$ heads is at least "
                r"$\sqrt{\sum_{i > H} \sigma_i^2} > 0$ away, with the singular values "
                "of the realigned convolution (Eckart and Young, as for the dimension "
                r"of a head): none comes arbitrarily close, and limits need $\rho$ "
                "heads too.",
                Equal(
                    over_pixels(over_channels(T(i, j, q, k) ** 2)),
                    over_channels(over_pixels(T(i, j, q, k) ** 2)),
                ),
            ),
            Step(
                "The unfolding has $K^d$ rows, and $C_{in} C_{out} / g$ columns that "
                r"need not vanish, so $\rho$ is at most the smaller number. Taps that "
                "are different unit matrices attain it; here for some sizes.",
                Equal(Matrix([unit.rank() for unit in units]), Matrix(stated)),
                shown=r"\operatorname{rank} I_{K^d \times C_{in} C_{out} / g} = "
                r"\min(K^d,\, C_{in} C_{out} / g)",
                where={
                    r"\operatorname{rank} I_{K^d \times C_{in} C_{out} / g}": Matrix([
                        unit.rank() for unit in units
                    ]),
                    r"\min(K^d,\, C_{in} C_{out} / g)": Matrix(stated),
                },
            ),
            Step(
                "For all sizes: the leading minor of as many rows is a polynomial in "
                "the kernel, and one for those unit matrices. It is not the zero "
                "polynomial, so almost every kernel has that rank.",
                Equal(Determinant(Identity(n)).doit(), 1),
                shown=r"\det I_n = 1",
                where={r"\det I_n": Determinant(Identity(n)).doit()},
            ),
            Step(
                r"That is $K^d$ if there are as many pairs of channels, $K^d + a$, ...",
                Equal(span.subs({C: K**d + before, O: 1, g: 1}), K**d),
                shown=r"\min(K^d,\, K^d + a) = K^d",
            ),
            Step(
                "... and one for every kernel with one channel and one output.",
                Equal(span.subs({C: 1, O: 1, g: 1}), 1),
                shown=r"\min(K^d,\, 1) = 1",
            ),
            Step(
                "Laplacian, Sobel, and both Sobel kernels as two outputs.",
                Equal(Matrix([_span(o) for o in KERNELS.values()]), Matrix([1, 1, 2])),
                shown=r"\rho(\text{Laplacian}) = 1, \quad \rho(\text{Sobel}) = 1, "
                r"\quad \rho(\text{both}) = 2",
                where={
                    r"\rho(\text{Laplacian})": _span([LAPLACIAN]),
                    r"\rho(\text{Sobel})": _span([SOBEL]),
                    r"\rho(\text{both})": _span([SOBEL, SOBEL.T]),
                },
            ),
            Step(
                "One-hot heads, as the paper's are in the limit of large strengths, "
                r"read one pixel each. If every head misses tap $t$, by $e_h \ne 0$, "
                "then the pixel of that tap changes nothing: a tap that is not zero "
                "needs a head of its own, and a kernel without zero taps needs $K^d$ "
                "heads.",
                Equal(Sum(KroneckerDelta(t + miss(h), t) * M(h), (h, 1, H)).doit(), 0),
                shown=r"\sum_{h=1}^{H} [t + e_h = t]\, M_h = 0",
                where={"e": miss},
            ),
        ),
        controls=(
            Control("Two heads have the rank of one.", Equal(_minor(layer, 2), 0)),
            Control(
                "Almost every kernel needs a head for each tap, however few its "
                "channels.",
                Equal(span, K**d),
            ),
            Control(
                "The dimension counts the taps that are not zero, five for the "
                "Laplacian.",
                Equal(_span([LAPLACIAN]), Integer(5)),
                shown=r"\rho = 5",
                where={r"\rho": _span([LAPLACIAN])},
            ),
            Control(
                "No query with different pixels: on a circle of two pixels the taps "
                "$1$ and $-1$ read the same, and three shifts span two dimensions.",
                Equal(_span(circle), Integer(3)),
                shown=r"\rho = 3",
                where={r"\rho": _span(circle)},
            ),
            Control(
                "A head on the tap does not read it.",
                Equal(Sum(KroneckerDelta(t, t) * M(h), (h, 1, H)), 0),
            ),
        ),
        scope="Any numbers of heads, channels, pixels, taps, groups and axes; every "
        "attention that does not depend on the input. Lower bounds only: softmax rows "
        r"have no negative entries, and $\rho$ heads need not be enough.",
        formulas=formulas,
        formal={
            "heads_needed": r"no fewer than $\rho$ heads, with any attention that "
            "does not depend on the image, at a single query",
        },
        informal=r"coming arbitrarily close with fewer; the value of $\rho$ for "
        "almost every kernel; one-hot heads",
        remarks=(
            (
                r"$K^d$ heads are necessary for almost every kernel only if "
                r"$C_{in} C_{out} / g \ge K^d$: one channel never needs them, a kernel "
                r"with $3 \times 3$ taps in two channels and two outputs has "
                r"$\rho \le 4$, a depthwise one $\rho \le C$."
            ),
            (
                r"$\rho = 1$ if and only if $W_\delta = f(\delta) B$, not all zero: a "
                "pointwise convolution after one filter that all channels share."
            ),
            (
                "The operators of rank at most $H$ are a closed set, since minors of "
                "size $H + 1$ are continuous: the same conclusion about limits."
            ),
        ),
    )
