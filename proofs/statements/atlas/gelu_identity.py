"""A perceptron with GELU can be linear: two hidden units a linear form."""

from sympy import (
    Abs,
    Expr,
    Function,
    KroneckerDelta,
    Lambda,
    Max,
    Min,
    Rational,
    Sum,
    erf,
    exp,
    pi,
    sqrt,
    symbols,
    tanh,
)

from proofs.engine import Control, Equal, Every, Formula, Formulas, Statement, Step
from proofs.lemmas import expressions, minor

x = symbols("x", real=True)
b, past = symbols("b t", positive=True)
y, z = symbols("y z", nonnegative=True)
n, N, C, K = symbols("n N C K", integer=True, positive=True)
before, after = symbols("a b", integer=True, nonnegative=True)
c, j, l, o, p, u = symbols("c j l o p u", integer=True)
U, V, A, M, X, kernel, place, phi = (
    Function(name, real=True) for name in (*"UVAMXk", "x", "phi")
)
other = symbols("p' j' o' c'", integer=True)

CUBIC = Rational(44715, 10**6)
GELU = x * (1 + erf(x / sqrt(2))) / 2


def _odd(activation: Expr) -> Expr:
    return activation - activation.subs(x, -x)


def _mixed(pair: Expr) -> Sum:
    """Return what a perceptron adds to token p, a pair of hidden units a form."""
    form = Sum(V(l, j) * X(j), (j, 1, N))
    return Sum(U(p, l) * pair.subs(x, form), (l, 1, n))


