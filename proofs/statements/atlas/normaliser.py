"""A normaliser removes what all channels of a token share, and a convolution not."""

from sympy import Abs, Expr, Function, Sum, sqrt, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Statement,
    Step,
)
from proofs.lemmas import expressions, half_is_lost, whole_difference

C, N = symbols("C N", integer=True, positive=True)
c, e, i = symbols("c e i", integer=True)
a, b, u, w, y, y0, shift = symbols("a b u w y y_0 s", real=True)
targets = symbols("y_0:4", real=True)
eta, B, scale, gap = symbols("eta B lambda omega", positive=True)
x, g, h, F, W = (Function(name, real=True) for name in "xghFW")


def _mean(of: Function, count: Expr = C) -> Expr:
    return Sum(of(e), (e, 1, count)) / count


def _variance(of: Function, count: Expr = C) -> Expr:
    return Sum((of(c) - _mean(of, count)) ** 2, (c, 1, count)) / count


FORMULAS = {
    "normalised": Formula(
        (C, i, x, eta, g, h),
        g(i) * (x(i) - _mean(x)) / sqrt(_variance(x) + eta) + h(i),
        "channel i of a token after a normaliser with weights g and biases h",
    ),
    "bound": Formula(
        (C, a, W),
        Abs(a * Sum(W(c), (c, 1, C))) / 2,
        "half of what a convolution makes of adding a to the C channels of a token",
    ),
    "own": Formula(
        (C, a, W),
        Abs(a * (Sum(W(c), (c, 1, C)) - 1)) / 2,
        "the same at the query itself, where the skip connection adds a",
    ),
    "quarter": Formula(
        targets,
        Abs((targets[3] - targets[2]) - (targets[1] - targets[0])) / 4,
        "where all outputs move alike: targets of two queries, before and after",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    normalised, bound, own, quarter = expressions(formulas)

    def raised(of: Expr, by: Expr = a) -> Expr:
        return of.replace(x, lambda channel: x(channel) + by)

    def seen(token: Expr) -> Sum:
        return Sum(W(c) * token, (c, 1, C))

    pair = {C: 2}
    first = x(1) + a  # and x(2) as it was
    half = (first + x(2)) / 2
    rms = x(1) / sqrt(_mean(lambda channel: x(channel) ** 2) + eta).subs(pair).doit()
    two = _variance(x).subs(pair).doit()
    token = x(1) - _mean(x, N).subs(N, 2).doit()
    # Errors where outputs are u, u + s at one query and b, b + s at another.
    outputs = (u, u + shift, b, b + shift)
    errors = [o - t for o, t in zip(outputs, targets, strict=True)]
    e0, e1, e2, e3 = errors
    return Statement(
        name="normaliser",
        title="What a normaliser removes",
        source="Ba, Kiros, Hinton (2016), layer normalisation; Tolstikhin et al. "
        "(2021), MLP-Mixer; Melas-Kyriazi (2021)",
        words="A normaliser over the channels of a token removes a constant that is "
        "added to all of them. In a block that normalises before it mixes tokens, "
        "other tokens never learn of that constant, and the token itself by its skip "
        "connection only. A convolution sees it in other tokens, unless the weights "
        "of each tap add up to zero.",
        formula=r"\mathrm{LN}(x + a \mathbf{1}) = \mathrm{LN}(x), \qquad "
        r"\max(|y - y_0|, |y - y_1|) \ge \tfrac{1}{2} \Big| a \sum_{c} W_c \Big|",
        hypotheses=(
            (
                r"The normaliser is $g_i\,(x_i - \mu) / \sqrt{\sigma^2 + \eta} + h_i$ "
                r"with the mean $\mu$ and the variance $\sigma^2$ over the $C$ "
                r"channels of a token, $\eta > 0$, and any $g$ and $h$."
            ),
            (
                "A block adds to each token what it makes of the normalised tokens, by "
                "whatever function: attention, a perceptron over tokens or over "
                "channels. There may be several blocks; no stem comes before them."
            ),
            (
                "In the output in question the convolution weighs channel $c$ of the "
                "token that is raised by $a$ with $W_c$."
            ),
        ),
        steps=(
            Step("The mean rises by $a$.", Equal(raised(_mean(x)), _mean(x) + a)),
            Step(
                "So the variance is what it was.",
                Equal(raised(_variance(x)), _variance(x)),
                shown=r"\frac{1}{C} \sum_{c=1}^{C} \Big( x_c + a - \frac{1}{C} "
                r"\sum_{e=1}^{C} (x_e + a) \Big)^2 = \frac{1}{C} \sum_{c=1}^{C} "
                r"\Big( x_c - \frac{1}{C} \sum_{e=1}^{C} x_e \Big)^2",
            ),
            Step(
                r"And the normalised token is what it was, with any weights and "
                r"biases.",
                Equal(raised(normalised), normalised),
                shown=r"g_i\, \frac{(x_i + a) - (\mu + a)}{\sqrt{\sigma^2 + \eta}} + "
                r"h_i = g_i\, \frac{x_i - \mu}{\sqrt{\sigma^2 + \eta}} + h_i",
            ),
            Step(
                "What a block makes of the normalised tokens, $F$, does not change, "
                "for any token. The token that was raised is still so after the block, "
                "in all channels alike, by the skip connection; the others are what "
                "they were. So the next block is in the same position, and so on.",
                Equal(raised(x(i)) + F(i) - (x(i) + F(i)), a),
                shown=r"(x_i + a + F_i) - (x_i + F_i) = a",
            ),
            Step(
                "A convolution changes by this much at another query:",
                Equal(seen(x(c) + a) - seen(x(c)), a * Sum(W(c), (c, 1, C))),
            ),
            half_is_lost(bound.replace(Sum, lambda *_: w), -a * w),
            Step(
                "With inputs from $-B$ to $B$ a token can be raised by $2B$, from all "
                "$-B$ to all $B$.",
                Equal(bound.subs(a, 2 * B), B * Abs(Sum(W(c), (c, 1, C)))),
                shown=r"\tfrac{1}{2} \Big| 2B \sum_{c=1}^{C} W_c \Big| = B \Big| "
                r"\sum_{c=1}^{C} W_c \Big|",
            ),
            Step(
                "Only taps whose weights add up to zero are not noticed; with one "
                "channel only taps that are zero.",
                Positive(bound.replace(Sum, lambda *_: gap).subs(a, B)),
            ),
            Step(
                r"At the query's own token the output of a block moves by $a$ while "
                r"the convolution moves by $a\,w$, $w = \sum_c W_c$. That is right if "
                "$w = 1$, and otherwise the bound has the difference.",
                Nonnegative(
                    (y - y0) ** 2
                    + ((y + a) - (y0 + a * w)) ** 2
                    - 2 * own.replace(Sum, lambda *_: w) ** 2,
                    2 * (y - y0 + a * (1 - w) / 2) ** 2,
                ),
                shown=r"(y - y_0)^2 + (y + a - y_0 - a w)^2 - "
                r"2 \left(\tfrac{1}{2} a (w - 1)\right)^2 = "
                r"2\,\left(y - y_0 + \tfrac{1}{2} a (1 - w)\right)^2 \ge 0",
            ),
            Step(
                "With one channel nothing of a token is left but the bias.",
                Equal(normalised.subs({C: 1, i: 1}).doit(), h(1)),
                shown=r"g_1\, \frac{x_1 - x_1}{\sqrt{0 + \eta}} + h_1 = h_1",
            ),
            Step(
                "A normaliser over the tokens of a channel: read $C$ as the number "
                "of tokens. It removes what all tokens share, so raising all "
                "channels of all tokens moves all outputs alike, by $s$. Then the "
                "targets $y_0, y_1$ and $y_2, y_3$ at two queries, before and after, "
                "tell how large four errors are together, ...",
                Equal(
                    e0 - e1 - e2 + e3,
                    -((targets[3] - targets[2]) - (targets[1] - targets[0])),
                ),
                shown=r"e_0 - e_1 - e_2 + e_3 = -\left((y_3 - y_2) - (y_1 - "
                r"y_0)\right)",
                where={**{f"e_{i}": error for i, error in enumerate(errors)}},
            ),
            Step(
                r"... and that the largest of them is at least a quarter, $\kappa$.",
                Nonnegative(
                    sum(error**2 for error in errors) - 4 * quarter**2,
                    ((e0 + e1) ** 2 + (e0 + e2) ** 2 + (e0 - e3) ** 2) / 4
                    + ((e1 - e2) ** 2 + (e1 + e3) ** 2 + (e2 + e3) ** 2) / 4,
                ),
                shown=r"e_0^2 + e_1^2 + e_2^2 + e_3^2 - 4\kappa^2 = \tfrac{1}{4} "
                r"\left((e_0 + e_1)^2 + (e_0 + e_2)^2 + (e_0 - e_3)^2 + (e_1 - "
                r"e_2)^2 + (e_1 + e_3)^2 + (e_2 + e_3)^2\right) \ge 0",
                where={
                    r"\kappa": quarter,
                    **{f"e_{i}": error for i, error in enumerate(errors)},
                },
            ),
        ),
        controls=(
            Control(
                "The constant on one channel of two: the variance changes.",
                Equal(((first - half) ** 2 + (x(2) - half) ** 2) / 2, two),
            ),
            Control("RMSNorm, which subtracts no mean.", Equal(raised(rms), rms)),
            Control(
                r"A factor instead of a constant: with $\eta > 0$ it shows.",
                Equal(
                    (scale * x(1) - scale * x(2)) / sqrt(scale**2 * two + eta),
                    (x(1) - x(2)) / sqrt(two + eta),
                ),
                shown=r"\frac{\lambda x_1 - \lambda x_2}{\sqrt{\lambda^2 \sigma^2 + "
                r"\eta}} = \frac{x_1 - x_2}{\sqrt{\sigma^2 + \eta}}",
                where={r"\sigma^2": two},
            ),
            Control(
                "A normaliser over two tokens, one of which is raised.",
                Equal(token.subs(x(1), x(1) + a), token),
            ),
            whole_difference(),
            Control(
                "The query's own token goes unnoticed, as others do.",
                Equal(raised(x(i)) + F(i), x(i) + F(i)),
            ),
        ),
        scope="Any number of channels, tokens and blocks; any weights, and any mixing "
        "of normalised tokens; every convolution.",
        formulas=formulas,
        remarks=(
            (
                "A head that reads the output off a token may undo the shift of the "
                "query's own token: behind a head the bound holds for other tokens "
                "only."
            ),
            (
                "A stem that widens the channels breaks the symmetry: a constant on "
                "all input channels is no constant on all of its own. So do layers "
                "without a normaliser, batch normalisation in evaluation, and RMSNorm; "
                "and, where tokens are normalised, a class token that is not raised."
            ),
            (
                r"With $\eta = 0$ factors above zero are removed, too, by RMSNorm as "
                "well."
            ),
        ),
    )
