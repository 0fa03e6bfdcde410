"""From which strength on a dtype sees a one-hot softmax, and exact zeros."""

from sympy import Expr, Integer, Rational, S, diff, exp, log, symbols

from proofs.engine import (
    Below,
    Control,
    Equal,
    Every,
    Formula,
    Formulas,
    Nonnegative,
    Statement,
    Step,
    Tends,
)
from proofs.lemmas import bernoulli, expressions, share_rises

e, u, n = symbols("varepsilon u n", positive=True)
d = symbols("d", integer=True, positive=True)
s, t, r, x = symbols("s t r x", nonnegative=True)

# Significant bits, and the exponent of the smallest normal number.
FORMATS = {
    "float32": (24, -126),
    "float64": (53, -1022),
    "bfloat16": (8, -126),
    "float16": (11, -14),
}
# Hundredths between which the thresholds lie.
SATURATED = {"float32": 1802, "float64": 3812, "bfloat16": 693, "float16": 901}
VANISHED = {"float32": 10397, "float64": 74513, "bfloat16": 9288, "float16": 1732}

FORMULAS = {
    "saturation": Formula(
        (d, u), log(2 * d / u), "a strength at which the leak is at most half an ulp"
    ),
    "earliest": Formula(
        (d, u), log(2 * d * (1 - u) / u), "no smaller strength has such a leak"
    ),
    "latest": Formula(
        (d, u), log(2 * d * (1 + u) / u), "from here on the normaliser rounds to one"
    ),
    "underflow": Formula((n, u), -log(n * u), "from here on all other weights vanish"),
}


