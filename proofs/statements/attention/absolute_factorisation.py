"""Quadratic scores are inner products, in digits that half precision holds."""

from collections.abc import Mapping

from sympy import Expr, Function, Integer, Rational, Sum, Symbol, floor, symbols

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
)
from proofs.lemmas import bernoulli, expressions, over, softmax_shift

alpha, u, D = symbols("alpha u D", positive=True)
p = symbols("p", real=True)
d, m, b, c, L, j = symbols("d m b c L j", integer=True, positive=True)
N, whole = symbols("N K", integer=True, nonnegative=True)
i = symbols("i", integer=True)
g, r = symbols("g r", nonnegative=True)
t, q, s, x = symbols("t q s x", real=True)
K, T, Q, S, O = (Function(name, real=True) for name in ("k", "t", "q", "s", "o"))
score, shift = Function("z", real=True), symbols("C", real=True)
digit_of, rest = Function("y", real=True), Function("rho", real=True)
left_of_y = symbols("sigma", real=True)


FORMULAS = {
    "quadratic": Formula(
        (alpha, p), p - alpha, "the coefficient of the squared norm of the key"
    ),
    "linear": Formula(
        (alpha, t, p, q, s),
        2 * alpha * t + s - 2 * p * q,
        "the coefficient of the key's position along an axis",
    ),
    "constant": Formula(
        (alpha, t, p, q, s),
        p * q**2 - alpha * t**2 - s * q,
        "the constant term of an axis",
    ),
    "digit": Formula(
        (b,),
        1 / (1 + 2**b),
        "the largest part of a number that one digit of b bits leaves",
    ),
    "left": Formula((b, c), 2 ** (-b * c), "a bound of the part that c digits leave"),
    "left_out": Formula(
        (b, L),
        (L + 1) * 2 ** (-b * L),
        "a bound of the part that the products of digits beyond level L add up to",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    quadratic, linear, constant, digit, _, left_out = expressions(formulas)
    over_axes = over((i, 1, d))
    one_axis = quadratic * x**2 + linear * x + constant
    target, query = {t: T(i), p: 0, q: 0, s: 0}, {t: T(i), q: Q(i), s: S(i)}

    def left(count: Expr) -> Expr:
        return formulas["left"].expression.subs(c, count)

    def inner_product(values: Mapping[Symbol, Expr]) -> Expr:
        return (
            quadratic.subs(values) * over_axes(K(i) ** 2)
            + over_axes(linear.subs(values) * K(i))
            + over_axes(constant.subs(values))
        )

    quadratic_score = -alpha * over_axes((K(i) - T(i)) ** 2)
    content = over_axes(p * (K(i) - Q(i)) ** 2 + S(i) * (K(i) - Q(i)))
    between = (1 - g) / 2  # from a number to the nearest whole one: at most a half
    smallest = 2 ** (b - 1)
    levels = D**L + Sum((D**i + D ** (i + 1)) * D ** (L - i), (i, 0, L - 1))

    def rounded_score(key: int) -> Expr:
        # Squares between 2048 and 4096 are multiples of 16 if 8 bits hold them.
        return 2 * 51 * key - 16 * floor(Rational(key**2, 16) + Rational(1, 2))

    return Statement(
        name="absolute_factorisation",
        title="Scores as inner products",
        source="Multiplying out equation 9 of Cordonnier, Loukas, Jaggi (2020)",
        words="The score of a head is an inner product of a vector of the query and "
        "one of the key, up to a constant of the query that the softmax does "
        "not see. So any kernel for attention computes it. In half precision "
        "the numbers are split into digits of a few bits. Whole numbers that "
        "are not too large lose nothing, and the products of digits are exact "
        "in single precision.",
        formula=r"-\alpha\,\|k - t\|^2 = (2\alpha t, -\alpha) \cdot (k, \|k\|^2) "
        r"- \alpha\,\|t\|^2, \qquad \Big|v - \sum_{i < c} v_i\Big| \le 2^{-bc}\,|v|",
        hypotheses=(
            (
                r"Keys $k$, queries $q$, targets $t$ and slopes $s$ are real vectors "
                r"over $d$ axes; $\alpha > 0$ and $p$ are real."
            ),
            (
                "The first digit of a number is the nearest one with $b$ significant "
                "bits; the next is the first digit of what is left. At a tie either "
                "will do."
            ),
            "No exponent leaves the range of the format.",
        ),
        steps=(
            Step(
                "Multiplied out, over any number of axes.",
                Equal(quadratic_score, inner_product(target)),
            ),
            softmax_shift(
                "The last term is the same for all keys, and drops out of the softmax.",
                score,
                shift,
            ),
            Step(
                "Only differences of positions count: the origin may be the middle of "
                "the canvas, where the numbers are smallest.",
                Equal(
                    -alpha * over_axes(((K(i) - O(i)) - (T(i) - O(i))) ** 2),
                    quadratic_score,
                ),
                shown=r"-\alpha \sum_{i=1}^{d} ((k_i - o_i) - (t_i - o_i))^2 "
                r"= -\alpha \sum_{i=1}^{d} (k_i - t_i)^2",
            ),
            Step(
                r"A term $p\,\|k - q\|^2 + s \cdot (k - q)$ of the content of the "
                "query is of the same form.",
                Equal(quadratic_score + content, inner_product(query)),
            ),
            Step(
                "Digits. In units of the last of its $b$ bits a positive number lies "
                "between $2^{b-1}$ and $2^b$. Rounded down to $2^{b-1} + N$ it loses "
                r"at most a half, $(1 - g)/2$ with $g \ge 0$, which is at most $1/(1 "
                "+ 2^b)$ of the number.",
                Nonnegative(
                    (smallest + N + between) * digit - between,
                    (smallest * g + N) / (1 + 2**b),
                ),
            ),
            Step(
                "Rounded up to $2^{b-1} + 1 + N$ it gains at most a half, and the same "
                "holds.",
                Nonnegative(
                    (smallest + 1 + N - between) * digit - between,
                    (smallest * g + g + N) / (1 + 2**b),
                ),
            ),
            Step(
                "That is less than $2^{-b}$.",
                Positive(left(Integer(1)) - digit, 2 ** (-b) / (1 + 2**b)),
            ),
            Step(
                "By induction $c$ digits leave at most the part $2^{-bc}$: without a "
                "digit all is left, and of that each digit leaves at most the same "
                "part.",
                Equal(left(Integer(0)), 1),
                shown="2^{-b \\cdot 0} = 1",
            ),
            Step("The induction step.", Equal(left(c) * left(Integer(1)), left(c + 1))),
            Step(
                "Whole numbers. Below $2^b$ they are their own digit, and from there "
                "on digits are multiples of a power of two that is at least one, so "
                "what is left is a whole number. Of a number below $2^{bc}$, that is "
                "of $2^{bc} - j$, it is less than one, so it is zero.",
                Positive(1 - (2 ** (b * c) - j) * left(c), j * 2 ** (-b * c)),
            ),
            Step(
                r"A whole position $|k| \le 2^m$ has $k^2 \le 2^{2m}$; here "
                "$2^m = K + j$ and $|k| = K$.",
                Positive((whole + j) ** 2 - whole**2, j * (2 * whole + j)),
            ),
            Step(
                r"So $\|k\|^2 \le d\,2^{2m}$ over $d$ axes, and $c$ digits with "
                r"$2^{bc} > d\,2^{2m}$ hold it; along one axis $bc \ge 2m + 1$ is "
                "enough.",
                Positive(2 ** (2 * m + 1) - 2 ** (2 * m), 2 ** (2 * m)),
            ),
            Step(
                "Products. Up to a power of two a digit is a whole number of at most "
                "$2^b - 1$, so the product of two has at most $2b$ bits.",
                Positive((whole + 1) ** 2 - whole**2, 2 * whole + 1),
                shown=r"2^{2b} - (2^b - 1)^2 = 2\,(2^b - 1) + 1 > 0",
            ),
            *(
                Step(
                    f"For $b = {bits}$, the bits of {name}, they are among the 24 that "
                    "float32 has: each product is exact.",
                    Below(Integer(2 * bits), Integer(24)),
                    shown=rf"2 \cdot {bits} < 24",
                )
                for bits, name in ((8, "bfloat16"), (11, "float16 and TF32"))
            ),
            Step(
                "Of $x y$ only products of digits $x_i y_j$ with $i + j < L$ are "
                "kept: for each $j$ the sum of the first $L - j$ digits of $x$, "
                r"which leaves $\rho_{L-j}$. Let $\sigma$ be what the digits of $y$ "
                "leave. The products that are left out add up to",
                Equal(
                    x * (Sum(digit_of(i), (i, 0, L - 1)) + left_of_y)
                    - Sum(digit_of(i) * (x - rest(L - i)), (i, 0, L - 1)),
                    x * left_of_y + Sum(digit_of(i) * rest(L - i), (i, 0, L - 1)),
                ),
            ),
            Step(
                r"With $D = 1/(1 + 2^b)$ the parts are $|\sigma| \le D^L |y|$, "
                r"$|\rho_{L-j}| \le D^{L-j} |x|$ and $|y_j| \le (D^j + "
                r"D^{j+1})\,|y|$, as a digit is the difference of what is left before "
                "and after it. Together they are at most this multiple of $|xy|$:",
                Equal(levels, D**L * (1 + L * (1 + D))),
            ),
            Step(
                r"Let $u = 2^{-b}$, so $D = u/(1 + u)$. By Bernoulli's inequality "
                r"$(1 + u)^L \ge 1 + Lu$: by induction, as",
                bernoulli(u, L),
            ),
            Step(
                r"Hence the part is at most $(L + 1)\,2^{-bL}$, with "
                r"$(1 + u)^L = 1 + Lu + r$.",
                Nonnegative(
                    left_out / left(L) * (1 + L * u + r) - (1 + L * (1 + u / (1 + u))),
                    (L + 1) * r + L * u * (L + (L + 1) * u) / (1 + u),
                ),
            ),
            Step(
                r"An example, $b = 8$ and $\alpha = 1$: the target $51$ and its "
                "neighbour $50$. Two digits hold each square, $2601 = 2608 - 7$ and "
                "$2500 = 2496 + 4$, and the other factors have no more than 8 bits. "
                "The target wins.",
                Positive((rounded_score(51) + 7) - (rounded_score(50) - 4)),
                shown=r"(2 \cdot 51 \cdot 51 - 2608 + 7) "
                r"- (2 \cdot 51 \cdot 50 - 2496 - 4) = 1 > 0",
            ),
        ),
        controls=(
            Control(
                "Squares in one digit of 8 bits: the target 51 still beats 50.",
                Positive(rounded_score(51) - rounded_score(50)),
                shown="s(51) > s(50)",
                where={"s(51)": rounded_score(51), "s(50)": rounded_score(50)},
            ),
            Control(
                "The sign of the linear part.",
                Equal(-alpha * (x + t) ** 2, one_axis.subs({p: 0, s: 0})),
            ),
            Control(
                "The constant of the slope without the query.",
                Equal(p * (x - q) ** 2 + s * x - alpha * (x - t) ** 2, one_axis),
            ),
            Control(
                "A digit leaves at most half of that.",
                Nonnegative(2 ** (-b - 1) - digit),
            ),
            Control(
                "Whole numbers up to the next one have no more digits: 257 and 8 bits.",
                Equal(257 - 2 * floor(Rational(257, 2) + Rational(1, 2)), Integer(0)),
                shown=r"257 - 2 \left\lfloor \frac{257 + 1}{2} \right\rfloor = 0",
            ),
            Control(
                "Products of digits of 13 bits fit as well.",
                Below(Integer((2**13 - 1) ** 2), Integer(2**24)),
                shown="(2^{13} - 1)^2 < 2^{24}",
            ),
        ),
        scope="Any number of axes, keys, bits and digits; all real parameters. Sums of "
        "products in float32 are not part of it.",
        formulas=formulas,
        formal={
            "absolute_factorisation": "the score as an inner product, over every "
            "commutative ring",
        },
        informal="the digits of numbers in half precision",
        remarks=(
            (
                "The part $1/(1 + 2^b)$ is attained: of $2^b + 1$ the first digit is "
                "$2^b$ or $2^b + 2$, and one is left."
            ),
            (
                r"Before that, at the target $18$, the rounded squares tie: "
                r"$19^2 = 361$ becomes $360$, and both scores are $324$."
            ),
        ),
    )
