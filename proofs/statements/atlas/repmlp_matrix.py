"""A fully connected layer holds a convolution: the convolution of the identity."""

from sympy import Expr, Function, KroneckerDelta, Sum, Symbol, sqrt, symbols

from proofs.engine import (
    Control,
    Equal,
    Every,
    Formula,
    Formulas,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import exchanged, expressions, over, own_group

K, N, C, s, d = symbols("K N C s d", integer=True, positive=True)
p, a, g, b, after = symbols("p a g b b'", integer=True, nonnegative=True)
i, j, k, c, u = symbols("i j k c u", integer=True, nonnegative=True)
gamma, beta, mean = symbols("gamma beta mu", real=True)
variance, eta = symbols("nu eta", positive=True)
W, X, E, F = (Function(name, real=True) for name in "WxEF")

FORMULAS = {
    "reads": Formula(
        (p, u, s, d, a), s * p + d * u - a, "the pixel that tap u of output p reads"
    ),
    "entry": Formula(
        (p, k, K, s, d, a, W),
        Sum(W(u) * KroneckerDelta(k, s * p + d * u - a), (u, 0, K - 1)),
        "what output p takes of pixel k, along an axis",
    ),
    "scale": Formula(
        (gamma, variance, eta),
        gamma / sqrt(variance + eta),
        "the factor by which a normaliser multiplies the weights of an output",
    ),
    "shift": Formula(
        (gamma, beta, mean, variance, eta),
        beta - mean * gamma / sqrt(variance + eta),
        "what it adds to that output",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    reads, entry, scale, shift = expressions(formulas)
    pixels = over((j, 0, N - 1))

    def tap(place: Expr) -> Expr:
        return reads.subs(u, place)

    def hit(place: Expr) -> Expr:  # whether tap ``place`` reads what tap b reads
        return W(place) * KroneckerDelta(tap(b), tap(place))

    def basis(size: Expr, pixel: Expr) -> Sum:
        return Sum(E(p, j) * KroneckerDelta(j, pixel), (j, 0, size - 1))

    # Pixels and taps numbered through, with places along two axes.
    row, column = (
        KroneckerDelta(
            Function(f"j_{axis}", integer=True)(j),
            reads.subs({
                x: Symbol(f"{x.name}_{axis}", integer=True) for x in (p, s, d, a)
            }).subs(u, Function(f"u_{axis}", integer=True)(u)),
        )
        for axis in (1, 2)
    )

    def small(*, turned: bool = False) -> Expr:  # three taps, dilation two, padding one
        return sum(
            W(2 - t if turned else t)
            * KroneckerDelta(k, reads.subs({u: t, s: 1, d: 2, a: 1}))
            for t in range(3)
        )

    shared = Sum(E(c, j) * X(g * C + c, j), (c, 0, C - 1), (j, 0, N - 1))
    return Statement(
        name="repmlp_matrix",
        title="The matrix of a convolution",
        source="Ding et al. (2021), RepMLP; linear algebra",
        words="A convolution with zero padding is a linear map, so the fully connected "
        "layer whose columns are the convolutions of one pixel at a time computes it, "
        "exactly. Its entries are those of the kernel, at the pixels that the taps "
        "read.",
        formula=r"\mathrm{FC}_{p, k} = \mathrm{Conv}_W(e_k)_p = \sum_{u=0}^{K-1} W_u\, "
        r"[\,k = s p + d u - a\,]",
        hypotheses=(
            (
                "Along each axis output $p$ reads at tap $u$ the pixel $s p + d u - "
                "a$, with stride $s$, dilation $d$ and padding $a$; pixels are "
                r"$0, \dots, N - 1$, and what lies off the image is zero. A bracket "
                r"$[\,\cdot\,]$ is $1$ where true, else $0$."
            ),
            r"$e_k$ is the image that is $1$ at pixel $k$ and $0$ elsewhere.",
            (
                "A normaliser in evaluation takes $y$ to $\\gamma\\,(y - \\mu) / "
                r"\sqrt{\nu + \eta} + \beta$, with constants for each output channel."
            ),
        ),
        steps=(
            Step(
                "What a tap reads is a sum over the image: pixel $b$ of $b + b' + 1$ "
                "if there is one, ...",
                Equal(Sum(X(j) * KroneckerDelta(j, b), (j, 0, b + after)).doit(), X(b)),
                shown=r"\sum_{j=0}^{b+b'} x_j\, [j = b] = x_b",
            ),
            Step(
                "... and zero off the image, here $b$ pixels beyond the last one and "
                "$b$ pixels before the first one.",
                Every([
                    Equal(pixels(X(N - 1 - j) * KroneckerDelta(N - 1 - j, N + b)), 0),
                    Equal(pixels(X(j) * KroneckerDelta(j, -1 - b)), 0),
                ]),
                shown=r"\sum_{j=0}^{N-1} x_{N-1-j}\, [N - 1 - j = N + b] = "
                r"\sum_{j=0}^{N-1} x_j\, [j = -1 - b] = 0",
            ),
            Step(
                "So the convolution is linear, with one number for each output and "
                "pixel.",
                Equal(
                    Sum(W(u) * pixels(X(j) * KroneckerDelta(j, reads)), (u, 0, K - 1)),
                    pixels(entry.subs(k, j) * X(j)),
                ),
                shown=r"\sum_{u=0}^{K-1} W_u \sum_{j=0}^{N-1} x_j\, [\,j = s p + d u "
                r"- a\,] = \sum_{j=0}^{N-1} \mathrm{FC}_{p,j}\, x_j",
                where={r"\mathrm{FC}_{p,j}": entry.subs(k, j)},
            ),
            Step(
                "A matrix $E$ is known by what it makes of the basis: its column $b$ "
                "is $E e_b$. So the matrix of the convolution is the convolution of "
                "the identity, and there is no other.",
                Equal(basis(b + after + 1, b).doit(), E(p, b)),
                shown=r"\sum_{j=0}^{b+b'} E_{p,j}\, [j = b] = E_{p,b}",
            ),
            Step(
                "Two taps of an output read different pixels, as $d$ is not zero.",
                Positive(tap(u + i + 1) - tap(u), d * (i + 1)),
            ),
            Step(
                "Where tap $b$ of $b + b' + 1$ reads, the entry is its weight alone: "
                "a fully connected layer holds each tap once a row. Here the taps "
                "before it, the tap itself and the taps after it.",
                Equal(
                    Sum(hit(b - 1 - i), (i, 0, b - 1))
                    + hit(b)
                    + Sum(hit(b + 1 + i), (i, 0, after - 1)),
                    W(b),
                ),
            ),
            Step(
                "More axes, each with its own stride, dilation and padding: with "
                "pixels and taps numbered through, a tap at $(u_1, u_2)$ reads a "
                "pixel if it reads its place along each axis. Here two.",
                Equal(
                    Sum(W(u) * pixels(X(j) * row * column), (u, 0, K - 1)),
                    pixels(Sum(W(u) * row * column, (u, 0, K - 1)) * X(j)),
                ),
                shown=r"\sum_u W_u \sum_j x_j \prod_{i=1}^{2} [\,j_i = s_i p_i + d_i "
                r"u_i - a_i\,] = \sum_j \Big(\sum_u W_u \prod_{i=1}^{2} [\,j_i "
                r"= s_i p_i + d_i u_i - a_i\,]\Big)\, x_j",
                where={
                    r"\sum_u": (u, 0, K - 1),
                    r"\sum_j": (j, 0, N - 1),
                    r"\prod_{i=1}^{2} [\,j_i = s_i p_i + d_i u_i - a_i\,]": row
                    * column,
                },
            ),
            Step(
                "Channels are numbered with the pixels, and each pair of an output "
                "and an input channel has its block. With groups, channel $g' C + c$ "
                "is channel $c$ of group $g'$, and all blocks between groups are "
                "zero: $g$ groups before and $r$ after one's own (induction on $r$). "
                "A layer with as many groups holds the rest. Here $E$ is one row of "
                "the matrix of a group.",
                own_group(shared, g),
            ),
            Step(
                "A normaliser after the convolution is a factor for each row and a "
                "number for each output: the layer takes them in, too.",
                Equal(
                    gamma * (pixels(E(p, j) * X(j)) - mean) / sqrt(variance + eta)
                    + beta,
                    pixels(scale * E(p, j) * X(j)) + shift,
                ),
            ),
            Step(
                "And layers side by side are the layer of the sum of their matrices.",
                Equal(
                    pixels(E(p, j) * X(j)) + pixels(F(p, j) * X(j)),
                    pixels((E(p, j) + F(p, j)) * X(j)),
                ),
            ),
        ),
        controls=(
            Control(
                "The matrix transposed; three taps, dilation two, padding one.",
                Equal(small(), exchanged(small(), p, k)),
                shown=r"\mathrm{FC}_{p,k} = \mathrm{FC}_{k,p}",
                where={
                    r"\mathrm{FC}_{p,k}": small(),
                    r"\mathrm{FC}_{k,p}": exchanged(small(), p, k),
                },
            ),
            Control(
                "The kernel turned around.",
                Equal(small(), small(turned=True)),
                shown=r"\mathrm{FC}_{p,k} = \sum_{u=0}^{2} W_{2-u}\, [k = p + 2u - 1]",
                where={
                    r"\mathrm{FC}_{p,k}": small(),
                    r"\sum_{u=0}^{2} W_{2-u}\, [k = p + 2u - 1]": small(turned=True),
                },
            ),
            Control(
                "Stride and dilation exchanged.",
                Equal(reads, exchanged(reads, s, d)),
            ),
            Control("The sign of the padding.", Equal(reads, reads.subs(a, -a))),
        ),
        scope="Any size, stride, dilation and padding, any numbers of taps, channels, "
        "groups and axes; one partition. Across partitions there is no entry.",
        formulas=formulas,
        remarks=(
            (
                "Reflect and circular padding are linear as well: the same argument "
                "holds with the pixel that the padding copies in place of $s p + d u - "
                "a$, and a pixel may then be read by several taps, whose weights add "
                "up."
            ),
        ),
    )