def _hundredths(constant: Expr, low: int, name: str) -> tuple[Every, str]:
    """Claim that a constant lies between a number of hundredths and the next."""
    shown = f"{low / 100:.2f} < {name} < {(low + 1) / 100:.2f}"
    ends = Rational(low, 100), Rational(low + 1, 100)
    return Every([Below(ends[0], constant), Below(constant, ends[1])]), shown


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    saturation, earliest, latest, underflow = expressions(formulas)
    unit = {name: Rational(1, 2**bits) for name, (bits, _) in FORMATS.items()}
    normal = {name: Rational(1, 2**-low) for name, (_, low) in FORMATS.items()}
    vanished = {
        name: underflow.subs({n: normal[name], u: unit[name]}) for name in FORMATS
    }
    near = 2 * d * e  # the weight of all neighbours
    soon = near.subs(e, exp(-earliest))
    ratio = (1 + u) / (1 - u)
    parting = diff(latest - earliest, u)
    paper = exp(Integer(-46))
    return Statement(
        name="saturation",
        title="Saturation",
        source="This project, from the leak; IEEE 754 for the formats",
        words="Let the strength be at least the logarithm of twice the number of "
        "axes divided by half an ulp. Then the leak is at most half an ulp, "
        "and the computed softmax is one-hot up to rounding. This threshold is "
        "sharp: the first strength with such a leak and the one from which the "
        "normaliser rounds to one differ by less than two ulps of one. Exact "
        "zeros, by underflow, come much later.",
        formula=r"\alpha \ge \ln(2d/u) \implies \lambda(\alpha) \le u, \qquad "
        r"\lambda(\alpha) \le u \implies \alpha \ge \ln(2d\,(1 - u)/u), \qquad "
        r"e^{-\alpha} \mapsto 0 \iff \alpha \ge -\ln(nu)",
        hypotheses=(
            (
                "A binary format with $p$ significant bits rounds to the nearest "
                "number, ties to even. Half an ulp of one is $u = 2^{-p}$: next to one "
                r"are $1 + 2u$ and $1 - u$. $0 < u \le 1/2$."
            ),
            (
                "$n$ is the smallest normal number. Below it the spacing is $2nu$, so "
                "$2nu$ is the smallest number above zero."
            ),
            (
                r"$\varepsilon = e^{-\alpha}$, $d$ axes. The scores are taken relative "
                "to the largest: the target weighs $1$, every other pixel at most "
                r"$\varepsilon$, all of them together $s$. The leak is $\lambda = s/(1 "
                r"+ s)$, at most $2d\varepsilon$ on every canvas: see the leak."
            ),
            (
                "Every exponential and the normaliser are rounded once: their exact "
                "value goes to the nearest number."
            ),
        ),
        steps=(
            Step(
                "Between one and the next number the middle is $1 + u$, and the tie "
                r"goes to one, which is even: $1 + s$ rounds to $1$, and so does "
                r"the target's probability, if and only if $0 \le s \le u$.",
                Equal((1 + (1 + 2 * u)) / 2, 1 + u),
                shown=r"\frac{1 + (1 + 2u)}{2} = 1 + u",
            ),
            Step(
                r"In terms of the leak $\lambda = s/(1 + s)$ that is $\lambda \le "
                r"u/(1 + u)$: the signs of $\lambda - u/(1 + u)$ and $s - u$ agree.",
                Equal(s / (1 + s) - u / (1 + u), (s - u) / ((1 + s) * (1 + u))),
            ),
            Step(
                r"$\lambda \le 2d\varepsilon$, and at $\ln(2d/u)$ that is $u$. From "
                "there on the leak is at most half an ulp.",
                Equal(2 * d * exp(-saturation), u),
                shown=r"2d\,e^{-\ln(2d/u)} = u",
            ),
            Step(
                r"From $\ln(2d(1 + u)/u)$ on it is at most $u/(1 + u)$, and the "
                "normaliser rounds to one.",
                Equal(2 * d * exp(-latest), u / (1 + u)),
                shown=r"2d\,e^{-\ln(2d(1 + u)/u)} = \frac{u}{1 + u}",
            ),
            Step(
                "Both are sharp where the target has all $2d$ neighbours: there $s "
                r"\ge (1 + 2\varepsilon)^d - 1$, and $(1 + x)^d \ge 1 + dx$ by "
                r"induction. So $s \ge 2d\varepsilon$, and below $\ln(2d/u)$ the "
                "normaliser does not round to one.",
                bernoulli(x, d),
            ),
            Step(
                r"The leak grows with $s = 2d\varepsilon + r$: it is at least "
                r"$2d\varepsilon/(1 + 2d\varepsilon)$.",
                share_rises(near, r),
            ),
            Step(
                r"At $\ln(2d(1 - u)/u)$ that is $u$: at any smaller strength the leak "
                "is above half an ulp.",
                Equal(soon / (1 + soon), u),
                shown=r"\frac{2d\varepsilon}{1 + 2d\varepsilon} = u \quad "
                r"\text{at}\quad \varepsilon = \frac{u}{2d\,(1 - u)}",
                where={r"\varepsilon": exp(-earliest)},
            ),
            Step(
                "The three strengths lie close together. The gap between them is at "
                r"most $\ln\,((1 + u)/(1 - u))$, which tends to zero with $u$,",
                Every([
                    Equal(exp(latest - earliest), ratio),
                    Tends(log(ratio), u, S.Zero, S.Zero),
                ]),
                shown=r"e^{\ln(2d(1 + u)/u) - \ln(2d(1 - u)/u)} = \frac{1 + u}{1 - u}",
            ),
            Step(
                "and the derivative of the gap, $2 / (1 - u^2)$, is at most three; "
                r"here $u = 1/(2 + t)$ with $t \ge 0$. So $\ln(2d/u)$ is right within "
                "$3u$.",
                Nonnegative((3 - parting).subs(u, 1 / (2 + t))),
                shown=r"3 - \frac{2}{1 - u^2} \ge 0",
                where={"u": 1 / (2 + t)},
            ),
            *(
                Step(
                    f"Two axes, {name}.",
                    *_hundredths(
                        saturation.subs({d: 2, u: unit[name]}),
                        SATURATED[name],
                        rf"\ln(4 \cdot 2^{{{bits}}})",
                    ),
                )
                for name, (bits, _) in FORMATS.items()
            ),
            Step(
                r"A probability $1 - \lambda$ that is rounded afterwards, as from a "
                "wider format, is another matter: below one the spacing is $u$, the "
                r"middle $1 - u/2$, and $\lambda \le u/2$ is needed: $\ln 2$ later.",
                Equal(saturation.subs(u, u / 2) - saturation, log(2)),
                shown=r"\ln(4d/u) - \ln(2d/u) = \ln 2",
            ),
            Step(
                "Exact zeros. Between zero and the smallest number the middle is $nu$, "
                r"and the tie goes to zero, which is even. $\varepsilon$, and with it "
                "every other weight, rounds to zero from here on:",
                Equal(exp(-underflow), n * u),
                shown=r"e^{-(-\ln(nu))} = nu",
            ),
            *(
                Step(
                    f"{name}: $n = 2^{{{least}}}$ and $u = 2^{{-{bits}}}$.",
                    *_hundredths(
                        vanished[name], VANISHED[name], rf"{bits - least} \ln 2"
                    ),
                )
                for name, (bits, least) in FORMATS.items()
            ),
            Step(
                "Where numbers below $n$ are flushed to zero, as on some devices, "
                r"$-\ln n$ suffices; float32 and bfloat16.",
                *_hundredths(-log(normal["float32"]), 8733, r"126 \ln 2"),
            ),
            Step(
                r"Saturation comes first whenever $2dn < 1$, by $-\ln(2dn)$ whatever "
                r"$u$: in two axes of float32 by $124 \ln 2$, nearly 86.",
                Equal(exp(saturation - underflow), 2 * d * n),
                shown=r"e^{\ln(2d/u) - (-\ln(nu))} = 2dn",
            ),
            Step(
                r"$\alpha = 46$ is quoted as the strength at which float32 "
                "underflows. It does not: $e^{-46}$ is a normal number,",
                Below(Rational(1, 2**67), paper),
                shown=r"2^{-67} < e^{-46}",
            ),
            Step(
                "though far below half an ulp, of float64 too.",
                Below(paper, Rational(1, 2**66)),
                shown=r"e^{-46} < 2^{-66}",
            ),
            Step(
                "With base ten it would: the smallest number of float32 is near "
                "$10^{-45}$.",
                Below(vanished["float32"], 46 * log(Integer(10))),
                shown=r"150 \ln 2 < 46 \ln 10",
            ),
        ),
        controls=(
            Control(
                "$e^{-46}$ underflows in float32.",
                Below(paper, normal["float32"] * unit["float32"]),
                shown="e^{-46} < 2^{-150}",
            ),
            Control(
                r"$d$ in place of $2d$: at $\ln(d/u)$ the leak is $2u/(1 + 2u)$ or "
                "more.",
                Nonnegative((u - 2 * u / (1 + 2 * u)).subs(u, 1 / (2 + t))),
            ),
            Control(
                r"The normaliser rounds to one from $\ln(2d/u)$ on, two axes.",
                Nonnegative((u - ((1 + u / 2) ** 2 - 1)).subs(u, 1 / (2 + t))),
            ),
            Control(
                "Half of the smallest number of float32 is $2^{-149}$.",
                Equal(normal["float32"] * unit["float32"], Rational(1, 2**149)),
                shown=r"2^{-126} \cdot 2^{-24} = 2^{-149}",
            ),
            Control(
                "float32 is saturated at 18 in two axes.",
                Below(earliest.subs({d: 2, u: unit["float32"]}), Integer(18)),
                shown=r"\ln\frac{4 (1 - u)}{u} < 18",
                where={"u": unit["float32"]},
            ),
        ),
        scope="Any number of axes, every binary format with gradual underflow; "
        "sufficient on every canvas, necessary where a target has all its "
        "neighbours.",
        formulas=formulas,
        formal={
            "leak_saturation": r"a leak within $u$ from $2d\,e^{-\alpha} \le u$ on",
        },
        informal="that this is sharp; rounding and underflow",
        remarks=(
            "The saturation strengths 18.1, 38.2, 7 and 9.1 are valid, but not tight.",
            (
                "Weights that are added to one in turn are absorbed one by one, so "
                "that a computed normaliser can be one earlier; a library's "
                "exponential may be off by an ulp."
            ),
            (
                "Where a layer in half precision computes its softmax in float32 and "
                "keeps it there, zeros are those of float32."
            ),
        ),
    )