FORMULAS = {
    "gelu": Formula((x,), GELU, "GELU, x Φ(x)"),
    "gelu_tanh": Formula(
        (x,),
        x * (1 + tanh(sqrt(2 / pi) * (x + CUBIC * x**3))) / 2,
        "its approximation",
    ),
    "mixed": Formula(
        (p, n, N, U, V, X),
        _mixed(_odd(GELU)),
        "output p of a perceptron on N tokens with 2n hidden units, weights ±V and ±U",
    ),
    "tooth": Formula(
        (x, b),
        -Max(x + 4 * b, 0)
        + 2 * Max(x + 2 * b, 0)
        - 2 * Max(x - 2 * b, 0)
        + Max(x - 4 * b, 0),
        "four hidden units that let through what is small, with ReLU",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    gelu, gelu_tanh, mixed, tooth = expressions(formulas)
    relu, silu, logistic = Max(x, 0).rewrite(Abs), x / (1 + exp(-x)), 1 / (1 + exp(-x))
    leaky = (Max(x, 0) + Min(x, 0) / (1 + past)).rewrite(Abs)

    places = {p: other[0], j: other[1]}, {o: other[2], c: other[3]}
    skip = Sum(
        (A(p, j) - KroneckerDelta(j, before + 1)) * X(j), (j, 1, before + after + 1)
    )
    whole = Sum(A(p, j) * X(j), (j, 1, before + after + 1))
    return Statement(
        name="gelu_identity",
        title="Linear perceptrons",
        source="Hendrycks and Gimpel (2016) for GELU; Tolstikhin et al. (2021) for the "
        "mixing of tokens; the identity is elementary",
        words="GELU of a number less GELU of its negative is the number itself, "
        "exactly. So a perceptron with two hidden units for each linear form computes "
        "any linear map of the tokens. Shared by all channels, and followed by a "
        "matrix of channels, it computes those convolutions whose taps are multiples "
        "of one matrix, and no others in this way.",
        formula=r"\mathrm{GELU}(x) - \mathrm{GELU}(-x) = x, \qquad "
        r"W_\Delta = k_\Delta M",
        hypotheses=(
            (
                r"$\mathrm{GELU}(x) = x\,\Phi(x)$ with $\Phi(x) = \frac{1}{2}\,(1 + "
                r"\operatorname{erf}(x / \sqrt{2}))$; $\operatorname{erf}$ is odd."
            ),
            (
                "The perceptron maps the $N$ tokens of a channel to as many: hidden "
                "units $V X$ and $-VX$ for $n$ linear forms $V$, read out by $U$ and "
                "$-U$; no biases, and no normaliser before it."
            ),
            (
                "Every matrix is a product $UV$ with as many rows of $V$ as its rank. "
                r"For the converse: at some query all taps that are not zero read "
                "pixels of the image, no two of them the same."
            ),
        ),
        steps=(
            Step(
                r"$\Phi$ at a number and at its negative add up to one.",
                Equal(gelu / x + (gelu / x).subs(x, -x), 1),
                shown=r"\Phi(x) + \Phi(-x) = 1",
                where={r"\Phi": Lambda(x, gelu / x)},
            ),
            Step(
                "So GELU is half of its argument and an even function.",
                Equal(_odd(gelu), x),
                shown=r"\mathrm{GELU}(x) - \mathrm{GELU}(-x) = x",
                where={r"\mathrm{GELU}": Lambda(x, gelu)},
            ),
            Step(
                r"In general $\varphi(x) - \varphi(-x) = x$ says that $\varphi(x) - "
                r"x/2$ is even, ...",
                Equal((phi(x) - x / 2) - (phi(-x) + x / 2), _odd(phi(x)) - x),
                shown=r"\left(\varphi(x) - \frac{x}{2}\right) - \left(\varphi(-x) - "
                r"\frac{-x}{2}\right) = \varphi(x) - \varphi(-x) - x",
                where={r"\varphi": phi},
            ),
            Step(
                r"... as it is for ReLU, $\max(x, 0)$, for SiLU, $x / (1 + e^{-x})$, "
                r"and for GELU's approximation, $\frac{x}{2} \left(1 + "
                r"\tanh\left(\sqrt{2/\pi}\,(x + 0.044715\, x^3)\right)\right)$: $x$ "
                "times a number that moves to one minus itself with the sign of $x$.",
                Every([Equal(_odd(a), x) for a in (relu, silu, gelu_tanh)]),
                shown=r"\varphi(x) - \varphi(-x) = x",
                where={r"\varphi": Lambda(x, relu)},
            ),
            Step(
                "Two hidden units for each of $n$ forms: the perceptron is the "
                "matrix $UV$. With $N$ tokens $2N$ hidden units are enough for any "
                "matrix, and twice its rank are.",
                Equal(mixed, Sum(U(p, l) * Sum(V(l, j) * X(j), (j, 1, N)), (l, 1, n))),
                shown=r"\sum_{l=1}^{n} U_{p,l}\, \Big(\mathrm{GELU}\big(\sum_j "
                r"V_{l,j} X_j\big) - \mathrm{GELU}\big(-\sum_j V_{l,j} "
                r"X_j\big)\Big) = \sum_{l=1}^{n} U_{p,l} \sum_{j=1}^{N} V_{l,j} "
                "X_j",
                where={r"\mathrm{GELU}": Lambda(x, gelu), r"\sum_j": (j, 1, N)},
            ),
            Step(
                "A skip connection adds the token itself: the perceptron then "
                "computes $A - I$. Here token $p = a + 1$ of $a + b + 1$.",
                Equal((X(before + 1) + skip).expand().doit(), whole),
                shown=r"X_{a+1} + \sum_{j=1}^{a+b+1} (A_{p,j} - [j = a + 1])\, X_j = "
                r"\sum_{j=1}^{a+b+1} A_{p,j} X_j",
            ),
            Step(
                "All channels share the matrix $A$, and a matrix $M$ of the channels "
                "comes after it. If $A$ is the convolution of one channel with the "
                "numbers $k_u$, of which tap $u$ reads pixel $x_u$ or none, then both "
                "together are the convolution with the taps $k_u M$.",
                Equal(
                    Sum(
                        M(o, c) * Sum(kernel(u) * X(place(u), c), (u, 1, K)), (c, 1, C)
                    ),
                    Sum(
                        Sum(kernel(u) * M(o, c) * X(place(u), c), (c, 1, C)), (u, 1, K)
                    ),
                ),
            ),
            Step(
                "Conversely, what channel $c$ of token $j$ adds to output $o$ of token "
                "$p$ is $A_{p,j} M_{o,c}$. If that is a convolution, then every minor "
                "of size two of its taps vanishes, a row for each tap and a column for "
                r"each pair of channels: the taps are $k_\Delta M$.",
                Equal(minor(A(p, j) * M(o, c), *places), 0),
                shown=r"A_{p,j} M_{o,c}\, A_{p',j'} M_{o',c'} - "
                r"A_{p',j'} M_{o,c}\, A_{p,j} M_{o',c'} = 0",
            ),
            Step(
                "Kernels of their own for channels told apart by offsets: four "
                r"hidden units make a tooth, with ReLU $\tau(x) = -(x + 4b)_+ + 2\,(x "
                r"+ 2b)_+ - 2\,(x - 2b)_+ + (x - 4b)_+$. It is $x$ where $|x| \le b$; "
                r"here $x = y - z$ and $b = y + z$ with $y, z \ge 0$, ...",
                Equal(tooth.subs({x: y - z, b: y + z}, simultaneous=True), y - z),
                shown=r"\tau(y - z) = y - z",
                where={r"\tau": Lambda(x, tooth.subs(b, y + z))},
            ),
            Step(
                r"... and zero where $|x| \ge 5b$, here $|x| = 5b + y$. Offsets that "
                "are $6b$ apart let one channel pass and no other.",
                Every([Equal(tooth.subs(x, s * (5 * b + y)), 0) for s in (1, -1)]),
                shown=r"\tau(5b + y) = \tau(-5b - y) = 0",
                where={r"\tau": Lambda(x, tooth), "b": b, "y": y},
            ),
        ),
        controls=(
            Control(
                "One hidden unit for a form.",
                Equal(gelu, x),
                shown=r"\mathrm{GELU}(x) = x",
                where={r"\mathrm{GELU}": Lambda(x, gelu)},
            ),
            Control(
                "The sign.",
                Equal(gelu + gelu.subs(x, -x), x),
                shown=r"\mathrm{GELU}(x) + \mathrm{GELU}(-x) = x",
                where={r"\mathrm{GELU}": Lambda(x, gelu)},
            ),
            Control(
                "The square: it is even.",
                Equal(_odd(x**2), x),
                shown="x^2 - (-x)^2 = x",
            ),
            Control(
                "The logistic function, without the factor.", Equal(_odd(logistic), x)
            ),
            Control(
                r"ReLU with a slope of $1/(1 + t)$ on the left, $\varphi(x) = \max(x, "
                r"0) + \min(x, 0) / (1 + t)$: it is $x$ times one plus that slope.",
                Equal(_odd(leaky), x),
                shown=r"\varphi(x) - \varphi(-x) = x",
                where={r"\varphi": Lambda(x, leaky)},
            ),
            Control(
                "Two matrices, each shared by the channels, have the rank of one.",
                Equal(minor(A(p, j) * M(o, c) + U(p, j) * V(o, c), *places), 0),
            ),
        ),
        scope="Any numbers of tokens, channels, forms and taps; all real inputs.",
        formulas=formulas,
        remarks=(
            (
                r"GELU misses ReLU by $|x|\,\Phi(-|x|)$, which is the identity once "
                r"more. So teeth of $\mathrm{GELU}(\kappa x) / \kappa$ are as near to "
                r"those of ReLU as one likes, and with offsets every convolution is "
                "computed on bounded inputs: one spatial kernel for each of the "
                "dimensions that its taps span."
            ),
        ),
    )
